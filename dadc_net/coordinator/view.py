"""A learner seen from outside, for Theorem 5's constants: its AIS, its value and what it predicts of every outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.model import LearnedModel
from dadc_net.coordinator.prescription import Menu
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import UsageError
from dadc_net.exact.array import Array
from dadc_net.exact.streams import seed_bytes
from dadc_net.team.spaces import FiniteSpace, space_text


class Prediction(NamedTuple):
    """Satisfies planning's ``Prediction``; shapes are given there."""

    states: Array
    value: Array
    reward: Array
    probability: Array
    following: Array
    scores: Array
    chosen: NDArray[np.int64]


class LearnedView:
    """n copies of a learner's AIS; satisfies planning's ``LearnedView``."""

    def __init__(
        self, settings: CoordinatorSettings, snapshot: Mapping[str, NDArray[Any]], outcomes: NDArray[np.int64]
    ) -> None:
        """``outcomes`` [Z, C]: the common observations that can follow.

        Raises:
            UsageError: if the learner predicts no common observations.
        """
        if settings.ais.loss != "next-observation":
            raise UsageError(
                f"this learner was trained with ais.loss {settings.ais.loss!r}, which predicts no common observation. "
                "Theorem 5's delta cannot be measured from it. Train with ais.loss=next-observation."
            )
        replica = Coordinator(settings, seed_bytes(0))
        approximator, theta = replica.approximator, replica.theta
        if not isinstance(approximator, StateApproximator) or not isinstance(theta, Menu):
            raise UsageError(
                "this learner has no state approximator, or no menu of prescriptions to look at one by one. Theorem 5's "
                "constants are not measured for it. Train with ais.encoder=gru and prescriptions=menu."
            )
        space = replica.space
        if not isinstance(space, FiniteSpace) or not approximator.outcomes.enumerated:
            raise UsageError(
                f"this learner predicts common observations {space_text(space)} factor by factor, and Theorem 5's "
                "constants look at each of them. They are not measured for it. Use a smaller common space."
            )
        replica.restore_rule(snapshot)
        self._settings, self._space, self._theta = settings, space, theta
        self._encode = approximator.behaviour()
        self._scores = replica.algorithm.greedy()
        self._value = replica.algorithm.value()
        self._scale = replica.rewards.value
        """Of values and rewards; what is shown is in the user's units."""
        self._model = LearnedModel(approximator, space, space.index(outcomes))
        self._outcomes = len(outcomes)
        self.begin(0)

    def begin(self, copies: int) -> None:
        """Start n copies afresh: x = 0, theta = 0."""
        self._ais = np.zeros((copies, self._settings.ais.size))
        self._previous = np.zeros((copies, self._theta.code_size))

    def observe(self, common: NDArray[np.int64]) -> Prediction:
        """Take in the next common observation [n, C]."""
        count = len(common)
        inputs = np.concatenate((self._space.features(common), self._previous), axis=1)
        self._ais = self._encode(inputs, np.ones((count, 1)), self._ais)
        found = self._model.expand(self._ais, every=True)
        scores = found.scores(self._value(found.following), self._settings.discount)
        shape = (count, self._theta.code_size, self._outcomes, -1)
        return Prediction(
            self._ais,
            self._value(self._ais) * self._scale,
            found.scores(np.zeros(len(found.following)), 0.0) * self._scale,
            found.probability,
            found.following.reshape(shape),
            scores * self._scale,
            self._theta.greedy(self._scores(self._ais), np.zeros(0)),
        )

    def follow(self, prescriptions: NDArray[np.int64]) -> None:
        """Say which prescriptions [n] were used."""
        self._previous = self._theta.codes(prescriptions)
