"""Linear layers as torch graph, for updates; ``exact.acting`` has them prepared for acting, with the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.exact import functions
from dadc_net.exact.acting import INPUT_EXPONENT, RELU_EXPONENT, RELU_MAX, Arrays, PreparedLinear, PreparedTower

EXPONENTS = {"tanh": 0, "relu": RELU_EXPONENT}
"""Fixed scales of what an activation puts out."""


def linear_shapes(name: str, fan_in: int, fan_out: int) -> dict[str, Shape]:
    """Tensor names and shapes of one linear layer."""
    return {f"{name}.weight": (fan_in, fan_out), f"{name}.bias": (fan_out,)}


def linear(group: ParameterGroup, name: str, x: Tensor, exponent: int = INPUT_EXPONENT) -> Tensor:
    """x [n, fan_in] -> [n, fan_out], on the graph; |x| <= 2^exponent."""
    return functions.affine(x, group.tensors[f"{name}.weight"], group.tensors[f"{name}.bias"], exponent)


def hidden(group: ParameterGroup, name: str, x: Tensor, exponent: int = INPUT_EXPONENT, activation: str = "tanh") -> Tensor:
    """A linear layer and what follows it: x [n, fan_in] -> [n, fan_out], on the graph; |x| <= 2^exponent."""
    if activation == "relu":
        return linear(group, name, x, exponent).clamp(0.0, RELU_MAX)
    return functions.hidden(x, group.tensors[f"{name}.weight"], group.tensors[f"{name}.bias"], exponent)


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

    def features(self, group: ParameterGroup, x: Tensor) -> Tensor:
        """The last hidden layer [n, width] of x [n, fan_in], on the graph."""
        for name, exponent in zip(self.hidden, self.exponents(), strict=False):
            x = hidden(group, name, x, exponent, self.activation)
        return x

    def forward(self, group: ParameterGroup, x: Tensor) -> Tensor:
        """x [n, fan_in] -> [n, fan_out], on the graph."""
        return self.head(group, self.features(group, x))

    def head(self, group: ParameterGroup, features: Tensor) -> Tensor:
        """The output layer alone: [n, width] -> [n, fan_out], on the graph."""
        return linear(group, self.output, features, self.exponents()[-1])

    def acting(self, source: Arrays) -> PreparedTower:
        """The same off the graph, with the present values of ``source``."""
        *hidden, output = (PreparedLinear.of(source, *pair) for pair in self.layers())
        return PreparedTower(tuple(hidden), output, self.activation == "relu")
