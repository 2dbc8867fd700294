"""Between torch and NumPy: zero-copy views, checks of type and scale, and a typed ``apply``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from dadc_net.exact import compiled, grid
from dadc_net.exact.array import Array

Context = Any  # torch types the context of a Function loosely
Gradients = tuple[Tensor | None, ...]


def to_numpy(tensor: Tensor) -> Array:
    if tensor.dtype is not torch.float64:
        raise TypeError(f"exact functions take float64 tensors, got {tensor.dtype}")
    # A detached view costs as much as the array, and what no gradient is wanted of needs none.
    array: Array = (tensor.detach() if tensor.requires_grad else tensor).numpy()
    return array


def require_within(tensor: Tensor, exponent: int | None) -> None:
    # Kernels check what they round.
    if exponent is not None and compiled.kernels is None:
        grid.require_within(to_numpy(tensor), exponent)


def to_tensor(array: Array) -> Tensor:
    # A broadcast view is copied: torch must own memory that is dense and writable.
    dense = np.asarray(array)
    return torch.from_numpy(dense if dense.flags.c_contiguous and dense.flags.writeable else dense.copy())


class _NoGraph:
    """The context of a call that nobody will differentiate: takes what is kept for a backward pass and forgets it."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep nothing."""


def apply(function: type[Function], *arguments: Any) -> Tensor:
    """``function.apply``; inside a backward pass that is not differentiated itself, without torch's bookkeeping."""
    if torch.is_grad_enabled():
        result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    else:
        result = function.forward(_NoGraph(), *arguments)
    return result
