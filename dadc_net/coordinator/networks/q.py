"""The critic of the paper's Section 5: Q(x, theta) from AIS and prescription together; linear, tanh, linear."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream


class QNetwork:
    """Parameters phi of Q over prescriptions whose code has length M: the entries of a menu, or choices side by side."""

    def __init__(self, state_size: int, hidden: int, entries: int, initial: Stream, exponent: int) -> None:
        """``exponent``: |x| <= 2^exponent."""
        self.entries = entries
        self._tower = Tower.named("hidden", 1, "output", exponent)
        self.group = ParameterGroup("critic", self._tower.shapes(state_size + entries, hidden, 1), initial)

    def forward(self, states: Tensor, codes: Tensor) -> Tensor:
        """Q of AIS rows [n, X] with prescriptions' codes [n, M] -> [n], on the graph."""
        return self._tower.forward(self.group, torch.cat((states, codes), dim=1)).reshape(-1)

    def at(self, states: Array, codes: Array) -> Array:
        """The same off the graph."""
        values: Array = self._tower.acting(self.group)(np.concatenate((states, codes), axis=1))[:, 0]
        return values

    def all(self, states: Array) -> Array:
        """Q of every entry of a menu at AIS rows [n, X] -> [n, M], off the graph."""
        count = len(states)
        codes = np.tile(np.eye(self.entries), (count, 1))
        inputs = np.concatenate((np.repeat(states, self.entries, axis=0), codes), axis=1)
        values: Array = self._tower.acting(self.group)(inputs)
        return values.reshape(count, self.entries)
