"""The learned model of the coordinated system, and looking one step ahead in it (paper, equation (3)).

The state approximator's heads and encoder, prepared together, are a decision process on the AIS: the probability of each
next common observation, the reward that comes with it, and the AIS that it leads to. Every number is of fixed scale, and
sums over outcomes are made in index order, so that one row alone gives the bits that it gives in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.exact import elementary, scan
from dadc_net.exact.acting import PreparedLinear
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import tanh
from dadc_net.exact.grid import Operand, row_sums
from dadc_net.team.spaces import FiniteSpace

_LEAST_PROBABILITY = 2.0**-10
"""Outcomes that are less likely weigh nothing: what the network says of a step that it never saw is noise."""


class Expansion(NamedTuple):
    """What may follow n states; Z counts the outcomes that are looked at, L the pairs of state, prescription and outcome
    that weigh anything, in row-major order."""

    probability: Array
    """[n, M, Z], outcomes below the least probability set to 0, the others sharing what these had"""
    weighs: NDArray[np.bool_]
    """[n, M, Z] which of them are the L"""
    reward: Array
    """[L]"""
    following: Array
    """[L, X] the AIS after each"""

    def scores(self, values: Array, discount: float) -> Array:
        """Q [n, M] given V of ``following`` [L]: summed over outcomes in index order."""
        worth: Array = np.zeros(self.probability.shape)
        worth[self.weighs] = self.probability[self.weighs] * (self.reward + discount * values)
        total: Array = worth[:, :, 0] + 0.0
        for outcome in range(1, worth.shape[2]):
            total += worth[:, :, outcome]
        return total


class LearnedModel:
    """The state approximator with its present parameters, as a model over the given outcomes."""

    def __init__(self, approximator: StateApproximator, space: FiniteSpace, outcomes: NDArray[np.int64]) -> None:
        """``outcomes`` [Z]: indices of the common observations that can follow, of a space that is enumerated."""
        group, entries = approximator.group, approximator.theta.code_size
        self._size, self._entries, self._outcomes = approximator.settings.size, entries, outcomes
        self._transition = PreparedLinear.of(group, "transition.hidden"), PreparedLinear.of(group, "transition.output")
        self._reward = PreparedLinear.of(group, "reward.hidden"), PreparedLinear.of(group, "reward.output")
        self._sees_outcome = approximator.settings.reward_input == "outcome"
        self._direct = PreparedLinear.of(group, "reward.direct") if self._sees_outcome else None
        recurrent = PreparedLinear.of(group, "encoder.recurrent")
        self._recurrent: tuple[Operand, Array] = recurrent.weight, recurrent.bias
        features = space.features(space.values(outcomes))
        inputs = np.concatenate(
            (np.tile(features, (entries, 1)), np.repeat(np.eye(entries), len(outcomes), axis=0)), axis=1
        )
        embedded = tanh(PreparedLinear.of(group, "encoder.input")(inputs))
        self._gates = PreparedLinear.of(group, "encoder.gates")(embedded)
        self._outcome_codes = approximator.outcomes.codes(outcomes)

    def expand(self, states: Array, every: bool = False) -> Expansion:
        """All prescriptions and outcomes after states [n, X]; ``every``: unlikely outcomes are looked at as well."""
        count, entries, outcomes = len(states), self._entries, len(self._outcomes)
        known = np.concatenate((np.repeat(states, entries, axis=0), np.tile(np.eye(entries), (count, 1))), axis=1)
        logits = self._transition[1](tanh(self._transition[0](known)))
        probability = elementary.exp(elementary.log_softmax(logits))[:, self._outcomes]
        probability[probability < _LEAST_PROBABILITY] = 0.0
        # What is left out would count as an outcome without worth: seven times 2^-10 of V is as much as a mistake costs.
        probability /= np.maximum(row_sums(probability, exponent=0), _LEAST_PROBABILITY)[:, None]
        weighs = np.ones(probability.shape, dtype=np.bool_) if every else probability > 0.0
        pair, outcome = np.nonzero(weighs)
        following = scan.step(
            self._gates[pair % entries * outcomes + outcome], states[pair // entries] + 0.0, *self._recurrent
        )
        shape = (count, entries, outcomes)
        reward = self._rewards(known, pair, outcome)
        return Expansion(probability.reshape(shape), weighs.reshape(shape), reward, following)

    def _rewards(self, known: Array, pair: NDArray[np.int64], outcome: NDArray[np.int64]) -> Array:
        """Predicted rewards [L]: known [n M, X + M], of which ``pair`` [L] says the row; and the outcomes [L]."""
        if self._direct is None:
            predicted: Array = self._reward[1](tanh(self._reward[0](known)))[:, 0]
            return predicted[pair]
        both = np.concatenate((known[pair], self._outcome_codes[outcome]), axis=1)
        told: Array = (self._reward[1](tanh(self._reward[0](both))) + self._direct(both))[:, 0]
        return told


class LookAhead:
    """Q of every prescription at AIS rows: a model and a value function of the AIS that follows."""

    def __init__(self, model: LearnedModel, value: Callable[[Array], Array], discount: float) -> None:
        self._model, self._value, self._discount = model, value, discount

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> Q [n, M]."""
        expansion = self._model.expand(states)
        return expansion.scores(self._value(expansion.following), self._discount)
