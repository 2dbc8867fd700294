"""A value function of the AIS on its own: a tower of tanh layers; with a target copy that follows it slowly."""

from __future__ import annotations

from torch import Tensor

from dadc_net.coordinator.layers import Tower
from dadc_net.coordinator.parameters import ParameterGroup, TargetCopy
from dadc_net.exact.acting import INPUT_EXPONENT, Arrays
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class ActingValue:
    """V for use off the graph, the bits of ``ValueNetwork.forward``."""

    def __init__(self, tower: Tower, source: Arrays) -> None:
        self._layers = tower.acting(source)

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> [n]."""
        values: Array = self._layers(states)[:, 0]
        return values


class ValueNetwork:
    """Parameters phi of V, and their target copy."""

    def __init__(
        self, state_size: int, hidden: int, initial: Stream, layers: int = 1, exponent: int = INPUT_EXPONENT
    ) -> None:
        """``exponent``: |x| <= 2^exponent."""
        self._tower = Tower.named("hidden", layers, "output", exponent)
        self.group = ParameterGroup("value", self._tower.shapes(state_size, hidden, 1), initial)
        self.target = TargetCopy(self.group)

    def forward(self, states: Tensor) -> Tensor:
        """AIS [n, X] -> [n], on the graph."""
        return self._tower.forward(self.group, states).reshape(-1)

    def acting(self) -> ActingValue:
        """V with the present parameters."""
        return ActingValue(self._tower, self.group)

    def following(self) -> ActingValue:
        """V with the target copy's parameters."""
        return ActingValue(self._tower, self.target)
