"""A value function of the AIS on its own: a tower of tanh layers; with a target copy that follows it slowly.

Its gradient is written out by hand, with the bits that the graph of ``exact.functions`` gives: a step on a hundred rows is
so short that building a graph for it costs five times as much.
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup, TargetCopy
from dadc_net.exact import grid
from dadc_net.exact.acting import INPUT_EXPONENT, Arrays
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import tanh
from dadc_net.exact.streams import Stream


class ActingValue:
    """V for use off the graph."""

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

    def fit(self, states: Array, goals: Array, counted: Array, learning_rate: float, largest_norm: float) -> float:
        """One step against the mean smooth L1 distance of V from ``goals``; the distance before it.

        Args:
            states: [n, X]; goals: [n]; counted: [n], 1.0 where a row counts, else 0.0.
            largest_norm: of the gradient; 0 does not clip.
        """
        count = max(1.0, float(counted.sum()))
        fed = self._activations(states)
        error = fed.pop()[:, 0] - goals
        size = np.abs(error)
        loss = grid.total(np.where(size < 1.0, 0.5 * error * error, size - 0.5) * counted) / count
        outer = ((1.0 / count) * counted * np.clip(error, -1.0, 1.0))[:, None]
        self.group.step(self.group.flat(self._gradients(fed, outer)), learning_rate, largest_norm)
        return loss

    def _activations(self, states: Array) -> list[Array]:
        """What each layer is fed with, and at the end what the last one gives."""
        arrays, fed = self.group.arrays, [states]
        *hidden, output = self._tower.layers()
        for name, exponent in hidden:
            fed.append(tanh(grid.product(fed[-1], arrays[f"{name}.weight"], exponent) + arrays[f"{name}.bias"]))
        name, exponent = output
        fed.append(grid.product(fed[-1], arrays[f"{name}.weight"], exponent) + arrays[f"{name}.bias"])
        return fed

    def _gradients(self, fed: list[Array], gradient: Array) -> list[Array]:
        """Gradients of all tensors, in their order, from that of the output [n, 1] and what each layer was fed with."""
        found: list[Array] = []
        for index, (name, exponent) in reversed([*enumerate(self._tower.layers())]):
            found[:0] = [grid.product(fed[index].T, gradient, exponent), grid.column_sums(gradient)]
            if index:
                weight = np.ascontiguousarray(self.group.arrays[f"{name}.weight"].T)
                gradient = grid.product(gradient, weight) * (1.0 - fed[index] * fed[index])
        return found

    def acting(self) -> ActingValue:
        """V with the present parameters."""
        return ActingValue(self._tower, self.group)

    def following(self) -> ActingValue:
        """V with the target copy's parameters."""
        return ActingValue(self._tower, self.target)
