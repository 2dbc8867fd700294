"""Linear layers twice: as torch graph for updates, and prepared on NumPy for acting. Both give the same bits.

Every layer of this package is fed with numbers of magnitude at most 1 (tanh outputs, AIS, one-hot codes), which is the
fixed scale of its input: exponent 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from dadc_net.coordinator.parameters import ParameterGroup, Shape
from dadc_net.errors import InvariantError
from dadc_net.exact import functions, grid
from dadc_net.exact.grid import Array, Operand

INPUT_EXPONENT = 0


class Arrays(Protocol):
    """Anything with named parameter arrays: a parameter group, or a copy of one."""

    @property
    def arrays(self) -> dict[str, Array]:
        """Tensor name -> values."""
        ...


def linear_shapes(name: str, fan_in: int, fan_out: int) -> dict[str, Shape]:
    """Tensor names and shapes of one linear layer."""
    return {f"{name}.weight": (fan_in, fan_out), f"{name}.bias": (fan_out,)}


def linear(group: ParameterGroup, name: str, x: Tensor) -> Tensor:
    """x [n, fan_in] -> [n, fan_out], on the graph; |x| <= 1."""
    return functions.affine(x, group.tensors[f"{name}.weight"], group.tensors[f"{name}.bias"], INPUT_EXPONENT)


@dataclass(frozen=True)
class PreparedLinear:
    """A linear layer for acting: its weight is already rounded for its products, ``grid.product`` is spelt out."""

    weight: Operand
    bias: Array
    """Without negative zeros, so that the sign of a zero that comes out of BLAS ends here."""
    rounding: float
    """Rounds the input onto the grid of its fixed scale."""

    @classmethod
    def of(cls, group: Arrays, name: str) -> PreparedLinear:
        """Prepare layer ``name`` from the group's present values."""
        weight = group.arrays[f"{name}.weight"]
        terms = weight.shape[0]
        if terms > grid.CHUNK_TERMS:
            raise InvariantError(f"layer {name} has {terms} inputs; acting is exact up to {grid.CHUNK_TERMS}")
        rounding = grid.rounding_constant(math.ldexp(1.0, INPUT_EXPONENT - grid.operand_bits(terms)))
        return cls(grid.operand(weight, terms), group.arrays[f"{name}.bias"] + 0.0, rounding)

    def __call__(self, x: Array) -> Array:
        """x [n, fan_in] -> [n, fan_out]; |x| <= 1."""
        rounded = x + self.rounding
        rounded -= self.rounding
        result: Array = rounded @ self.weight.values
        result += self.bias
        return result
