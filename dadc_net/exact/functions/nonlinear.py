"""Elementary functions of tensors, on their grids. Rules for callers stand in the package's docstring."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from dadc_net.exact import elementary, grid
from dadc_net.exact.functions.bridge import Context, Gradients, apply, to_numpy, to_tensor
from dadc_net.exact.functions.linear import expand_columns, fork, row_sums


class _Tanh(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        y = to_tensor(elementary.tanh(to_numpy(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        return (apply(_TanhGradient, gradients[0], y),)


class _TanhGradient(Function):
    """gradient (1 - y^2): one consumer of y, where the written-out form would be two."""

    @staticmethod
    def forward(ctx: Context, gradient: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, y)
        return to_tensor(elementary.tanh_gradient(to_numpy(gradient), to_numpy(y)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        gradient, y = ctx.saved_tensors
        return apply(_TanhGradient, gradients[0], y), gradients[0] * gradient * y * -2.0


def tanh(x: Tensor) -> Tensor:
    """tanh on the grid 2^-26; any shape."""
    return apply(_Tanh, x)


class _Exp(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        y = to_tensor(elementary.exp(to_numpy(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        return (gradients[0] * y,)


def exp(x: Tensor) -> Tensor:
    """exp on the grid 2^-30, arguments up to 8; any shape."""
    return apply(_Exp, x)


class _Log(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return to_tensor(elementary.log(to_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (x,) = ctx.saved_tensors
        return (gradients[0] / x,)


def log(x: Tensor) -> Tensor:
    """Natural logarithm on the grid 2^-30, arguments in 2^-30 .. 2^30; any shape."""
    return apply(_Log, x)


class _Sqrt(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        y = to_tensor(np.sqrt(to_numpy(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        return (apply(_Divide, gradients[0], y) * 0.5,)


def sqrt(x: Tensor) -> Tensor:
    """IEEE square root; any shape, x > 0 where a gradient is wanted."""
    return apply(_Sqrt, x)


class _Divide(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
        quotient = to_tensor(to_numpy(a) / to_numpy(b))
        ctx.save_for_backward(b, quotient)
        return quotient

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        b, quotient = ctx.saved_tensors
        parts = fork(apply(_Divide, gradients[0], b), 2)
        return parts[0], -(parts[1] * quotient)


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Elementwise a / b of two tensors of one shape; its gradients are g / b and -(g / b) (a / b)."""
    return apply(_Divide, a, b)


class _LogSoftmax(Function):
    @staticmethod
    def forward(ctx: Context, logits: Tensor) -> Tensor:
        y = to_tensor(elementary.log_softmax(to_numpy(logits)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        (gradient,) = gradients
        if not torch.is_grad_enabled():
            shares = elementary.exp(to_numpy(y))
            shares *= grid.row_sums(to_numpy(gradient))[:, None]
            return (to_tensor(np.subtract(to_numpy(gradient), shares, out=shares)),)
        summed = expand_columns(row_sums(gradient), y.shape[1])
        return (gradient - apply(_Exp, y) * summed,)


def log_softmax(logits: Tensor) -> Tensor:
    """log of softmax along rows: [n, m] -> [n, m]."""
    return apply(_LogSoftmax, logits)


class _SmoothL1(Function):
    @staticmethod
    def forward(ctx: Context, difference: Tensor) -> Tensor:
        ctx.save_for_backward(difference)
        d = to_numpy(difference)
        size = np.abs(d)
        return to_tensor(np.where(size < 1.0, 0.5 * d * d, size - 0.5))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (difference,) = ctx.saved_tensors
        return (gradients[0] * difference.clamp(-1.0, 1.0),)


def smooth_l1(difference: Tensor) -> Tensor:
    """Huber loss with threshold 1 of each element: d^2 / 2 where |d| < 1, otherwise |d| - 1/2; any shape."""
    return apply(_SmoothL1, difference)
