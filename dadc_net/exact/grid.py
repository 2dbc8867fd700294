"""Grid arithmetic: sums and products that have one answer on every host.

A float64 is on the grid g (a power of two) when it is an integer multiple of g. If every term of a sum is a multiple of
g and every partial sum stays within 2^53 g, nothing is ever rounded, so the order of the additions, fused
multiply-adds, the number of threads and the BLAS cannot change a bit. That is all this file does: put operands on a
grid that is fine enough to learn with and coarse enough to be exact.

Rules of this file
* Rounding onto a grid is ``(x + C) - C`` with C = 1.5 2^52 g: two IEEE additions, ties to even, no integer cast.
  It is valid while |x| <= 2^51 g, and it turns -0.0 into +0.0.
* A product of two matrices over n terms gives each operand k = (53 - ceil(log2 n)) // 2 bits, so that
  2 k + ceil(log2 n) <= 53.
* A scale is the exponent e of a power of two that bounds the operand: |x| <= 2^e. It is *fixed* for activations, so
  that one row alone and the same row inside a batch give the same bits, and *dynamic* (from the largest magnitude of
  the tensor) for weights and gradients, whose tensors have one fixed layout on every replica.
* A sum over more than 2^13 terms is cut into chunks of 2^13, added in index order.
* +0.0 is added after every dot product: BLAS libraries disagree on the sign of an exact zero.
* NaN, infinity and magnitudes of 2^300 or more raise. No dynamic scale is below 2^-300, so what is far below it rounds
  to zero, and no grid, product of grids or result comes near the subnormal numbers.
* Every operand is float64. A fixed scale is the caller's promise; ``require_within`` checks it where the bound does not
  follow from the function that made the operand.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import NumericError
from dadc_net.exact import compiled
from dadc_net.exact.array import Array

CHUNK_TERMS = 2**13
_EXPONENT_LIMIT = 300
_MANTISSA_BITS = 53
_SMALL = 4096
"""Elements up to which one pass over a copy is faster than two over the original."""
_SMALL_PRODUCT = 10**6
"""Multiplications of one block of a product."""
_LEAST_BLOCK = 256
_ROUNDING = math.ldexp(1.5, 52)
_LIMIT = math.ldexp(1.0, _EXPONENT_LIMIT)


def rounding_constant(grid: float) -> float:
    """C such that ``(x + C) - C`` rounds x onto ``grid``."""
    return _ROUNDING * grid


def round_to_grid(x: Array, grid: float) -> Array:
    """The multiple of ``grid`` nearest to each x, ties to even; valid while |x| <= 2^51 grid."""
    constant = _ROUNDING * grid
    rounded: Array = x + constant
    rounded -= constant
    return rounded


def ceil_log2(count: int) -> int:
    """The smallest b with count <= 2^b."""
    return (count - 1).bit_length()


@cache
def operand_bits(terms: int) -> int:
    """Bits k of each operand of a dot product over ``terms`` terms: 2 k + ceil(log2 n) <= 53."""
    return (_MANTISSA_BITS - ceil_log2(min(terms, CHUNK_TERMS))) // 2


def _largest(x: Array) -> float:
    """max|x| of a tensor that is not empty; NaN if it holds one, because NumPy's max gives it back and comes first."""
    if x.size <= _SMALL:
        return float(np.abs(x).max())
    return max(float(x.max()), -float(x.min()))


def require_within(x: Array, exponent: int) -> None:
    """Check a fixed scale: |x| <= 2^exponent.

    Raises:
        NumericError: if a magnitude is larger, or NaN. Its products would no longer be exact, so hosts would differ.
    """
    if x.size == 0:
        return
    largest = _largest(x)
    if not largest <= math.ldexp(1.0, exponent):
        raise NumericError(
            f"a tensor of shape {x.shape} holds {largest}, but enters a product whose fixed scale is 2^{exponent}. "
            "Its products would not be exact, and hosts would part. Clamp or rescale what feeds this layer."
        )


def scale_exponent(x: Array) -> int:
    """The exponent e with max|x| < 2^e, at least -300; 0 for an empty or all-zero tensor.

    Raises:
        NumericError: if x holds NaN or infinity, or a magnitude of 2^300 or more.
    """
    if x.size == 0:
        return 0
    largest = _largest(x)
    if largest == 0.0:
        return 0
    # Written so that a NaN, which is not less than anything, is refused too.
    if not largest < _LIMIT:
        raise NumericError(
            f"a tensor of shape {x.shape} holds {largest}, which is not a finite number below 2^300. "
            "Exact arithmetic has no answer for it. Lower the learning rate or check the rewards."
        )
    return max(math.frexp(largest)[1], -_EXPONENT_LIMIT)


