"""The learned model of the coordinated system, and looking one step ahead in it (paper, equation (3)).

The state approximator's heads and encoder, prepared together, are a decision process on the AIS: the probability of each
next common observation, the reward that comes with it, the AIS that it leads to, and where ends are predicted the
probability that the episode goes on. Every number is of fixed scale, and sums over outcomes are made in index order, so
that one row alone gives the bits that it gives in a batch.
"""

from __future__ import annotations

from functools import cached_property
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
Layers = tuple[PreparedLinear, PreparedLinear]
"""Hidden, output."""


class Expansion(NamedTuple):
    """What may follow n states; Z counts the outcomes that are looked at, L the triples of state, prescription and outcome
    that weigh anything, in row-major order."""

    probability: Array
    """[n, M, Z], outcomes below the least probability set to 0, the others sharing what these had"""
    weighs: NDArray[np.bool_]
    """[n, M, Z] which of them are the L"""
    reward: Array
    """[L]"""
    following: Array
    """[L, X] the AIS after each"""
    goes_on: Array | None = None
    """[L] probability that the episode is not over then; None: it never is"""

    def scores(self, values: Array, discount: float) -> Array:
        """Q [n, M] given V of ``following`` [L]: summed over outcomes in index order."""
        later = discount * values if self.goes_on is None else discount * (self.goes_on * values)
        worth: Array = np.zeros(self.probability.shape)
        worth[self.weighs] = self.probability[self.weighs] * (self.reward + later)
        total: Array = worth[:, :, 0] + 0.0
        for outcome in range(1, worth.shape[2]):
            total += worth[:, :, outcome]
        return total


class LearnedModel:
    """The state approximator with its present parameters, as a model over the given outcomes."""

    def __init__(self, approximator: StateApproximator, space: FiniteSpace, outcomes: NDArray[np.int64]) -> None:
        """``outcomes`` [Z]: indices of the common observations that can follow, of a space that is enumerated."""
        self._approximator, self._outcomes = approximator, outcomes
        self._transition, self._reward = self._layers("transition"), self._layers("reward")
        self._end = self._layers("end") if approximator.settings.predicts_end else None
        self._sees_outcome = approximator.settings.reward_input == "outcome"
        self._direct = self._linear("reward.direct") if self._sees_outcome else None
        self._input, self._gates = self._linear("encoder.input"), self._linear("encoder.gates")
        recurrent = self._linear("encoder.recurrent")
        self._recurrent: tuple[Operand, Array] = recurrent.weight, recurrent.bias
        self._features = space.features(space.values(outcomes))
        self._outcome_codes = approximator.outcomes.codes(outcomes)

    def _linear(self, name: str) -> PreparedLinear:
        return PreparedLinear.of(self._approximator.group, name)

    def _layers(self, name: str) -> Layers:
        return self._linear(f"{name}.hidden"), self._linear(f"{name}.output")

    @cached_property
    def _menu(self) -> Array:
        """[M, C] the codes of all entries of a menu."""
        return np.eye(self._approximator.theta.code_size)

    @cached_property
    def _gates_of_menu(self) -> Array:
        """[M Z, 3 X] what each outcome after each entry of a menu says to the recurrent layer."""
        entries, outcomes = len(self._menu), len(self._outcomes)
        return self._gates_of(np.tile(self._features, (entries, 1)), np.repeat(self._menu, outcomes, axis=0))

    def _gates_of(self, features: Array, codes: Array) -> Array:
        return self._gates(tanh(self._input(np.concatenate((features, codes), axis=1))))

    def expand(self, states: Array, codes: Array | None = None, every: bool = False) -> Expansion:
        """Prescriptions and outcomes after states [n, X].

        Args:
            codes: [n, M, C] of the prescriptions that are looked at in each state; None: all entries of a menu.
            every: whether unlikely outcomes are looked at as well.
        """
        count, outcomes = len(states), len(self._outcomes)
        entries = len(self._menu) if codes is None else codes.shape[1]
        rows = np.tile(self._menu, (count, 1)) if codes is None else codes.reshape(count * entries, -1)
        known = np.concatenate((np.repeat(states, entries, axis=0), rows), axis=1)
        probability = self._probability(known)
        weighs = np.ones(probability.shape, dtype=np.bool_) if every else probability > 0.0
        pair, outcome = np.nonzero(weighs)
        if codes is None:
            gates = self._gates_of_menu[pair % entries * outcomes + outcome]
        else:
            gates = self._gates_of(self._features[outcome], rows[pair])
        following = scan.step(gates, states[pair // entries] + 0.0, *self._recurrent)
        shape = (count, entries, outcomes)
        reward, goes_on = self._rewards(known, pair, outcome), self._goes_on(known, pair, outcome)
        return Expansion(probability.reshape(shape), weighs.reshape(shape), reward, following, goes_on)

    def _probability(self, known: Array) -> Array:
        """Of each outcome, from known [n M, X + C]: [n M, Z]."""
        hidden, output = self._transition
        probability = elementary.exp(elementary.log_softmax(output(tanh(hidden(known)))))[:, self._outcomes]
        probability[probability < _LEAST_PROBABILITY] = 0.0
        # What is left out would count as an outcome without worth: seven times 2^-10 of V is as much as a mistake costs.
        probability /= np.maximum(row_sums(probability, exponent=0), _LEAST_PROBABILITY)[:, None]
        return probability

    def _rewards(self, known: Array, pair: NDArray[np.int64], outcome: NDArray[np.int64]) -> Array:
        """Predicted rewards [L]: known [n M, X + C], of which ``pair`` [L] says the row; and the outcomes [L]."""
        hidden, output = self._reward
        if self._direct is None:
            predicted: Array = output(tanh(hidden(known)))[:, 0]
            return predicted[pair]
        both = np.concatenate((known[pair], self._outcome_codes[outcome]), axis=1)
        told: Array = (output(tanh(hidden(both))) + self._direct(both))[:, 0]
        return told

    def _goes_on(self, known: Array, pair: NDArray[np.int64], outcome: NDArray[np.int64]) -> Array | None:
        """[L] probability that the episode is not over; an unlikely end is none."""
        if self._end is None:
            return None
        hidden, output = self._end
        both = np.concatenate((known[pair], self._outcome_codes[outcome]), axis=1)
        over = elementary.exp(elementary.log_softmax(output(tanh(hidden(both)))))[:, 1]
        goes_on: Array = 1.0 - np.where(over < _LEAST_PROBABILITY, 0.0, over)
        return goes_on
