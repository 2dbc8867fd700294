"""The critic of the paper's Section 5: Q(x, theta) from AIS and prescription together; linear, tanh, linear."""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.networks.regression import Goals, fit
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream


class QNetwork:
    """Parameters phi of Q over prescriptions whose code has length M: the entries of a menu, or choices side by side."""

    def __init__(self, state_size: int, hidden: int, entries: int, initial: Stream, exponent: int) -> None:
        """``exponent``: |x| <= 2^exponent."""
        self.entries = entries
        self._tower = Tower.named("hidden", 1, "output", exponent)
        self.group = ParameterGroup("critic", self._tower.shapes(state_size + entries, hidden, 1), initial)

    def fit(self, states: Array, codes: Array, goals: Goals, learning_rate: float, largest_norm: float) -> float:
        """One step of Q at AIS rows [n, X] with prescriptions' codes [n, M], as ``regression.fit``."""
        inputs = np.concatenate((states, codes), axis=1)
        return fit(self._tower, self.group, inputs, goals, learning_rate, largest_norm)

    def at(self, states: Array, codes: Array) -> Array:
        """Q of AIS rows [n, X] with prescriptions' codes [n, M] -> [n]."""
        values: Array = self._tower.acting(self.group)(np.concatenate((states, codes), axis=1))[:, 0]
        return values

    def all(self, states: Array) -> Array:
        """Q of every entry of a menu at AIS rows [n, X] -> [n, M], with the bits of ``at``."""
        return self._tower.acting(self.group).before_each_code(states)[:, :, 0]
