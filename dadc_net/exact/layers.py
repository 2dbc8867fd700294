"""Layers and losses as numbers, forwards and backwards: the bits that a graph of ``functions`` gives, without a graph.

A step on some hundred rows is so short that a graph for it costs as much again. So networks are taken back through by hand,
layer by layer.

Axis letters: n rows, m inputs, p outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dadc_net.exact import compiled, elementary, grid
from dadc_net.exact.array import Array

_NOTHING: Array = np.empty((0, 0))


class LayerGradient(NamedTuple):
    """Gradients of a layer."""

    x: Array
    """[n, m] of its input; of no use where nobody wanted it"""
    weight: Array
    """[m, p]"""
    bias: Array
    """[p]"""


def affine(x: Array, weight: Array, bias: Array, exponent: int) -> Array:
    """x W + b of x [n, m], weight [m, p], bias [p] -> [n, p]; |x| <= 2^exponent.

    Raises:
        NumericError: if x exceeds its fixed scale.
    """
    _require_within(x, exponent)
    return grid.product(x, weight, exponent, bias=bias)


def product(x: Array, weight: Array, exponent: int) -> Array:
    """x W, as ``affine``. Raises like it."""
    _require_within(x, exponent)
    return grid.product(x, weight, exponent)


def affine_gradient(x: Array, weight: Array, gradient: Array, exponent: int, wanted: bool) -> LayerGradient:
    """Of ``affine``, from the gradient [n, p] of what it gave; ``wanted``: the input's too.

    Raises:
        NumericError: if the gradient is not finite, here and below.
    """
    left, right, bias = grid.gradient_parts(gradient, wanted)
    dx = grid.product(left, weight.T) if wanted else _NOTHING
    return LayerGradient(dx, grid.product(x.T, right, exponent), bias)


def hidden(x: Array, weight: Array, bias: Array, exponent: int) -> Array:
    """A tanh layer: tanh(x W + b), shapes as in ``affine``.

    Raises:
        NumericError: if x exceeds its fixed scale.
    """
    return elementary.tanh(affine(x, weight, bias, exponent))


def hidden_gradient(x: Array, weight: Array, y: Array, gradient: Array, exponent: int, wanted: bool) -> LayerGradient:
    """Of ``hidden``, from the gradient [n, p] of what it gave, ``y`` [n, p]."""
    left, right, bias = grid.hidden_gradient_parts(gradient, y, wanted)
    dx = grid.product(left, weight.T) if wanted else _NOTHING
    return LayerGradient(dx, grid.product(x.T, right, exponent), bias)


def mean(x: Array, weights: Array, count: float) -> float:
    """Sum of x [n] times ``weights`` [n], divided by ``count``."""
    return float(grid.column_sums(x * weights)) / count


def mean_gradient(slope: float, weights: Array, count: float) -> Array:
    """Of ``mean``, whose own gradient is ``slope``: [n]."""
    return (slope / count) * weights


def smooth_l1(difference: Array) -> Array:
    """Huber loss with threshold 1 of each element: d^2 / 2 where |d| < 1, otherwise |d| - 1/2; any shape."""
    size = np.abs(difference)
    return np.where(size < 1.0, 0.5 * difference * difference, size - 0.5)


def smooth_l1_gradient(gradient: Array, difference: Array) -> Array:
    """Of ``smooth_l1``, from the gradient of what it gave; both of one shape."""
    return gradient * np.clip(difference, -1.0, 1.0)


def _require_within(x: Array, exponent: int) -> None:
    # Kernels check what they round.
    if compiled.kernels is None:
        grid.require_within(x, exponent)
