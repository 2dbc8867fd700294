"""A quadratic form given by a triangular factor: -1/2 |L^T d|^2 of each row, for a critic that is quadratic in theta."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dadc_net.exact.array import Array
from dadc_net.exact.functions.bridge import Context, Gradients, to_numpy, to_tensor


def place(row: int, column: int) -> int:
    """Where entry (row, column), column <= row, of a lower triangle stands when it is written row by row."""
    return row * (row + 1) // 2 + column


def _images(lower: Array, difference: Array) -> list[Array]:
    """y = L^T d, one [n] per column j: sum over i >= j of L_ij d_i in index order."""
    size = difference.shape[1]
    images = []
    for j in range(size):
        image = lower[:, place(j, j)] * difference[:, j]
        for i in range(j + 1, size):
            image = image + lower[:, place(i, j)] * difference[:, i]
        images.append(image)
    return images


def triangular_values(lower: Array, difference: Array) -> Array:
    """The bits of ``triangular_form`` off the graph, same arguments: [n]."""
    images = _images(lower, difference)
    total = images[0] * images[0]
    for image in images[1:]:
        total = total + image * image
    result: Array = -0.5 * total
    return result


class _TriangularForm(Function):
    @staticmethod
    def forward(ctx: Context, lower: Tensor, difference: Tensor) -> Tensor:
        ctx.save_for_backward(lower, difference)
        return to_tensor(triangular_values(to_numpy(lower), to_numpy(difference)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> Gradients:
        lower, difference = (to_numpy(tensor) for tensor in ctx.saved_tensors)
        size = difference.shape[1]
        weighted = [-to_numpy(gradients[0]) * image for image in _images(lower, difference)]
        d_lower, d_difference = np.empty_like(lower), np.empty_like(difference)
        for i in range(size):
            d_difference[:, i] = lower[:, place(i, 0)] * weighted[0]
            for j in range(1, i + 1):
                d_difference[:, i] += lower[:, place(i, j)] * weighted[j]
            for j in range(i + 1):
                d_lower[:, place(i, j)] = weighted[j] * difference[:, i]
        return to_tensor(d_lower), to_tensor(d_difference)


def triangular_form(lower: Tensor, difference: Tensor) -> Tensor:
    """-1/2 d^T L L^T d of each row, IEEE steps in index order; differentiable once.

    Args:
        lower: [n, D (D + 1) / 2] the lower triangle L, row by row.
        difference: [n, D] d.

    Returns:
        [n], at most 0.
    """
    result: Tensor = _TriangularForm.apply(lower, difference)  # type: ignore[no-untyped-call]
    return result
