"""A value function of the AIS on its own: linear, tanh, linear; with a target copy that follows it slowly.

Its gradient is written out by hand, with the bits that the graph of ``exact.functions`` gives: a step on a hundred rows is
so short that building a graph for it costs five times as much.
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.layers import linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup, TargetCopy
from dadc_net.exact import grid
from dadc_net.exact.acting import INPUT_EXPONENT, Arrays, HiddenLayer
from dadc_net.exact.elementary import tanh
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class ActingValue:
    """V for use off the graph, the bits of ``ValueNetwork.forward``."""

    def __init__(self, source: Arrays) -> None:
        self._layers = HiddenLayer.of(source, "hidden", "output")

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> [n]."""
        values: Array = self._layers(states)[:, 0]
        return values


class ValueNetwork:
    """Parameters phi of V, and their target copy."""

    def __init__(self, ais_size: int, hidden: int, initial: Stream) -> None:
        shapes = {**linear_shapes("hidden", ais_size, hidden), **linear_shapes("output", hidden, 1)}
        self.group = ParameterGroup("value", shapes, initial)
        self.target = TargetCopy(self.group)

    def fit(self, states: Array, goals: Array, counted: Array, learning_rate: float, largest_norm: float) -> float:
        """One step against the mean smooth L1 distance of V from ``goals``; the distance before it.

        Args:
            states: [n, X]; goals: [n]; counted: [n], 1.0 where a row counts, else 0.0.
            largest_norm: of the gradient; 0 does not clip.
        """
        arrays, count = self.group.arrays, max(1.0, float(counted.sum()))
        hidden = tanh(grid.product(states, arrays["hidden.weight"], INPUT_EXPONENT) + arrays["hidden.bias"])
        values = grid.product(hidden, arrays["output.weight"], INPUT_EXPONENT) + arrays["output.bias"]
        error = values[:, 0] - goals
        size = np.abs(error)
        loss = grid.total(np.where(size < 1.0, 0.5 * error * error, size - 0.5) * counted) / count
        outer = ((1.0 / count) * counted * np.clip(error, -1.0, 1.0))[:, None]
        inner = grid.product(outer, np.ascontiguousarray(arrays["output.weight"].T)) * (1.0 - hidden * hidden)
        gradients = (
            grid.product(states.T, inner, INPUT_EXPONENT),
            grid.column_sums(inner),
            grid.product(hidden.T, outer, INPUT_EXPONENT),
            grid.column_sums(outer),
        )
        self.group.step(self.group.flat(gradients), learning_rate, largest_norm)
        return loss

    def acting(self) -> ActingValue:
        """V with the present parameters."""
        return ActingValue(self.group)

    def following(self) -> ActingValue:
        """V with the target copy's parameters."""
        return ActingValue(self.target)
