"""The slow path of the rounding test: elementary functions by decimal arithmetic from the standard library.

It runs a few times in a million calls, when a library's result lies too close to the middle between two grid points to
be trusted. Python's decimal exp and ln are correctly rounded by their specification, so precision is raised until the
distance from the middle exceeds every error made on the way. It always ends: the functions are transcendental, so no
float argument other than 0 (for exp and tanh) and 1 (for log) has a value exactly in the middle or on a grid point,
and these are answered directly.

Every operation names its context. The thread's own decimal context, which any other code may have changed, is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from dadc_net.errors import NumericError

_FIRST_DIGITS = 40
_LAST_DIGITS = 1280
_HALF = Decimal("0.5")
_ONE = Decimal(1)


def _context(digits: int) -> Context:
    traps = [InvalidOperation, DivisionByZero, Overflow]
    return Context(prec=digits, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, capitals=1, clamp=0, traps=traps)


def _nearest(evaluate: Callable[[Context], Decimal], grid_bits: int) -> float:
    """The multiple of 2^-grid_bits nearest to the real number that ``evaluate`` approximates to 5 ulp."""
    digits = _FIRST_DIGITS
    while digits <= _LAST_DIGITS:
        context = _context(digits)
        units = context.multiply(evaluate(context), Decimal(1 << grid_bits))
        integer = units.to_integral_value(ROUND_HALF_EVEN, context)
        distance = context.subtract(_HALF, context.abs(context.subtract(units, integer)))
        size = context.add(context.abs(units), _ONE)
        if distance > context.scaleb(size, 3 - digits):
            return math.ldexp(float(integer), -grid_bits)
        digits *= 2
    raise NumericError(
        f"a value stayed in the middle between two points of the grid 2^-{grid_bits} at {_LAST_DIGITS} digits. "
        "This cannot happen for a finite argument. Please report it."
    )


def _refuse(name: str, x: float) -> NumericError:
    return NumericError(
        f"{name} was asked for an argument of {x}. Exact arithmetic has no answer for it. "
        "Lower the learning rate or check the rewards and observations."
    )


def tanh(x: float) -> float:
    """tanh(x) onto the grid 2^-26. Raises NumericError for NaN."""
    if math.isnan(x):
        raise _refuse("tanh", x)
    if abs(x) < math.ldexp(1.0, -27):
        # |tanh x| < |x|, which is less than half the grid.
        return 0.0
    if abs(x) > 40.0:
        return math.copysign(1.0, x)

    def magnitude(context: Context) -> Decimal:
        # (1 - e) / (1 + e) loses at most 9 digits where e is near 1, as |x| is at least 2^-27.
        wide = _context(context.prec + 15)
        e = wide.exp(wide.multiply(Decimal(-2), Decimal(abs(x))))
        return context.plus(wide.divide(wide.subtract(_ONE, e), wide.add(_ONE, e)))

    return math.copysign(_nearest(magnitude, 26), x) + 0.0


def exp(x: float) -> float:
    """exp(x) onto the grid 2^-30; 0 where the value is below half the grid. Raises NumericError for NaN and above 8."""
    if not x <= 8.0:
        raise _refuse("exp", x)
    if x == 0.0:
        return 1.0
    if x < -40.0:
        return 0.0
    return _nearest(lambda context: context.exp(Decimal(x)), 30)


def log(x: float) -> float:
    """log(x) onto the grid 2^-30, for finite x > 0. Raises NumericError for all others."""
    if not 0.0 < x < math.inf:
        raise _refuse("log", x)
    if x == 1.0:
        return 0.0
    return _nearest(lambda context: context.ln(Decimal(x)), 30) + 0.0
