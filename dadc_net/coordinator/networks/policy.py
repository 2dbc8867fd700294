"""A coordination rule psi with a network of its own: tanh layers, then a linear one whose outputs psi is made of.

Beside first derivatives it has the two products that a natural gradient needs: the Jacobian of the outputs times a
direction, and its transpose times a vector. A Hessian-vector product by automatic differentiation would leave the order of
three or more additions to the engine, and with it the bits (``exact.functions``).
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.networks.distribution import Distribution, PolicyValues
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.networks.policy_pass import PolicyPass
from dadc_net.coordinator.prescription import Theta
from dadc_net.exact import grid
from dadc_net.exact.acting import INPUT_EXPONENT, PreparedLinear, PreparedTower
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import tanh
from dadc_net.exact.streams import Stream

_OUTPUT = "logits"
"""Name of the output layer; for a Gaussian its outputs are means."""


class PolicyNetwork:
    """Parameters vartheta and the functions of them."""

    def __init__(
        self,
        state_size: int,
        hidden: int,
        outputs: int,
        distribution: Distribution,
        initial: Stream,
        layers: int = 1,
        exponent: int = INPUT_EXPONENT,
    ) -> None:
        """``exponent``: |x| <= 2^exponent."""
        self.distribution = distribution
        self.tower = Tower.named("hidden", layers, _OUTPUT, exponent)
        shapes = {**self.tower.shapes(state_size, hidden, outputs), **distribution.shapes}
        self.group = ParameterGroup("policy", shapes, initial)
        distribution.initialise(self.group, _OUTPUT)

    def forward(self, states: Array, drawn: Theta) -> PolicyPass:
        """psi at AIS rows [n, X] and the theta that was drawn there."""
        way = self.tower.forward(self.group, states)
        return PolicyPass(self.distribution.values(self.group, way.outputs, drawn), way)

    def acting(self) -> PreparedTower:
        """AIS [n, X] -> outputs [n, C] with the present parameters, the bits of ``forward`` before its distribution."""
        return self.tower.acting(self.group)

    def values(self, states: Array, drawn: Theta) -> PolicyValues:
        """psi at AIS rows [n, X] with the present parameters and the theta that was drawn there, as numbers."""
        return self.distribution.values(self.group, self.acting()(states), drawn)

    def tangents(self, states: Array) -> Tangents:
        """The derivative of the outputs at the present parameters and AIS rows [n, X]."""
        return Tangents(self.group, self.tower, states)


class Tangents:
    """J, the Jacobian [n C, P] of all outputs with respect to all parameters, as a linear map; never written out."""

    def __init__(self, group: ParameterGroup, tower: Tower, states: Array) -> None:
        self._group, self._tower = group, tower
        self._inputs = [states]
        """Of each layer."""
        for name, exponent in zip(tower.hidden, tower.exponents(), strict=False):
            self._inputs.append(tanh(PreparedLinear.of(group, name, exponent)(self._inputs[-1])))
        self._slopes = [1.0 - hidden * hidden for hidden in self._inputs[1:]]
        names = (*tower.hidden, tower.output)
        self._layers = list(zip(names, tower.exponents(), strict=True))
        self._weights = {name: group.arrays[f"{name}.weight"].copy() for name in names}

    def _part(self, direction: Array, name: str) -> Array:
        return direction[self._group.slices[name]].reshape(self._group.arrays[name].shape)

    def along(self, direction: Array) -> Array:
        """J v: parameters' direction [P] -> change of the outputs [n, C]."""
        change: Array = np.zeros(0)
        for depth, (name, exponent) in enumerate(self._layers):
            moved = grid.product(self._inputs[depth], self._part(direction, f"{name}.weight"), exponent)
            if depth > 0:
                moved = grid.product(change * self._slopes[depth - 1], self._weights[name]) + moved
            change = moved + self._part(direction, f"{name}.bias")
        return change

    def back(self, vector: Array) -> Array:
        """J^T w: weights of the outputs [n, C] -> parameters [P]; 0 for parameters that are not the tower's."""
        result = np.zeros(self._group.size)
        for depth in range(len(self._layers) - 1, -1, -1):
            name, exponent = self._layers[depth]
            weight = grid.product(self._inputs[depth].T, vector, exponent)
            result[self._group.slices[f"{name}.weight"]] = weight.reshape(-1)
            result[self._group.slices[f"{name}.bias"]] = grid.column_sums(vector)
            if depth > 0:
                vector = grid.product(vector, self._weights[name].T) * self._slopes[depth - 1]
        return result
