"""Standard normal numbers by the inverse of their distribution function: one word each, none rejected.

Algorithm AS 241 (Wichura, 1988), PPND16: rational functions of degree seven, accurate to about 1e-16, evaluated by Horner's
scheme as a fixed sequence of IEEE operations; in the tails they are taken at sqrt(-log p), with the grid logarithm and the
IEEE square root. Tails end where the logarithm's domain does: p below 2^-30 counts as 2^-30, which is 6.1 deviations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.elementary import LOG_MIN, log

_CENTRE = (
    (
        *(2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4),
        *(1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080),
    ),
    (
        *(5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4),
        *(5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
    ),
)
_TAIL = (
    (
        *(7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258),
        *(3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    ),
    (
        *(1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1),
        *(6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0),
    ),
)
"""Numerator and denominator, highest power first."""
_CENTRE_HALF_WIDTH, _CENTRE_SQUARE, _TAIL_SHIFT = 0.425, 0.180625, 1.6
_PART = 2**13
"""Numbers that are made at once: what stands in between is a dozen times as large, and a process keeps what it has freed."""


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    value = np.full(x.shape, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _ratio(pair: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    return _horner(pair[0], x) / _horner(pair[1], x)


def inverse_normal(p: Array) -> Array:
    """The z with P(N(0, 1) <= z) = p; p in (0, 1), any shape."""
    q = p - 0.5
    square = _CENTRE_SQUARE - q * q
    central = q * _ratio(_CENTRE, np.maximum(square, 0.0))
    is_central = np.abs(q) <= _CENTRE_HALF_WIDTH
    if b"\0" not in is_central.tobytes():
        return central  # As the last line says, without what it does not choose: of a few numbers often all.
    tail = np.minimum(p, 1.0 - p)
    depth = np.sqrt(-log(np.maximum(tail, LOG_MIN))) - _TAIL_SHIFT
    size = _ratio(_TAIL, depth)
    result: Array = np.where(is_central, central, np.where(q < 0.0, -size, size))
    return result


def normals(words: NDArray[np.uint64]) -> Array:
    """One standard normal number per word, any shape: p is the middle of the word's interval among 2^52."""
    found: Array = np.empty(words.shape)
    own, rest = found.reshape(-1), words.reshape(-1)
    for start in range(0, words.size, _PART):
        part = rest[start : start + _PART]
        own[start : start + _PART] = inverse_normal(((part >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)
    return found
