"""exp and tanh in a form that a compiler makes vectors of: the C library's tanh takes 15 ns, which was half of a run.

    exp x  = 2^n + 2^n expm1(r),                                         r = x - n ln 2,     |r| <= ln 2 / 2
    tanh z = m / (m + 2),   m = expm1(2 z) = (2^n - 1) + 2^n expm1(r),   r = 2 z - n ln 2

expm1(r) is its Taylor polynomial. Where n is 0 nothing cancels, so small arguments keep their relative accuracy; where n is
1 at most two bits do. The error stays below 8 ulp, an eighth of what the rounding test allows for, and what the test
cannot vouch for is settled on NumPy like any other doubt: the bits are those of every other host.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.rounding import tested

_LARGEST = 20.0
"""From here on tanh is 1 to less than half an ulp."""
_LEAST = -40.0
"""From here on exp is far below its grid."""
_LOG2_E = 1.4426950408889634
_INTEGERS = math.ldexp(1.5, 52)
"""Added to a float64 of magnitude below 2^51, it leaves the nearest integer in the lowest bits."""
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
"""ln 2: the first 32 bits, whose products with n are exact, and the rest."""
_BIAS, _MANTISSA_BITS = 1023, 52
(_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13) = (1.0 / math.factorial(k) for k in range(2, 14))
_TANH_ROUNDING, _HALF_TANH_GRID = math.ldexp(1.5, 52 - 26), math.ldexp(1.0, -27)
_EXP_ROUNDING, _HALF_EXP_GRID = math.ldexp(1.5, 52 - 30), math.ldexp(1.0, -31)


def _reinterpreted(result: Any, argument: Any, kind: Any) -> Callable[[Any], Any]:
    """The bits of a number of type ``argument`` as one of type ``result``, inside kernels."""

    def reinterpret(_typing: Any, x: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], kind)

        return result(argument), generate

    return cast(Callable[[Any], Any], intrinsic(reinterpret))


_bits = _reinterpreted(types.int64, types.float64, ir.IntType(64))
_float = _reinterpreted(types.float64, types.int64, ir.DoubleType())


@part
def _in_parts(x: float) -> tuple[float, float]:
    """2^n and 2^n expm1(r), whose sum is exp x; -700 < x < 700, or NaN."""
    shifted = x * _LOG2_E + _INTEGERS
    n = shifted - _INTEGERS
    scale: float = _float((_bits(shifted) + _BIAS) << _MANTISSA_BITS)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    series = ((((_C13 * r + _C12) * r + _C11) * r + _C10) * r + _C9) * r + _C8
    series = (((((series * r + _C7) * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    return scale, scale * (r + (r * r) * series)


@part
def exp_value(x: float) -> float:
    """exp x to 8 ulp where x > -40, elsewhere exp(-40), which is as good as 0; NaN of NaN. x < 700."""
    scale, rest = _in_parts(_LEAST if x < _LEAST else x)
    return scale + rest


@part
def tested_exp(x: float, tolerance: float) -> tuple[float, bool]:
    """exp on its grid, and whether that is sure."""
    return tested(exp_value(x), _EXP_ROUNDING, _HALF_EXP_GRID, tolerance)


@part
def exp_in_place(x: Array, tolerance: float) -> bool:
    """exp of x [n], none above 8, onto its grid; False, with the doubtful values only nearly sure, if the test fails."""
    doubts = 0
    for i in range(x.size):
        x[i], sure = tested_exp(x[i], tolerance)
        doubts += 0 if sure else 1
    return doubts == 0


@compiled
def exp_tested(values: Array, tolerance: float) -> bool:
    """exp of ``values`` [n], none above 8, onto its grid, in place; False, with ``values`` spoilt, if one is doubtful."""
    return exp_in_place(values, tolerance)


@part
def tanh_value(x: float) -> float:
    """tanh x to 8 ulp; NaN of NaN."""
    z = abs(x)
    scale, rest = _in_parts(2.0 * _LARGEST if z > _LARGEST else 2.0 * z)
    m = (scale - 1.0) + rest
    value = m / (m + 2.0)
    return -value if x < 0.0 else value


@part
def tanh_in_place(x: Array, tolerance: float) -> bool:
    """tanh of x [n] onto its grid; False, with the doubtful values only nearly sure, if the rounding test fails."""
    doubts = 0
    for i in range(x.size):
        value = tanh_value(x[i])
        rounded = (value + _TANH_ROUNDING) - _TANH_ROUNDING
        x[i] = rounded
        # A NaN is not less than anything.
        doubts += 0 if abs(value - rounded) < abs(value) * -tolerance + _HALF_TANH_GRID else 1
    return doubts == 0


@compiled
def tanh_tested(values: Array, tolerance: float) -> bool:
    """tanh of ``values`` [n] onto its grid, in place; False, with ``values`` spoilt, if one of them is doubtful."""
    return tanh_in_place(values, tolerance)