class Operand(NamedTuple):
    """A matrix already rounded for a product over ``terms`` terms; made once, used many times."""

    values: Array
    terms: int


def operand(x: Array, terms: int, exponent: int | None = None) -> Operand:
    """Round ``x`` for products over ``terms`` terms; ``exponent`` is its fixed scale, None takes it from x.

    That x lies within a fixed scale is the caller's to know or to check; kernels notice it on the way.
    """
    if compiled.kernels is not None:
        rounded = _compiled_rounding(x, operand_bits(terms), exponent)
        if rounded is not None:
            return Operand(rounded, terms)
        if exponent is not None:
            require_within(x, exponent)
    scale = scale_exponent(x) if exponent is None else exponent
    return Operand(round_to_grid(x, math.ldexp(1.0, scale - operand_bits(terms))), terms)


def _compiled_rounding(x: Array, bits: int, exponent: int | None) -> Array | None:
    """``x`` rounded by a kernel; None if none takes this array, or its numbers have no scale or exceed it."""
    if compiled.kernels is None or not x.flags.forc:
        return None
    rounded, flat = np.empty_like(x), x.ravel("K")
    if exponent is None:
        done = compiled.kernels.round_dynamic(flat, flat.view(np.int64), bits, rounded.ravel("K"))
    else:
        constant = rounding_constant(math.ldexp(1.0, exponent - bits))
        done = compiled.kernels.round_fixed(flat, math.ldexp(1.0, exponent), constant, rounded.ravel("K"))
    return rounded if done else None


def _prepared(x: Array | Operand, terms: int, exponent: int | None) -> Array:
    if not isinstance(x, Operand):
        return operand(x, terms, exponent).values
    if x.terms != terms:
        raise ValueError(f"an operand prepared for {x.terms} terms entered a product over {terms}")
    return x.values


def product(
    a: Array | Operand,
    b: Array | Operand,
    a_exponent: int | None = None,
    b_exponent: int | None = None,
    bias: Array | None = None,
) -> Array:
    """Matrix product with one answer.

    Args:
        a: [m, n] with |a| <= 2^a_exponent (dynamic scale if None), or an ``Operand`` prepared for n terms.
        b: [n, p], in the same two ways.
        bias: [p], added to every row of the product.

    Returns:
        [m, p], each entry the exact dot product of the rounded operands; for n > 2^13 the sum, in index order, of the
        exact dot products of chunks of 2^13. Then the bias is added.

    Raises:
        ValueError: if an operand was prepared for another number of terms: its bits would not fit.
    """
    terms = (a.values if isinstance(a, Operand) else a).shape[1]
    left, right = _prepared(a, terms, a_exponent), _prepared(b, terms, b_exponent)
    if terms <= CHUNK_TERMS:
        result = _multiply(left, right)
        # BLAS may leave either zero. Adding +0.0 ends that, and so does adding a bias that has no negative zeros.
        result += 0.0 if bias is None else bias + 0.0
        return result
    result = np.zeros((left.shape[0], right.shape[1]))
    for start in range(0, terms, CHUNK_TERMS):
        result += _multiply(left[:, start : start + CHUNK_TERMS], right[start : start + CHUNK_TERMS]) + 0.0
    if bias is not None:
        result += bias
    return result


