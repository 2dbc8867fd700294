"""Grid arithmetic as torch autograd functions.

torch carries the graph; every number is made by NumPy through zero-copy views, so no torch kernel whose bits depend on
the CPU is ever called. The backward of each function is written with the functions of this file, so gradients are exact
in the same sense and can be differentiated again (Hessian-vector products, TRPO). What is left to torch itself is
elementwise float64 + - * / between tensors of one shape, which IEEE fixes.

Rules for callers
* No implicit broadcasting: its backward would be a torch reduction. Use ``expand_rows`` or ``expand_columns``.
* A tensor with more than two consumers goes through ``fork``: autograd adds more than two gradient contributions in an
  order of its own choosing, and float addition is not associative.
* ``/`` only by a number; ``divide`` for tensors, because torch's formula for the gradient of a quotient is its own.
* Every tensor is float64: a 32-bit tensor, torch's default, is refused.
* In a second differentiation the first one's use of a tensor counts as a consumer. Products of a Jacobian with a vector
  (the gradient of a gradient with respect to the vector that the first one was taken with) keep to two everywhere.
  A Hessian-vector product with respect to the parameters does not: an activation has its next layers, their weight
  gradients and its own derivative as consumers. Its value is right, but its bits rest on the engine's order.

Axis letters: n rows, m and p columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, grid

HALF_LOG_TWO_PI = 0.9189385332046727
Context = Any  # torch types the context of a Function loosely
Gradients = tuple[Tensor | None, ...]


def _numpy(tensor: Tensor) -> grid.Array:
    if tensor.dtype is not torch.float64:
        raise TypeError(f"exact functions take float64 tensors, got {tensor.dtype}")
    array: grid.Array = tensor.detach().numpy()
    return array


def _require_within(tensor: Tensor, exponent: int | None) -> None:
    if exponent is not None:
        grid.require_within(_numpy(tensor), exponent)


def _tensor(array: grid.Array) -> Tensor:
    # A broadcast view is copied: torch must own memory that is dense and writable.
    dense = np.asarray(array)
    return torch.from_numpy(dense if dense.flags.c_contiguous and dense.flags.writeable else dense.copy())


def _apply(function: type[Function], *arguments: Any) -> Tensor:
    """``function.apply``, which torch leaves untyped."""
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


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
        da = _apply(_Product, gradient, b.t(), None, b_exponent) if ctx.needs_input_grad[0] else None
        db = _apply(_Product, a.t(), gradient, a_exponent, None) if ctx.needs_input_grad[1] else None
        return da, db, None, None


def product(a: Tensor, b: Tensor, a_exponent: int | None = None, b_exponent: int | None = None) -> Tensor:
    """Matrix product [n, m] x [m, p] -> [n, p]; see ``grid.product``.

    Raises:
        NumericError: if an operand exceeds its fixed scale.
    """
    _require_within(a, a_exponent)
    _require_within(b, b_exponent)
    return _apply(_Product, a, b, a_exponent, b_exponent)


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
        # A second differentiation sends back three contributions to the gradient: they are joined in a fixed order.
        parts = fork(gradient, 3) if torch.is_grad_enabled() else (gradient, gradient, gradient)
        dx = _apply(_Product, parts[0], weight.t(), None, None) if ctx.needs_input_grad[0] else None
        return dx, _apply(_Product, x.t(), parts[1], ctx.x_exponent, None), _apply(_ColumnSums, parts[2]), None


def affine(x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int | None) -> Tensor:
    """A linear layer: x [n, m] times weight [m, p] plus bias [p] -> [n, p]; |x| <= 2^x_exponent.

    Raises:
        NumericError: if x exceeds its fixed scale.
    """
    _require_within(x, x_exponent)
    return _apply(_Affine, x, weight, bias, x_exponent)


class _ColumnSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        return _tensor(grid.column_sums(_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (_apply(_ExpandRows, gradients[0], ctx.rows),)


class _ExpandRows(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, rows: int) -> Tensor:
        return _tensor(np.broadcast_to(_numpy(x), (rows, *x.shape)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return _apply(_ColumnSums, gradients[0]), None


def column_sums(x: Tensor) -> Tensor:
    """Sum over rows: [n, m] -> [m]."""
    return _apply(_ColumnSums, x)


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """Repeat a row: [m] -> [n, m]; a number: [] -> [n]."""
    return _apply(_ExpandRows, x, rows)


class _RowSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.columns = x.shape[1]
        return _tensor(grid.row_sums(_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (_apply(_ExpandColumns, gradients[0], ctx.columns),)


class _ExpandColumns(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, columns: int) -> Tensor:
        return _tensor(np.broadcast_to(_numpy(x)[:, None], (x.shape[0], columns)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return _apply(_RowSums, gradients[0]), None


def row_sums(x: Tensor) -> Tensor:
    """Sum along rows: [n, m] -> [n]."""
    return _apply(_RowSums, x)


def expand_columns(x: Tensor, columns: int) -> Tensor:
    """Repeat a column: [n] -> [n, m]."""
    return _apply(_ExpandColumns, x, columns)


def mean(x: Tensor, count: float | None = None) -> Tensor:
    """Sum of a vector [n] divided by ``count`` (its length if None): a number [].

    Raises:
        ValueError: if x is not a vector.
    """
    if x.dim() != 1:
        raise ValueError(f"mean takes a vector, got shape {tuple(x.shape)}")
    summed: Tensor = _apply(_ColumnSums, x)
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
        return (_apply(_TanhGradient, gradients[0], y),)


class _TanhGradient(Function):
    """gradient (1 - y^2): one consumer of y, where the written-out form would be two."""

    @staticmethod
    def forward(ctx: Context, gradient: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, y)
        slope = _numpy(y) * _numpy(y)
        np.subtract(1.0, slope, out=slope)
        return _tensor(_numpy(gradient) * slope)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        gradient, y = ctx.saved_tensors
        return _apply(_TanhGradient, gradients[0], y), gradients[0] * gradient * y * -2.0


def tanh(x: Tensor) -> Tensor:
    """tanh on the grid 2^-26; any shape."""
    return _apply(_Tanh, x)


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
    return _apply(_Exp, x)


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
    return _apply(_Log, x)


class _Divide(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
        quotient = _tensor(_numpy(a) / _numpy(b))
        ctx.save_for_backward(b, quotient)
        return quotient

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        b, quotient = ctx.saved_tensors
        parts = fork(_apply(_Divide, gradients[0], b), 2)
        return parts[0], -(parts[1] * quotient)


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Elementwise a / b of two tensors of one shape; its gradients are g / b and -(g / b) (a / b)."""
    return _apply(_Divide, a, b)


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
        summed = _apply(_ExpandColumns, _apply(_RowSums, gradient), y.shape[1])
        return (gradient - _apply(_Exp, y) * summed,)


