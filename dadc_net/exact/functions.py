"""Grid arithmetic as torch autograd functions.

torch carries the graph; every number is made by NumPy through zero-copy views, so no torch kernel whose bits depend on
the CPU is ever called. The backward of each function is written with the functions of this file, so gradients are exact
in the same sense and can be differentiated again (Hessian-vector products, TRPO). What is left to torch itself is
elementwise float64 + - * / between tensors of one shape, which IEEE fixes.

Rules for callers
* No implicit broadcasting: its backward would be a torch reduction. Use ``expand_rows`` or ``expand_columns``.
* A tensor with more than two consumers goes through ``fork``: autograd adds more than two gradient contributions in an
  order of its own choosing, and float addition is not associative.

Axis letters: n rows, m and p columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from dadc_net.exact import elementary, grid

Context = Any  # torch types the context of a Function loosely
Gradients = tuple[Tensor | None, ...]


def _numpy(tensor: Tensor) -> grid.Array:
    array: grid.Array = tensor.detach().numpy()
    return array


def _tensor(array: grid.Array) -> Tensor:
    # A broadcast view is copied: torch must own memory that is dense and writable.
    dense = np.asarray(array)
    return torch.from_numpy(dense if dense.flags.c_contiguous and dense.flags.writeable else dense.copy())


class _Product(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor, b: Tensor, a_exponent: int | None, b_exponent: int | None) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.exponents = (a_exponent, b_exponent)
        return _tensor(grid.product(_numpy(a), _numpy(b), a_exponent, b_exponent))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (gradient,) = gradients
        a, b = ctx.saved_tensors
        a_exponent, b_exponent = ctx.exponents
        da = _Product.apply(gradient, b.t(), None, b_exponent) if ctx.needs_input_grad[0] else None
        db = _Product.apply(a.t(), gradient, a_exponent, None) if ctx.needs_input_grad[1] else None
        return da, db, None, None


def product(a: Tensor, b: Tensor, a_exponent: int | None = None, b_exponent: int | None = None) -> Tensor:
    """Matrix product [n, m] x [m, p] -> [n, p]; see ``grid.product``."""
    return _Product.apply(a, b, a_exponent, b_exponent)  # type: ignore[no-any-return]


class _Affine(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.x_exponent = x_exponent
        result = grid.product(_numpy(x), _numpy(weight), x_exponent)
        result += _numpy(bias)
        return _tensor(result)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        dx = _Product.apply(gradient, weight.t(), None, None) if ctx.needs_input_grad[0] else None
        return dx, _Product.apply(x.t(), gradient, ctx.x_exponent, None), _ColumnSums.apply(gradient), None


def affine(x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int | None) -> Tensor:
    """A linear layer: x [n, m] times weight [m, p] plus bias [p] -> [n, p]; |x| <= 2^x_exponent."""
    return _Affine.apply(x, weight, bias, x_exponent)  # type: ignore[no-any-return]


class _ColumnSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        return _tensor(grid.column_sums(_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (_ExpandRows.apply(gradients[0], ctx.rows),)


class _ExpandRows(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, rows: int) -> Tensor:
        return _tensor(np.broadcast_to(_numpy(x), (rows, *x.shape)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return _ColumnSums.apply(gradients[0]), None


def column_sums(x: Tensor) -> Tensor:
    """Sum over rows: [n, m] -> [m]."""
    return _ColumnSums.apply(x)  # type: ignore[no-any-return]


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """Repeat a row: [m] -> [n, m]; a number: [] -> [n]."""
    return _ExpandRows.apply(x, rows)  # type: ignore[no-any-return]


class _RowSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.columns = x.shape[1]
        return _tensor(grid.row_sums(_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (_ExpandColumns.apply(gradients[0], ctx.columns),)


class _ExpandColumns(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, columns: int) -> Tensor:
        return _tensor(np.broadcast_to(_numpy(x)[:, None], (x.shape[0], columns)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return _RowSums.apply(gradients[0]), None


def row_sums(x: Tensor) -> Tensor:
    """Sum along rows: [n, m] -> [n]."""
    return _RowSums.apply(x)  # type: ignore[no-any-return]


def expand_columns(x: Tensor, columns: int) -> Tensor:
    """Repeat a column: [n] -> [n, m]."""
    return _ExpandColumns.apply(x, columns)  # type: ignore[no-any-return]


def mean(x: Tensor, count: float | None = None) -> Tensor:
    """Sum of a vector [n] divided by ``count`` (its length if None): a number [].

    Raises:
        ValueError: if x is not a vector.
    """
    if x.dim() != 1:
        raise ValueError(f"mean takes a vector, got shape {tuple(x.shape)}")
    summed: Tensor = _ColumnSums.apply(x)
    return summed / float(x.shape[0] if count is None else count)


class _Tanh(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        y = _tensor(elementary.tanh(_numpy(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        return (gradients[0] * (1.0 - y * y),)


def tanh(x: Tensor) -> Tensor:
    """tanh on the grid 2^-26; any shape."""
    return _Tanh.apply(x)  # type: ignore[no-any-return]


class _Exp(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        y = _tensor(elementary.exp(_numpy(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        return (gradients[0] * y,)


def exp(x: Tensor) -> Tensor:
    """exp on the grid 2^-30, arguments up to 8; any shape."""
    return _Exp.apply(x)  # type: ignore[no-any-return]


class _Log(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _tensor(elementary.log(_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (x,) = ctx.saved_tensors
        return (gradients[0] / x,)


def log(x: Tensor) -> Tensor:
    """Natural logarithm on the grid 2^-30, arguments in 2^-30 .. 2^30; any shape."""
    return _Log.apply(x)  # type: ignore[no-any-return]


class _LogSoftmax(Function):
    @staticmethod
    def forward(ctx: Context, logits: Tensor) -> Tensor:
        y = _tensor(elementary.log_softmax(_numpy(logits)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (y,) = ctx.saved_tensors
        (gradient,) = gradients
        summed = _ExpandColumns.apply(_RowSums.apply(gradient), y.shape[1])
        return (gradient - _Exp.apply(y) * summed,)


def log_softmax(logits: Tensor) -> Tensor:
    """log of softmax along rows: [n, m] -> [n, m]."""
    return _LogSoftmax.apply(logits)  # type: ignore[no-any-return]


class _Pick(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.columns = x.shape[1]
        chosen = np.take_along_axis(_numpy(x), index.numpy()[:, None], axis=1)[:, 0]
        return _tensor(chosen)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (index,) = ctx.saved_tensors
        return _Place.apply(gradients[0], index, ctx.columns), None


class _Place(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, index: Tensor, columns: int) -> Tensor:
        ctx.save_for_backward(index)
        placed = np.zeros((x.shape[0], columns))
        np.put_along_axis(placed, index.numpy()[:, None], _numpy(x)[:, None], axis=1)
        return _tensor(placed)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (index,) = ctx.saved_tensors
        return _Pick.apply(gradients[0], index), None, None


def pick(x: Tensor, index: Tensor) -> Tensor:
    """One element of each row: x [n, m], index int64 [n] -> [n]."""
    return _Pick.apply(x, index)  # type: ignore[no-any-return]


class _SmoothL1(Function):
    @staticmethod
    def forward(ctx: Context, difference: Tensor) -> Tensor:
        ctx.save_for_backward(difference)
        d = _numpy(difference)
        size = np.abs(d)
        return _tensor(np.where(size < 1.0, 0.5 * d * d, size - 0.5))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (difference,) = ctx.saved_tensors
        return (gradients[0] * difference.clamp(-1.0, 1.0),)


def smooth_l1(difference: Tensor) -> Tensor:
    """Huber loss with threshold 1 of each element: d^2 / 2 where |d| < 1, otherwise |d| - 1/2; any shape."""
    return _SmoothL1.apply(difference)  # type: ignore[no-any-return]


class _Fork(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, count: int) -> tuple[Tensor, ...]:
        return tuple(x.view_as(x) for _ in range(count))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        joined = gradients[0]
        for gradient in gradients[1:]:
            joined = joined + gradient
        return joined, None


def fork(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """``count`` copies of x whose gradients are added in index order."""
    return _Fork.apply(x, count)  # type: ignore[no-any-return]


def entropy(log_probabilities: Tensor) -> Tensor:
    """-sum p log p of each row of log-probabilities: [n, m] -> [n], in nats."""
    logs = fork(log_probabilities, 2)
    return -row_sums(exp(logs[0]) * logs[1])


def gaussian_log_density(x: Tensor, mean_: Tensor, log_deviation: Tensor) -> Tensor:
    """log density of independent Gaussians, summed along rows: three [n, m] tensors -> [n].

    The deviation is exp of ``log_deviation`` (at most 8); the constant log(2 pi) / 2 is one stated float64.
    """
    logs = fork(log_deviation, 2)
    standardised = (x - mean_) / exp(logs[0])
    scores = fork(standardised, 2)
    return row_sums((scores[0] * scores[1]) * -0.5 - logs[1] - HALF_LOG_TWO_PI)


HALF_LOG_TWO_PI = 0.9189385332046727
