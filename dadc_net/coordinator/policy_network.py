"""A coordination rule psi with a network of its own: linear layers with tanh, then log-softmax over the menu.

Beside the graph for first derivatives it has the two products that a natural gradient needs, written out by hand: the
Jacobian of the logits times a direction, and its transpose times a vector. A Hessian-vector product by automatic
differentiation would leave the order of three or more additions to the engine, and with it the bits (``exact.functions``).
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dadc_net.coordinator.layers import linear, linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup
from dadc_net.exact import functions, grid
from dadc_net.exact.acting import INPUT_EXPONENT, HiddenLayer, PreparedLinear
from dadc_net.exact.elementary import tanh
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class PolicyNetwork:
    """Parameters vartheta and the functions of them."""

    def __init__(self, ais_size: int, hidden: int, entries: int, initial: Stream) -> None:
        shapes = {**linear_shapes("hidden", ais_size, hidden), **linear_shapes("logits", hidden, entries)}
        self.group = ParameterGroup("policy", shapes, initial)

    def forward(self, states: Tensor) -> Tensor:
        """Log-probabilities [n, M] of AIS rows [n, X], on the graph."""
        hidden = functions.tanh(linear(self.group, "hidden", states))
        return functions.log_softmax(linear(self.group, "logits", hidden))

    def acting(self) -> HiddenLayer:
        """AIS [n, X] -> logits [n, M] with the present parameters, the bits of ``forward`` before its log-softmax."""
        return HiddenLayer.of(self.group, "hidden", "logits")

    def tangents(self, states: Array) -> LogitTangents:
        """The derivative of the logits at the present parameters and AIS rows [n, X]."""
        return LogitTangents(self.group, states)


class LogitTangents:
    """J, the Jacobian [n M, P] of all logits with respect to all parameters, as a linear map; never written out."""

    def __init__(self, group: ParameterGroup, states: Array) -> None:
        self._group, self._states = group, states
        self._hidden = tanh(PreparedLinear.of(group, "hidden")(states))
        self._slope = 1.0 - self._hidden * self._hidden
        self._weight = group.arrays["logits.weight"].copy()

    def _part(self, direction: Array, name: str) -> Array:
        return direction[self._group.slices[name]].reshape(self._group.arrays[name].shape)

    def along(self, direction: Array) -> Array:
        """J v: parameters' direction [P] -> change of the logits [n, M]."""
        inner = grid.product(self._states, self._part(direction, "hidden.weight"), INPUT_EXPONENT)
        inner = (inner + self._part(direction, "hidden.bias")) * self._slope
        outer = grid.product(self._hidden, self._part(direction, "logits.weight"), INPUT_EXPONENT)
        return (grid.product(inner, self._weight) + outer) + self._part(direction, "logits.bias")

    def back(self, vector: Array) -> Array:
        """J^T w: weights of the logits [n, M] -> parameters [P]."""
        result = np.empty(self._group.size)
        inner = grid.product(vector, self._weight.T) * self._slope
        parts = {
            "hidden.weight": grid.product(self._states.T, inner, INPUT_EXPONENT),
            "hidden.bias": grid.column_sums(inner),
            "logits.weight": grid.product(self._hidden.T, vector, INPUT_EXPONENT),
            "logits.bias": grid.column_sums(vector),
        }
        for name, part in parts.items():
            result[self._group.slices[name]] = part.reshape(-1)
        return result
