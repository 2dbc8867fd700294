"""Linear layers twice: as torch graph for updates, and prepared on NumPy for acting. Both give the same bits.

Every layer of this package is fed with numbers of magnitude at most 1 (tanh outputs, AIS, one-hot codes), which is the
fixed scale of its input: exponent 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dadc_net.coordinator.parameters import ParameterGroup, Shape
from dadc_net.exact import functions, grid
from dadc_net.exact.grid import Array, Operand

INPUT_EXPONENT = 0


def linear_shapes(name: str, fan_in: int, fan_out: int) -> dict[str, Shape]:
    """Tensor names and shapes of one linear layer."""
    return {f"{name}.weight": (fan_in, fan_out), f"{name}.bias": (fan_out,)}


def linear(group: ParameterGroup, name: str, x: Tensor) -> Tensor:
    """x [n, fan_in] -> [n, fan_out], on the graph; |x| <= 1."""
    return functions.affine(x, group.tensors[f"{name}.weight"], group.tensors[f"{name}.bias"], INPUT_EXPONENT)


@dataclass(frozen=True)
class PreparedLinear:
    """A linear layer whose weight is already rounded for its products."""

    weight: Operand
    bias: Array

    @classmethod
    def of(cls, group: ParameterGroup, name: str) -> PreparedLinear:
        """Prepare layer ``name`` from the group's present values."""
        weight = group.arrays[f"{name}.weight"]
        return cls(grid.operand(weight, weight.shape[0]), group.arrays[f"{name}.bias"])

    def __call__(self, x: Array) -> Array:
        """x [n, fan_in] -> [n, fan_out]; |x| <= 1."""
        result = grid.product(x, self.weight, INPUT_EXPONENT)
        result += self.bias
        return result
