"""Towers of layers for updates, forwards and back; ``exact.acting`` has them prepared for acting, with the same bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup, Shape
from dadc_net.exact import layers
from dadc_net.exact.acting import INPUT_EXPONENT, RELU_EXPONENT, RELU_MAX, Arrays, PreparedLinear, PreparedTower
from dadc_net.exact.array import Array

EXPONENTS = {"tanh": 0, "relu": RELU_EXPONENT}
"""Fixed scales of what an activation puts out."""


def linear_shapes(name: str, fan_in: int, fan_out: int) -> dict[str, Shape]:
    """Tensor names and shapes of one linear layer."""
    return {f"{name}.weight": (fan_in, fan_out), f"{name}.bias": (fan_out,)}


class LinearPass:
    """A linear layer at given inputs."""

    def __init__(self, arrays: dict[str, Array], name: str, x: Array, exponent: int = INPUT_EXPONENT) -> None:
        """x [n, fan_in], |x| <= 2^exponent; ``arrays``: of the group that holds layer ``name``."""
        self._name, self._x, self._exponent = name, x, exponent
        self._weight = arrays[f"{name}.weight"]
        self.outputs: Array = layers.affine(x, self._weight, arrays[f"{name}.bias"], exponent)
        """[n, fan_out]"""

    def back(self, gradient: Array, into: Gradients, wanted: bool = True) -> Array:
        """From the gradient [n, fan_out] of the outputs that of x, if it is ``wanted``; the parameters' go ``into``."""
        found = layers.affine_gradient(self._x, self._weight, gradient, self._exponent, wanted)
        into.add(f"{self._name}.weight", found.weight)
        into.add(f"{self._name}.bias", found.bias)
        return found.x


class HiddenPass:
    """A tanh layer at given inputs, or one with a rectifier that is cut off at 8."""

    def __init__(
        self, arrays: dict[str, Array], name: str, x: Array, exponent: int = INPUT_EXPONENT, activation: str = "tanh"
    ) -> None:
        """As ``LinearPass``."""
        self._name, self._x, self._exponent = name, x, exponent
        self._weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        self._before: Array | None = None
        """[n, fan_out] what the rectifier was given."""
        if activation == "relu":
            self._before = layers.affine(x, self._weight, bias, exponent)
            self.outputs: Array = np.minimum(np.maximum(self._before, 0.0), RELU_MAX)
            """[n, fan_out]"""
        else:
            self.outputs = layers.hidden(x, self._weight, bias, exponent)

    def back(self, gradient: Array, into: Gradients, wanted: bool = True) -> Array:
        """As ``LinearPass.back``."""
        if self._before is None:
            found = layers.hidden_gradient(self._x, self._weight, self.outputs, gradient, self._exponent, wanted)
        else:
            inside = (self._before >= 0.0) & (self._before <= RELU_MAX)
            passed = np.where(inside, gradient, 0.0)
            found = layers.affine_gradient(self._x, self._weight, passed, self._exponent, wanted)
        into.add(f"{self._name}.weight", found.weight)
        into.add(f"{self._name}.bias", found.bias)
        return found.x


class FeaturesPass:
    """The hidden layers of a tower at given inputs."""

    def __init__(self, tower: Tower, arrays: dict[str, Array], x: Array) -> None:
        """x [n, fan_in]."""
        self._layers: list[HiddenPass] = []
        for name, exponent in zip(tower.hidden, tower.exponents(), strict=False):
            self._layers.append(HiddenPass(arrays, name, x, exponent, tower.activation))
            x = self._layers[-1].outputs
        self.outputs = x
        """[n, width]"""

    def back(self, gradient: Array, into: Gradients, wanted: bool = False) -> Array:
        """From the gradient [n, width] of the outputs that of x, if it is ``wanted``; the parameters' go ``into``."""
        for depth in range(len(self._layers) - 1, -1, -1):
            gradient = self._layers[depth].back(gradient, into, wanted or depth > 0)
        return gradient


class TowerPass:
    """A whole tower at given inputs."""

    def __init__(self, tower: Tower, arrays: dict[str, Array], x: Array) -> None:
        """x [n, fan_in]."""
        self._features = FeaturesPass(tower, arrays, x)
        self._head = LinearPass(arrays, tower.output, self._features.outputs, tower.exponents()[-1])
        self.outputs = self._head.outputs
        """[n, fan_out]"""

    def back(self, gradient: Array, into: Gradients, wanted: bool = False) -> Array:
        """From the gradient [n, fan_out] of the outputs that of x, if it is ``wanted``; the parameters' go ``into``."""
        return self._features.back(self._head.back(gradient, into), into, wanted)


@dataclass(frozen=True)
class Tower:
    """Hidden layers, then a linear one: names of layers of a group, and what lies between them."""

    hidden: tuple[str, ...]
    output: str
    exponent: int = INPUT_EXPONENT
    """Of the input: |x| <= 2^exponent."""
    activation: str = "tanh"
    """tanh, or relu cut off at 8, so that what the next layer is fed with has a fixed scale."""

    @classmethod
    def named(cls, hidden: str, layers: int, output: str, exponent: int = INPUT_EXPONENT, activation: str = "tanh") -> Tower:
        """``layers`` hidden layers ``hidden``, ``hidden.2``, ..."""
        names = (hidden, *(f"{hidden}.{index}" for index in range(2, layers + 1)))
        return cls(names, output, exponent, activation)

    def shapes(self, fan_in: int, width: int, fan_out: int) -> dict[str, Shape]:
        """Tensors of all layers."""
        shapes: dict[str, Shape] = {}
        for name in self.hidden:
            shapes |= linear_shapes(name, fan_in, width)
            fan_in = width
        return {**shapes, **linear_shapes(self.output, fan_in, fan_out)}

    def exponents(self) -> tuple[int, ...]:
        """Of the input of each layer, the output layer last."""
        return (self.exponent, *(EXPONENTS[self.activation] for _ in self.hidden))

    def layers(self) -> tuple[tuple[str, int], ...]:
        """Name of each layer and exponent of its input, from the first one to the output layer."""
        return tuple(zip((*self.hidden, self.output), self.exponents(), strict=True))

    def forward(self, group: ParameterGroup, x: Array) -> TowerPass:
        """The tower at x [n, fan_in]."""
        return TowerPass(self, group.arrays, x)

    def features(self, group: ParameterGroup, x: Array) -> FeaturesPass:
        """Its hidden layers at x [n, fan_in]."""
        return FeaturesPass(self, group.arrays, x)

    def head(self, group: ParameterGroup, features: Array) -> LinearPass:
        """Its output layer at features [n, width]."""
        return LinearPass(group.arrays, self.output, features, self.exponents()[-1])

    def acting(self, source: Arrays) -> PreparedTower:
        """The same for acting, with the present values of ``source``."""
        *hidden, output = (PreparedLinear.of(source, *pair) for pair in self.layers())
        return PreparedTower(tuple(hidden), output, self.activation == "relu")
