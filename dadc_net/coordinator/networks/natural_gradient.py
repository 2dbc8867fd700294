"""The natural gradient's direction: conjugate gradients on the Fisher matrix, with a fixed number of steps.

Everything is a fixed sequence of exact dot products and IEEE elementwise steps. The number of steps never depends on a
residual: a comparison of floats that are equal on all replicas would be safe, but an early exit buys nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadc_net.exact.array import Array
from dadc_net.exact.grid import total

_VANISHED = 2.0**-200
"""A squared residual this small is zero: dividing by it would only blow up rounding."""


def dot(a: Array, b: Array) -> float:
    """Inner product of two vectors [P]: the elementwise products, summed exactly on their grid."""
    return total(a * b)


def conjugate_gradients(matrix: Callable[[Array], Array], right: Array, steps: int) -> Array:
    """Approximate solution v of ``matrix`` v = ``right`` [P] after ``steps`` steps from zero; matrix positive definite."""
    solution = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    size = dot(residual, residual)
    for _ in range(steps):
        image = matrix(direction)
        curvature = dot(direction, image)
        if size < _VANISHED or curvature < _VANISHED:
            break
        rate = size / curvature
        solution += rate * direction
        residual -= rate * image
        following = dot(residual, residual)
        direction = residual + (following / size) * direction
        size = following
    return solution
