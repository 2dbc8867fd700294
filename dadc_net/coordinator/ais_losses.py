"""L_AIS of a batch (``ais``): the heads over what is known, their losses, and the way back through heads and encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dadc_net.coordinator.batch import ENDED_TERMINATED, Batch
from dadc_net.coordinator.networks.layers import LinearPass, Tower, TowerPass
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.recurrent import EncoderPass
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.outcome_pass import OutcomePass, SoftmaxLikelihood
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.real_outcomes import RealOutcomes
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.errors import InvariantError
from dadc_net.exact import layers
from dadc_net.exact.array import Array

if TYPE_CHECKING:
    from dadc_net.coordinator.losses.next_ais import NextAis


class AisLosses:
    """The losses of a batch with the present parameters, and their gradients until these change; n = T E rows."""

    def __init__(
        self,
        group: ParameterGroup,
        settings: AisSettings,
        outcomes: Outcomes | RealOutcomes,
        batch: Batch,
        theta: Array,
    ) -> None:
        """``theta``: [n, C] codes of the prescriptions."""
        self._encoder = EncoderPass(group, batch, settings.truncation)
        self.states = self._encoder.states
        """[T+1, E, X]"""
        known = np.concatenate((self.states[:-1].reshape(-1, settings.size), theta), axis=1)
        given = _Given(group, settings, outcomes, batch, known)
        self._reward, self._transition = _Reward(given), _Transition(given, self.states)
        self.reward, self.transition = self._reward.value, self._transition.value
        weight = settings.reward_loss_weight
        self.total = self.reward * weight + self.transition * (1.0 - weight)

    def gradients(self, of_reward: float | None, of_transition: float | None) -> Gradients:
        """Of the two losses times these weights; None leaves one out."""
        into, of_states, shape = Gradients(), np.zeros(self.states.shape), self.states[1:].shape
        if of_reward is not None:
            of_states[:-1] += self._reward.back(of_reward, into)[:, : shape[2]].reshape(shape)
        if of_transition is not None:
            known, target = self._transition.back(of_transition, into)
            of_states[:-1] += known[:, : shape[2]].reshape(shape)
            if target is not None:
                of_states[1:] += target.reshape(shape)
        self._encoder.back(of_states, into)
        return into


class _Given(NamedTuple):
    """What the losses of a batch are made of."""

    group: ParameterGroup
    settings: AisSettings
    outcomes: Outcomes | RealOutcomes
    batch: Batch
    known: Array
    """[n, K]"""

    def head(self, name: str, inputs: Array) -> TowerPass:
        """Head ``name`` at inputs [n, m]."""
        return Tower((f"{name}.hidden",), f"{name}.output").forward(self.group, inputs)

    def next_ais(self, loss: str, name: str, states: Array) -> NextAis:
        """The loss ``loss`` of head ``name``; states [T+1, E, X]."""
        from dadc_net.coordinator.losses.next_ais import NextAis  # Here: it needs torch, which takes more than a second.

        target = states[1:].reshape(-1, self.settings.size)
        return NextAis(self.head(name, self.known), loss, target, not self.settings.detach_target)

    def with_outcome(self) -> Array:
        """What is known, and the code of the outcome beside it."""
        return np.concatenate((self.known, self.outcomes.codes(self.batch.common_index[1:])), axis=1)


class _Reward:
    """Smooth L1 distance of the predicted from the scaled reward."""

    def __init__(self, given: _Given) -> None:
        self._known = given.known.shape[1]
        self._direct: LinearPass | None = None
        sees_outcome = given.settings.reward_input == "outcome"
        inputs = given.with_outcome() if sees_outcome else given.known
        self._head = given.head("reward", inputs)
        self._predicted = self._head.outputs[:, 0]
        if sees_outcome:
            self._direct = LinearPass(given.group.arrays, "reward.direct", inputs)
            self._predicted = self._predicted + self._direct.outputs[:, 0]
        self._goals = Goals(given.batch.scaled_rewards.reshape(-1), given.batch.valid.reshape(-1))
        self.value = self._goals.distance(self._predicted)

    def back(self, slope: float, into: Gradients) -> Array:
        """From the loss's own gradient that of what is known [n, K]; the parameters' go ``into``."""
        gradient = self._goals.gradient(self._predicted, slope)[:, None]
        found = self._head.back(gradient, into, wanted=True)
        if self._direct is not None:
            found = found + self._direct.back(gradient, into)
        return found[:, : self._known]


class _Transition:
    """L_nu: of z_{t+1}, x_{t+1} or both, and of the end where that is predicted."""

    def __init__(self, given: _Given, states: Array) -> None:
        """states [T+1, E, X]."""
        settings, batch = given.settings, given.batch
        self._known, self._beside_weight = given.known.shape[1], settings.beside_weight
        self._valid = batch.valid.reshape(-1)
        self._count = max(1.0, float(self._valid.sum()))
        self._outcome: OutcomePass | None = None
        self._next: NextAis | None = None
        if settings.loss == "next-observation":
            happened = batch.common_index[1:]
            self._outcome = given.outcomes.log_probability(given.group, "transition", given.known, happened)
            if settings.beside != "none":
                self._next = given.next_ais(settings.beside, "beside", states)
        else:
            self._next = given.next_ais(settings.loss, "transition", states)
        rows = self._rows()
        self._end: TowerPass | None = None
        if settings.predicts_end:
            over = (batch.ended[1:] == ENDED_TERMINATED).astype(np.int64).reshape(-1)
            self._end = given.head("end", given.with_outcome())
            self._told = SoftmaxLikelihood(self._end.outputs, over)
            rows = rows - self._told.rows
        self.value = layers.mean(rows, self._valid, self._count)

    def _rows(self) -> Array:
        """[n] of what comes next."""
        if self._outcome is None and self._next is not None:
            return self._next.rows
        found = _of(self._outcome).rows
        if self._next is None:
            return -found
        return self._next.rows * self._beside_weight - found * (1.0 - self._beside_weight)

    def back(self, slope: float, into: Gradients) -> tuple[Array, Array | None]:
        """As ``_Reward.back``; and that of the target [n, X], None where it is data."""
        gradient = layers.mean_gradient(slope, self._valid, self._count)
        known, target = self._next_back(gradient, into)
        if self._end is not None:
            known = known + self._end.back(self._told.back(-gradient), into, wanted=True)[:, : self._known]
        return known, target

    def _next_back(self, gradient: Array, into: Gradients) -> tuple[Array, Array | None]:
        if self._next is None:
            return _of(self._outcome).back(-gradient, into), None
        if self._outcome is None:
            return self._next.back(gradient, into)
        weight = self._beside_weight
        found = self._outcome.back(-gradient * (1.0 - weight), into)
        beside, target = self._next.back(gradient * weight, into)
        return found + beside, target


def _of(outcome: OutcomePass | None) -> OutcomePass:
    if outcome is None:
        raise InvariantError("L_nu predicts neither z nor x")
    return outcome
