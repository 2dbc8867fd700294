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
    return _form(_images(lower, difference))


def _form(images: list[Array]) -> Array:
    total = images[0] * images[0]
    for image in images[1:]:
        total = total + image * image
    result: Array = -0.5 * total
    return result


def climb_corners(lower: Array, peak: Array, sweeps: int) -> Array:
    """A corner of the box -1 .. 1 that no change of one entry betters, or what ``sweeps`` rounds come to: [n, D].

    From the corner nearest to ``peak`` [n, D], one entry after the other is turned over wherever -1/2 |L^T (c - peak)|^2
    becomes larger. Each trial costs D operations a row, where looking at every corner would cost 2^D of them.
    """
    corner: Array = np.where(peak >= 0.0, 1.0, -1.0)
    images = _images(lower, corner - peak)
    most = _form(images)
    for _ in range(sweeps):
        before = most
        for entry in range(peak.shape[1]):
            change = -2.0 * corner[:, entry]
            turned = [image + lower[:, place(entry, j)] * change for j, image in enumerate(images[: entry + 1])]
            worth = _form([*turned, *images[entry + 1 :]])
            better = worth > most
            images[: entry + 1] = [np.where(better, new, old) for new, old in zip(turned, images, strict=False)]
            corner[:, entry] += np.where(better, change, 0.0)
            most = np.where(better, worth, most)
        # A row that a round left alone is left alone by all further ones, whatever other rows are there.
        if np.array_equal(before, most):
            break
    return corner


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