def log_softmax(logits: Tensor) -> Tensor:
    """log of softmax along rows: [n, m] -> [n, m]."""
    return _apply(_LogSoftmax, logits)


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
        return _apply(_Place, gradients[0], index, ctx.columns), None


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
        return _apply(_Pick, gradients[0], index), None, None


def pick(x: Tensor, index: Tensor) -> Tensor:
    """One element of each row: x [n, m], index int64 [n] -> [n]."""
    return _apply(_Pick, x, index)


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
    return _apply(_SmoothL1, difference)


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
    copies: tuple[Tensor, ...] = _Fork.apply(x, count)  # type: ignore[no-untyped-call]
    return copies


def entropy(log_probabilities: Tensor) -> Tensor:
    """-sum p log p of each row of log-probabilities: [n, m] -> [n], in nats."""
    logs = fork(log_probabilities, 2)
    return -row_sums(exp(logs[0]) * logs[1])


def gaussian_log_density(x: Tensor, mean_: Tensor, log_deviation: Tensor) -> Tensor:
    """log density of independent Gaussians, summed along rows: three [n, m] tensors -> [n].

    The deviation is exp of ``log_deviation``, which has to lie in -8 .. 8: above, exp has no grid; below, its grid is
    coarse against its value (at -8 the deviation is right to 1.4e-6). log(2 pi) / 2 is one stated float64.

    Raises:
        NumericError: if a log-deviation lies outside -8 .. 8.
    """
    if not bool((log_deviation.abs() <= elementary.EXP_MAX).all()):
        raise NumericError(
            f"a log-deviation is outside -{elementary.EXP_MAX} .. {elementary.EXP_MAX} or NaN. The density would lose "
            "its accuracy. Clamp it."
        )
    logs = fork(log_deviation, 2)
    standardised = divide(x - mean_, exp(logs[0]))
    scores = fork(standardised, 2)
    return row_sums((scores[0] * scores[1]) * -0.5 - logs[1] - HALF_LOG_TWO_PI)
