"""tanh, sigmoid, exp, log and log-softmax, correctly rounded onto stated grids.

The value of each function is *defined* as the exact real value rounded onto an absolute grid; a zero is +0.0. (No float
argument has a value in the middle between two grid points.) NumPy's function gives a candidate; the rounding test asks
whether an error of 64 ulp of the candidate could have moved it across the middle between two grid points. If it could
not, the rounded candidate is the defined value, whoever's library computed it. If it could, ``slow`` computes the
defined value with decimal arithmetic. A NaN fails the test and the slow path then refuses it.

| function | domain                     | grid  | largest value |
| -------- | -------------------------- | ----- | ------------- |
| tanh     | all x but NaN              | 2^-26 | 1             |
| sigmoid  | all x but NaN              | 2^-27 | 1             | 0.5 tanh(x / 2) + 0.5, exact given tanh
| exp      | x <= 8, refused above      | 2^-30 | 2981          |
| log      | 2^-30 <= x <= 2^30         | 2^-30 | 20.8          |

log-softmax is not rounded to a grid of its own: it is (l - max l) - log(sum exp(l - max l)) in this order, where exp,
the sum and log are the grid values above and the two subtractions are IEEE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import NumericError
from dadc_net.exact import compiled, slow
from dadc_net.exact.array import Array
from dadc_net.exact.grid import round_to_grid, row_sums

TANH_GRID = 2.0**-26
EXP_GRID = 2.0**-30
LOG_GRID = 2.0**-30
EXP_MAX = 8.0
LOG_MIN = 2.0**-30
LOG_MAX = 2.0**30
_EXP_BOUND, _LOG_BOUND = 2981.0, 20.8

_SHORT_ROW = 16
_BLOCK = 2**14
"""Values that a kernel is given at a time: one of them is doubtful in one block of sixty."""
TOLERANCE = 2.0**-46
"""Relative error that a library's function may have: 64 ulp. No library met in our survey exceeds 4."""


def doubts(candidate: Array, rounded: Array, grid: float, bound: float) -> NDArray[np.intp]:
    """Where an error of 64 ulp in ``candidate`` could have changed ``rounded``, and where a NaN is: indices in C order.

    No |candidate| exceeds ``bound``. What passes the test of that one needs none of its own, and nearly everything does.
    """
    distance = np.asarray(candidate - rounded)
    np.abs(distance, out=distance)
    suspects = np.flatnonzero(~(distance < 0.5 * grid - TOLERANCE * bound))
    if suspects.size == 0:
        return suspects
    margin = np.abs(np.ravel(candidate)[suspects]) * -TOLERANCE + 0.5 * grid
    doubtful: NDArray[np.intp] = suspects[~(distance.ravel()[suspects] < margin)]
    return doubtful


def settle(
    x: Array,
    function: Callable[[Array], Array],
    grid: float,
    definition: Callable[[float], float],
    bound: float,
) -> Array:
    """The defined values at ``x`` of a function that a library computes as ``function``; none exceeds ``bound``."""
    candidate = function(x)
    if compiled.kernels is not None and candidate.flags.forc and candidate.flags.writeable:
        if compiled.kernels.round_tested(candidate.ravel("K"), grid, TOLERANCE):
            return candidate
        candidate = function(x)
    rounded = round_to_grid(candidate, grid)
    doubtful = doubts(candidate, rounded, grid, bound)
    if doubtful.size > 0:
        # A tensor without axes comes out of NumPy's functions as a scalar, into which nothing can be written.
        rounded = np.asarray(rounded)
        arguments = np.asarray(x)
        for index in doubtful:
            rounded.flat[index] = definition(float(arguments.flat[index]))
    return rounded


def tanh(x: Array) -> Array:
    """tanh onto the grid 2^-26; any shape."""
    if compiled.kernels is not None and x.ndim > 0:
        return _in_blocks(x, compiled.kernels.tanh_tested, _settled_tanh)
    return _settled_tanh(x)


def _settled_tanh(x: Array) -> Array:
    return settle(x, np.tanh, TANH_GRID, slow.tanh, 1.0)


