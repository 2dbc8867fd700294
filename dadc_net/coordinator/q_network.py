"""The critic of the paper's Section 5: Q(x, theta) from AIS and prescription together; linear, tanh, linear."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.layers import linear, linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup
from dadc_net.exact import functions
from dadc_net.exact.acting import HiddenLayer
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class QNetwork:
    """Parameters phi of Q over a menu of M prescriptions."""

    def __init__(self, ais_size: int, hidden: int, entries: int, initial: Stream) -> None:
        self.entries = entries
        shapes = {**linear_shapes("hidden", ais_size + entries, hidden), **linear_shapes("output", hidden, 1)}
        self.group = ParameterGroup("critic", shapes, initial)

    def forward(self, states: Tensor, codes: Tensor) -> Tensor:
        """Q of AIS rows [n, X] with prescriptions' codes [n, M] -> [n], on the graph."""
        hidden = functions.tanh(linear(self.group, "hidden", torch.cat((states, codes), dim=1)))
        return linear(self.group, "output", hidden).reshape(-1)

    def all(self, states: Array) -> Array:
        """Q of every prescription at AIS rows [n, X] -> [n, M], off the graph."""
        count = len(states)
        codes = np.tile(np.eye(self.entries), (count, 1))
        inputs = np.concatenate((np.repeat(states, self.entries, axis=0), codes), axis=1)
        values: Array = HiddenLayer.of(self.group, "hidden", "output")(inputs)
        return values.reshape(count, self.entries)
