"""What the learner asks for again and again, each under one node of the graph: differentiable once.

The bits are those of the functions of this package that they stand for, put together; there is less to keep, to copy and to
call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dadc_net.exact import categorical as softmax
from dadc_net.exact import compiled, elementary, grid
from dadc_net.exact.array import Array
from dadc_net.exact.functions.bridge import Context, Gradients, require_within, to_numpy, to_tensor


def _hidden(x: Array, weight: Array, bias: Array, exponent: int) -> Array:
    y = grid.product(x, weight, exponent, bias=bias)
    if compiled.kernels is None:
        return elementary.tanh(y)
    if compiled.kernels.tanh_tested(y.reshape(-1), elementary.TOLERANCE):
        return y
    return elementary.tanh(grid.product(x, weight, exponent, bias=bias))  # The kernel has spoilt y.


class _Hidden(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, exponent: int) -> Tensor:
        arrays = to_numpy(x), to_numpy(weight)
        y = _hidden(*arrays, to_numpy(bias), exponent)
        ctx.kept = *arrays, y, exponent
        return torch.from_numpy(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        x, weight, y, exponent = ctx.kept
        wanted = ctx.needs_input_grad[0]
        left, right, sums = grid.hidden_gradient_parts(to_numpy(gradients[0]), y, wanted)
        dx = torch.from_numpy(grid.product(left, weight.T)) if wanted else None
        return dx, torch.from_numpy(grid.product(x.T, right, exponent)), torch.from_numpy(sums), None


def hidden(x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int) -> Tensor:
    """A tanh layer: tanh(x W + b) of x [n, m], weight [m, p], bias [p] -> [n, p]; |x| <= 2^x_exponent.

    Raises:
        NumericError: if x exceeds its fixed scale.
    """
    require_within(x, x_exponent)
    result: Tensor = _Hidden.apply(x, weight, bias, x_exponent)  # type: ignore[no-untyped-call]
    return result


class _Categorical(Function):
    @staticmethod
    def forward(ctx: Context, logits: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.drawn = np.ascontiguousarray(drawn.numpy())
        ctx.found = softmax.forward(to_numpy(logits), ctx.drawn)
        return to_tensor(ctx.found.taken), to_tensor(ctx.found.entropy)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Any) -> Gradients:
        d_taken, d_entropy = (
            np.zeros(len(ctx.drawn)) if gradient is None else np.ascontiguousarray(to_numpy(gradient))
            for gradient in gradients
        )
        return torch.from_numpy(softmax.backward(ctx.found, ctx.drawn, d_taken, d_entropy)), None


def categorical(logits: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Of softmax(logits) along rows: log-probability of ``drawn`` and entropy in nats.

    Args:
        logits: [n, m]
        drawn: int64 [n], 0 .. m-1.

    Returns:
        [n] and [n].
    """
    taken, entropy = _Categorical.apply(logits, drawn)  # type: ignore[no-untyped-call]
    return taken, entropy
