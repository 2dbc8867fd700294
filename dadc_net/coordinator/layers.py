"""Linear layers as torch graph, for updates; ``exact.acting`` has them prepared for acting, with the same bits."""

from __future__ import annotations

from torch import Tensor

from dadc_net.coordinator.parameters import ParameterGroup, Shape
from dadc_net.exact import functions
from dadc_net.exact.acting import INPUT_EXPONENT


def linear_shapes(name: str, fan_in: int, fan_out: int) -> dict[str, Shape]:
    """Tensor names and shapes of one linear layer."""
    return {f"{name}.weight": (fan_in, fan_out), f"{name}.bias": (fan_out,)}


def linear(group: ParameterGroup, name: str, x: Tensor) -> Tensor:
    """x [n, fan_in] -> [n, fan_out], on the graph; |x| <= 1."""
    return functions.affine(x, group.tensors[f"{name}.weight"], group.tensors[f"{name}.bias"], INPUT_EXPONENT)
