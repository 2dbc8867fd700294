"""A value function of the AIS on its own: linear, tanh, linear; with a target copy that follows it slowly."""

from __future__ import annotations

from torch import Tensor

from dadc_net.coordinator.layers import linear, linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup, TargetCopy
from dadc_net.exact import functions
from dadc_net.exact.acting import Arrays, HiddenLayer
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

    def forward(self, states: Tensor) -> Tensor:
        """AIS [n, X] -> [n], on the graph."""
        hidden = functions.tanh(linear(self.group, "hidden", states))
        return linear(self.group, "output", hidden).reshape(-1)

    def acting(self) -> ActingValue:
        """V with the present parameters."""
        return ActingValue(self.group)

    def following(self) -> ActingValue:
        """V with the target copy's parameters."""
        return ActingValue(self.target)