def _multiply(left: Array, right: Array) -> Array:
    """left [m, n] times right [n, p], operands of an exact product: in blocks of rows or terms, whichever are many.

    BLAS libraries multiply small matrices as they lie, and copy larger ones first, which takes half of the time for
    these narrow ones. Blocks of terms may be summed as they come: all partial sums are exact.
    """
    rows, terms = left.shape
    columns = right.shape[1]
    if rows * terms * columns <= _SMALL_PRODUCT:
        whole: Array = left @ right
        return whole
    if rows >= terms:
        block = max(_LEAST_BLOCK, _SMALL_PRODUCT // (terms * columns))
        right = np.ascontiguousarray(right)
        result: Array = np.empty((rows, columns))
        for start in range(0, rows, block):
            np.matmul(left[start : start + block], right, out=result[start : start + block])
        return result
    block = max(_LEAST_BLOCK, _SMALL_PRODUCT // (rows * columns))
    result = left[:, :block] @ right[:block]
    for start in range(block, terms, block):
        result += left[:, start : start + block] @ right[start : start + block]
    return result


@cache
def sum_bits(terms: int) -> int:
    """Bits of each term of a sum: 53 - ceil(log2 n), of which rounding can use 51."""
    return min(_MANTISSA_BITS - ceil_log2(max(1, min(terms, CHUNK_TERMS))), 51)


def _sum_over_first_axis(x: Array, exponent: int | None) -> Array:
    """Sum over axis 0 of a [n, ...] array on a common grid."""
    terms = x.shape[0]
    scale = scale_exponent(x) if exponent is None else exponent
    rounded = round_to_grid(x, math.ldexp(1.0, scale - sum_bits(terms)))
    if terms <= CHUNK_TERMS:
        # The partial sums are exact in any order, so the fastest way to add columns will do: a product with ones.
        sums: Array = np.ones(terms) @ rounded if x.ndim == 2 else np.sum(rounded, axis=0)
        return sums + 0.0
    sums = np.zeros(x.shape[1:])
    for start in range(0, terms, CHUNK_TERMS):
        sums = sums + (np.sum(rounded[start : start + CHUNK_TERMS], axis=0) + 0.0)
    return sums


def _compiled_sums(name: str, x: Array, terms: int, results: int) -> Array | None:
    """The sums of a dynamic scale by a kernel; None if there is none for this array or the array has no scale."""
    if compiled.kernels is None or terms > CHUNK_TERMS or not x.flags.c_contiguous:
        return None
    sums: Array = np.empty(results)
    words = x.reshape(-1).view(np.int64)
    return sums if getattr(compiled.kernels, name)(x, words, sum_bits(terms), sums) else None


def column_sums(x: Array, exponent: int | None = None) -> Array:
    """Sums over the rows of a matrix [n, m] -> [m], or of a vector [n] -> []; |x| <= 2^exponent (dynamic if None)."""
    if x.ndim == 1:
        vector_sum: Array = row_sums(x[None, :], exponent)[0]
        return vector_sum
    sums = _compiled_sums("sum_columns", x, *x.shape) if exponent is None else None
    return _sum_over_first_axis(x, exponent) if sums is None else sums


def row_sums(x: Array, exponent: int | None = None) -> Array:
    """Sums along the rows of a matrix: [n, m] -> [n]; |x| <= 2^exponent (dynamic scale if None)."""
    sums = _compiled_sums("sum_rows", x, *x.shape[::-1]) if exponent is None else None
    return _sum_over_first_axis(x.T, exponent) if sums is None else sums


def gradient_parts(gradient: Array, as_left: bool) -> tuple[Operand, Operand, Array]:
    """What the backward pass of a layer needs of its gradient [n, m], whose scale is dynamic and looked for once.

    Returns:
        the left operand of a product over m terms (of no use unless ``as_left``), the right one of a product over n terms,
        and the column sums [m].

    Raises:
        NumericError: as ``scale_exponent``.
    """
    return _gradient_parts(gradient, as_left, None)


def hidden_gradient_parts(gradient: Array, y: Array, as_left: bool) -> tuple[Operand, Operand, Array]:
    """``gradient_parts`` of gradient (1 - y^2): of a layer that tanh follows, whose values are ``y`` [n, m]."""
    return _gradient_parts(gradient, as_left, y)


def _gradient_parts(gradient: Array, as_left: bool, y: Array | None) -> tuple[Operand, Operand, Array]:
    rows, columns = gradient.shape
    if compiled.kernels is not None and rows <= CHUNK_TERMS and gradient.flags.c_contiguous:
        left, right = np.empty(gradient.shape if as_left else (0, columns)), np.empty(gradient.shape)
        sums = np.empty(columns)
        bits = operand_bits(columns), operand_bits(rows), sum_bits(rows)
        if y is None:
            done = compiled.kernels.round_gradient(gradient, _words(gradient), *bits, left, right, sums)
        else:
            slopes = np.empty(gradient.shape)
            done = compiled.kernels.hidden_gradient(gradient, y, _words(slopes), *bits, slopes, left, right, sums)
        if done:
            return Operand(left, columns), Operand(right, rows), sums
    if y is not None:
        gradient = gradient * (1.0 - y * y)
    scale = scale_exponent(gradient)
    right_operand = operand(gradient, rows, scale)
    left_operand = operand(gradient, columns, scale) if as_left else right_operand
    return left_operand, right_operand, column_sums(gradient, scale)


def _words(x: Array) -> NDArray[np.int64]:
    return x.reshape(-1).view(np.int64)


def total(x: Array) -> float:
    """Sum of all elements of an array of any shape."""
    if x.size == 0:
        return 0.0
    return float(row_sums(x.reshape(1, -1))[0])
