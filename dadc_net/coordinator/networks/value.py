"""A value function of the AIS on its own: a tower of tanh layers; with a target copy that follows it slowly."""

from __future__ import annotations

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup, TargetCopy
from dadc_net.coordinator.networks.regression import Goals, fit
from dadc_net.exact.acting import INPUT_EXPONENT, Arrays
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream


class ActingValue:
    """V without a way back."""

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

    def fit(self, states: Array, goals: Goals, learning_rate: float, largest_norm: float) -> float:
        """One step of V at AIS rows [n, X], as ``regression.fit``."""
        return fit(self._tower, self.group, states, goals, learning_rate, largest_norm)

    def acting(self) -> ActingValue:
        """V with the present parameters."""
        return ActingValue(self._tower, self.group)

    def following(self) -> ActingValue:
        """V with the target copy's parameters."""
        return ActingValue(self._tower, self.target)