def _in_blocks(x: Array, kernel: Callable[[Array, float], bool], settled: Callable[[Array], Array]) -> Array:
    """What ``kernel`` makes of x, in place and block by block; of a block that it doubts, what ``settled`` does.

    Of a million values one is nearly always doubtful. It should not cost them all a second time.
    """
    result: Array = x.copy(order="K")
    if not result.flags.forc:
        return settled(x)
    values = result.ravel("K")
    given = x.ravel("K") if x.flags.forc else values.copy()
    for start in range(0, values.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        if not kernel(values[block], TOLERANCE):
            values[block] = settled(given[block])
    return result


def tanh_gradient(gradient: Array, y: Array) -> Array:
    """gradient (1 - y^2), the gradient of tanh where it has the value ``y``; both of one shape."""
    if compiled.kernels is not None and gradient.flags.c_contiguous and y.flags.c_contiguous:
        result: Array = np.empty_like(y)
        compiled.kernels.tanh_gradient(gradient.reshape(-1), y.reshape(-1), result.reshape(-1))
        return result
    slope: Array = y * y
    np.subtract(1.0, slope, out=slope)
    slope *= gradient
    return slope


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) as 0.5 tanh(x / 2) + 0.5, onto the grid 2^-27; any shape."""
    return tanh(x * 0.5) * 0.5 + 0.5


def exp(x: Array) -> Array:
    """exp onto the grid 2^-30; any shape.

    Raises:
        NumericError: if an element is above 8 (or NaN).
    """
    largest = float(np.max(x)) if x.size > 0 else 0.0
    if not largest <= EXP_MAX:
        raise NumericError(
            f"exp was asked for an argument of {largest}, above its domain's end {EXP_MAX}. "
            "The result would not fit its grid. Clamp the argument first."
        )

    def settled(part: Array) -> Array:
        return settle(part, np.exp, EXP_GRID, slow.exp, 1.0 if largest <= 0.0 else _EXP_BOUND)

    if compiled.kernels is not None and x.ndim > 0:
        return _in_blocks(x, compiled.kernels.exp_tested, settled)
    return settled(x)


def log(x: Array) -> Array:
    """Natural logarithm onto the grid 2^-30; any shape.

    Raises:
        NumericError: if an element is outside 2^-30 .. 2^30 (or NaN).
    """
    if not np.all((x >= LOG_MIN) & (x <= LOG_MAX)):
        raise NumericError(
            f"log was asked for arguments from {float(np.min(x))} to {float(np.max(x))}, outside its domain "
            "2^-30 .. 2^30. The result would have no stated grid. Clamp the argument first."
        )
    return settle(x, np.log, LOG_GRID, slow.log, _LOG_BOUND)


def _row_maxima(x: Array) -> Array:
    """max of each row of [n, M]; NumPy's own is slow along short rows."""
    if x.shape[1] > _SHORT_ROW or x.shape[0] < x.shape[1]:
        longest: Array = x.max(axis=1)
        return longest
    largest: Array = x[:, 0].copy()
    for column in range(1, x.shape[1]):
        np.maximum(largest, x[:, column], out=largest)
    return largest


def softmax_weights(logits: Array) -> tuple[Array, Array]:
    """Shifted logits and unnormalised probabilities of each row.

    Args:
        logits: [n, M].

    Returns:
        logits - row maximum [n, M], and its exp on the grid 2^-30 [n, M], whose largest entry per row is 1.
    """
    shifted: Array = logits - _row_maxima(logits)[:, None]
    # Which of +0.0 and -0.0 is the larger depends on the CPU, and so would the sign of a difference of zeros.
    shifted += 0.0
    return shifted, exp(shifted)


def log_softmax(logits: Array) -> Array:
    """log of softmax along rows, [n, M] -> [n, M]: (l - max l) - log(sum exp(l - max l)), in this order."""
    shifted, weights = softmax_weights(logits)
    # Every weight is at most 1, so the scale is fixed and a row gives the same bits alone and in a batch.
    result: Array = shifted - log(row_sums(weights, exponent=0))[:, None]
    return result
