"""Products, sums and their shapes: all that is linear. Rules for callers stand in the package's docstring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from dadc_net.exact import grid
from dadc_net.exact.functions.bridge import Context, Gradients, apply, require_within, to_numpy, to_tensor


class _Product(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor, b: Tensor, a_exponent: int | None, b_exponent: int | None) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.exponents = (a_exponent, b_exponent)
        return to_tensor(grid.product(to_numpy(a), to_numpy(b), a_exponent, b_exponent))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (gradient,) = gradients
        a, b = ctx.saved_tensors
        a_exponent, b_exponent = ctx.exponents
        da = apply(_Product, gradient, b.t(), None, b_exponent) if ctx.needs_input_grad[0] else None
        db = apply(_Product, a.t(), gradient, a_exponent, None) if ctx.needs_input_grad[1] else None
        return da, db, None, None


def product(a: Tensor, b: Tensor, a_exponent: int | None = None, b_exponent: int | None = None) -> Tensor:
    """Matrix product [n, m] x [m, p] -> [n, p]; see ``grid.product``.

    Raises:
        NumericError: if an operand exceeds its fixed scale.
    """
    require_within(a, a_exponent)
    require_within(b, b_exponent)
    return apply(_Product, a, b, a_exponent, b_exponent)


class _Affine(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.x_exponent = x_exponent
        return to_tensor(grid.product(to_numpy(x), to_numpy(weight), x_exponent, bias=to_numpy(bias)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A second differentiation sends back three contributions to the gradient: they are joined in a fixed order.
            parts = fork(gradient, 3)
            dx = apply(_Product, parts[0], weight.t(), None, None) if ctx.needs_input_grad[0] else None
            return dx, apply(_Product, x.t(), parts[1], ctx.x_exponent, None), apply(_ColumnSums, parts[2]), None
        wanted = ctx.needs_input_grad[0]
        left, right, sums = grid.gradient_parts(to_numpy(gradient), wanted)
        dx = to_tensor(grid.product(left, to_numpy(weight).T)) if wanted else None
        d_weight = grid.product(to_numpy(x).T, right, ctx.x_exponent)
        return dx, to_tensor(d_weight), to_tensor(sums), None


def affine(x: Tensor, weight: Tensor, bias: Tensor, x_exponent: int | None) -> Tensor:
    """A linear layer: x [n, m] times weight [m, p] plus bias [p] -> [n, p]; |x| <= 2^x_exponent.

    Raises:
        NumericError: if x exceeds its fixed scale.
    """
    require_within(x, x_exponent)
    return apply(_Affine, x, weight, bias, x_exponent)


class _ColumnSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        return to_tensor(grid.column_sums(to_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (apply(_ExpandRows, gradients[0], ctx.rows),)


class _ExpandRows(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, rows: int) -> Tensor:
        return to_tensor(np.broadcast_to(to_numpy(x), (rows, *x.shape)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return apply(_ColumnSums, gradients[0]), None


def column_sums(x: Tensor) -> Tensor:
    """Sum over rows: [n, m] -> [m]."""
    return apply(_ColumnSums, x)


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """Repeat a row: [m] -> [n, m]; a number: [] -> [n]."""
    return apply(_ExpandRows, x, rows)


class _RowSums(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.columns = x.shape[1]
        return to_tensor(grid.row_sums(to_numpy(x)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return (apply(_ExpandColumns, gradients[0], ctx.columns),)


class _ExpandColumns(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, columns: int) -> Tensor:
        return to_tensor(np.broadcast_to(to_numpy(x)[:, None], (x.shape[0], columns)))

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        return apply(_RowSums, gradients[0]), None


def row_sums(x: Tensor) -> Tensor:
    """Sum along rows: [n, m] -> [n]."""
    return apply(_RowSums, x)


def expand_columns(x: Tensor, columns: int) -> Tensor:
    """Repeat a column: [n] -> [n, m]."""
    return apply(_ExpandColumns, x, columns)


class _WeightedMean(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weights: Tensor, count: float) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.count = count
        return to_tensor(grid.column_sums(to_numpy(x) * to_numpy(weights)) / count)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (weights,) = ctx.saved_tensors
        share = gradients[0] / ctx.count
        if torch.is_grad_enabled():
            return apply(_ExpandRows, share, weights.shape[0]) * weights, None, None
        return to_tensor(to_numpy(share) * to_numpy(weights)), None, None


def mean(x: Tensor, count: float | None = None, weights: Tensor | None = None) -> Tensor:
    """Sum of a vector [n], times ``weights`` [n] that are data, divided by ``count`` (its length if None): a number [].

    Raises:
        ValueError: if x is not a vector.
    """
    if x.dim() != 1:
        raise ValueError(f"mean takes a vector, got shape {tuple(x.shape)}")
    divisor = float(x.shape[0] if count is None else count)
    if weights is not None:
        return apply(_WeightedMean, x, weights, divisor)
    summed: Tensor = apply(_ColumnSums, x)
    return summed / divisor


def gradients(values: Tensor, gradient: NDArray[np.float64], leaves: Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """From the gradient [n] of ``values`` [n] those of ``leaves``; may be asked for again.

    It goes by way of a number: torch imports a computer algebra system (0.4 s, 40 MB) as soon as it is handed an explicit
    output gradient.
    """
    weighted = mean(values, 1.0, torch.from_numpy(gradient))
    return [found.numpy() for found in torch.autograd.grad(weighted, list(leaves), retain_graph=True)]


class _Pick(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.columns = x.shape[1]
        return to_tensor(to_numpy(x)[np.arange(x.shape[0]), index.numpy()])

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (index,) = ctx.saved_tensors
        return apply(_Place, gradients[0], index, ctx.columns), None


class _Place(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, index: Tensor, columns: int) -> Tensor:
        ctx.save_for_backward(index)
        placed = np.zeros((x.shape[0], columns))
        placed[np.arange(x.shape[0]), index.numpy()] = to_numpy(x)
        return to_tensor(placed)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        (index,) = ctx.saved_tensors
        return apply(_Pick, gradients[0], index), None, None


def pick(x: Tensor, index: Tensor) -> Tensor:
    """One element of each row: x [n, m], index int64 [n] -> [n]."""
    return apply(_Pick, x, index)


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
