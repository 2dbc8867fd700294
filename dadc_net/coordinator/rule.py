"""The learned coordination rule on its own, greedy, for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.streams import seed_bytes


class GreedyRule:
    """the learned rule's best prescription for each of n independent copies; satisfies planning's ``Rule``."""

    def __init__(self, settings: CoordinatorSettings, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """``snapshot``: from ``Coordinator.snapshot``, or its parameter tensors read from a checkpoint."""
        replica = Coordinator(settings, seed_bytes(0))
        replica.restore_rule(snapshot)
        self._space = replica.space
        self._encode = replica.approximator.behaviour()
        self._scores = replica.algorithm.greedy()
        self._theta, self._own = replica.theta, replica.algorithm.own(settings.updates)
        self._size = replica.approximator.size
        self._memoryless = settings.ais.encoder == "none"
        self.begin(0)

    @property
    def is_memoryless(self) -> bool:
        """Whether what it plays depends on the present common observation alone."""
        return self._memoryless

    def begin(self, copies: int) -> None:
        """Start n copies afresh: x = 0, theta = 0."""
        self._ais = np.zeros((copies, self._size))
        self._previous = np.zeros((copies, self._theta.code_size))

    def choose(self, common: NDArray[Any]) -> Theta:
        """Prescriptions int64 [n] or [n, F], or float64 [n, D], after the next common observation [n, Z]."""
        inputs = np.concatenate((self._space.features(common), self._previous), axis=1)
        keep = np.ones((common.shape[0], 1))
        self._ais = self._encode(inputs, keep, self._ais)
        chosen = self._theta.greedy(self._scores(self._ais), self._own)
        self._previous = self._theta.codes(chosen)
        return chosen
