"""Rounding onto a grid in one pass over the data: NumPy needs four for a tested value, and three for an operand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.jit import compiled, part

Words = NDArray[np.int64]
"""The bits of float64 numbers."""
_LEAST_EXPONENT = -300
_MANTISSA_BITS = 52
_EXPONENT_BIAS = 1022
"""Of frexp, whose fractions lie in 0.5 .. 1."""
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_LIMIT_BITS = np.int64((1023 + 300) << _MANTISSA_BITS)
"""The bits of 2^300, from where on a tensor has no scale."""
_ROUNDING = math.ldexp(1.5, 52)


@part
def tested(candidate: float, constant: float, half: float, tolerance: float) -> tuple[float, bool]:
    """``candidate`` rounded, and whether an error of ``tolerance`` times itself could not have changed that."""
    rounded = (candidate + constant) - constant
    # A NaN is not less than anything.
    return rounded, abs(candidate - rounded) < abs(candidate) * -tolerance + half


@compiled
def round_tested(values: Array, grid: float, tolerance: float) -> bool:
    """Round library results [n] onto ``grid`` in place; False, with ``values`` spoilt, if one of them is doubtful."""
    constant, half = _ROUNDING * grid, 0.5 * grid
    every = True
    for i in range(values.size):
        values[i], sure = tested(values[i], constant, half, tolerance)
        every &= sure
    return every


@compiled
def tanh_gradient(gradient: Array, y: Array, result: Array) -> None:
    """gradient (1 - y^2), all [n]; no rounding onto a grid, but three passes in one."""
    for i in range(y.size):
        result[i] = (1.0 - y[i] * y[i]) * gradient[i]


@part
def largest_magnitude(words: Words) -> np.int64:
    """The bits of max|x|, from the bits [n] of x: magnitudes, infinity and NaN are ordered like these integers."""
    largest = np.int64(0)
    for i in range(words.size):
        largest = max(largest, words[i] & _MAGNITUDE)
    return largest


@part
def rounding_of(largest: np.int64, bits: int) -> float:
    """The rounding constant of an operand with ``bits`` bits; 0.0 if its largest magnitude has no scale.

    The scale is the least e with max|x| < 2^e, at least -300, and 0 for zeros.
    """
    if largest >= _LIMIT_BITS:
        return 0.0
    scale = 0 if largest == 0 else max(int(largest >> _MANTISSA_BITS) - _EXPONENT_BIAS, _LEAST_EXPONENT)
    return _ROUNDING * math.ldexp(1.0, scale - bits)


@compiled
def round_dynamic(x: Array, words: Words, bits: int, rounded: Array) -> bool:
    """Round x [n] for a product with ``bits`` bits and a dynamic scale into ``rounded`` [n]; False if x has no scale.

    ``words`` [n], here and below, are the same numbers as ``x``, seen as integers.
    """
    constant = rounding_of(largest_magnitude(words), bits)
    if constant == 0.0:
        return False
    for i in range(x.size):
        rounded[i] = (x[i] + constant) - constant
    return True


@compiled
def round_fixed(x: Array, limit: float, constant: float, rounded: Array) -> bool:
    """Round x [n] with a rounding constant into ``rounded`` [n]; False if a magnitude exceeds ``limit``, or for NaN."""
    outside = 0
    for i in range(x.size):
        rounded[i] = (x[i] + constant) - constant
        outside += 0 if abs(x[i]) <= limit else 1
    return outside == 0


@compiled
def sum_columns(x: Array, words: Words, bits: int, sums: Array) -> bool:
    """Sums over the rows of x [n, m], n <= 2^13, of a dynamic scale, into ``sums`` [m]; False if x has no scale."""
    constant = rounding_of(largest_magnitude(words), bits)
    if constant == 0.0:
        return False
    for j in range(sums.size):
        sums[j] = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            sums[j] += (x[i, j] + constant) - constant
    return True


@part
def _rounded_parts(
    x: Array, largest: np.int64, left_bits: int, right_bits: int, sum_bits: int, left: Array, right: Array, sums: Array
) -> bool:
    """What ``round_gradient`` does, with the bits of max|x|."""
    to_left, to_right, to_sum = (
        rounding_of(largest, left_bits),
        rounding_of(largest, right_bits),
        rounding_of(largest, sum_bits),
    )
    if to_right == 0.0:
        return False
    for j in range(sums.size):
        sums[j] = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            right[i, j] = (x[i, j] + to_right) - to_right
            sums[j] += (x[i, j] + to_sum) - to_sum
    for i in range(left.shape[0]):
        for j in range(x.shape[1]):
            left[i, j] = (x[i, j] + to_left) - to_left
    return True


@compiled
def round_gradient(
    x: Array, words: Words, left_bits: int, right_bits: int, sum_bits: int, left: Array, right: Array, sums: Array
) -> bool:
    """Round x [n, m], n <= 2^13, for two products and add up its columns, all of one dynamic scale; False if it has none.

    Args:
        left: [n, m] for the first product, or [0, m] if that is not wanted.
        right: [n, m] for the second one.
        sums: [m]
    """
    return _rounded_parts(x, largest_magnitude(words), left_bits, right_bits, sum_bits, left, right, sums)


@compiled
def hidden_gradient(
    gradient: Array,
    y: Array,
    words: Words,
    left_bits: int,
    right_bits: int,
    sum_bits: int,
    slopes: Array,
    left: Array,
    right: Array,
    sums: Array,
) -> bool:
    """``round_gradient`` of gradient (1 - y^2) [n, m], made in ``slopes`` [n, m], whose bits are ``words``."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            slopes[i, j] = (1.0 - y[i, j] * y[i, j]) * gradient[i, j]
    return _rounded_parts(slopes, largest_magnitude(words), left_bits, right_bits, sum_bits, left, right, sums)


@compiled
def sum_rows(x: Array, words: Words, bits: int, sums: Array) -> bool:
    """Sums along the rows of x [n, m], m <= 2^13, of a dynamic scale, into ``sums`` [n]; False if x has no scale."""
    constant = rounding_of(largest_magnitude(words), bits)
    if constant == 0.0:
        return False
    for i in range(x.shape[0]):
        summed = 0.0
        for j in range(x.shape[1]):
            summed += (x[i, j] + constant) - constant
        sums[i] = summed
    return True
