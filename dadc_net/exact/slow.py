"""The slow path of the rounding test: elementary functions by decimal arithmetic from the standard library.

It runs a few times in a million calls, when a library's result lies too close to the middle between two grid points to
be trusted. Python's decimal exp and ln are correctly rounded by their specification, so precision is raised until the
distance from the middle exceeds every error made on the way. It always ends: the functions are transcendental, so no
float argument other than 0 (for exp and tanh) and 1 (for log) has a value exactly in the middle or on a grid point,
and these are answered directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from dadc_net.errors import NumericError

_FIRST_DIGITS = 40
_LAST_DIGITS = 1280


def _nearest(evaluate: Callable[[Context], Decimal], grid_bits: int) -> float:
    """The multiple of 2^-grid_bits nearest to the real number that ``evaluate`` approximates to 5 ulp."""
    digits = _FIRST_DIGITS
    while digits <= _LAST_DIGITS:
        context = Context(prec=digits, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999)
        units = context.multiply(evaluate(context), Decimal(2) ** grid_bits)
        integer = units.to_integral_value(rounding=ROUND_HALF_EVEN)
        distance = context.subtract(Decimal("0.5"), context.abs(context.subtract(units, integer)))
        if distance > context.multiply(context.abs(units) + 1, Decimal(10) ** (3 - digits)):
            return math.ldexp(float(integer), -grid_bits)
        digits *= 2
    raise NumericError(
        f"a value stayed in the middle between two points of the grid 2^-{grid_bits} at {_LAST_DIGITS} digits. "
        "This cannot happen for a finite argument. Please report it."
    )


def _refuse_unless_finite(name: str, x: float) -> None:
    if not math.isfinite(x):
        raise NumericError(
            f"{name} was asked for an argument of {x}. Exact arithmetic has no answer for it. "
            "Lower the learning rate or check the rewards and observations."
        )


def tanh(x: float) -> float:
    """tanh(x) onto the grid 2^-26."""
    _refuse_unless_finite("tanh", x)
    if x == 0.0:
        return 0.0
    if abs(x) > 40.0:
        return math.copysign(1.0, x)

    def magnitude(context: Context) -> Decimal:
        # (1 - e) / (1 + e) loses digits where e is near 1, so precision is added there.
        wide = Context(prec=context.prec + max(0, -math.frexp(x)[1]) + 5, Emin=-999999, Emax=999999)
        e = wide.exp(wide.multiply(Decimal(-2), Decimal(abs(x))))
        return context.plus(wide.divide(wide.subtract(Decimal(1), e), wide.add(Decimal(1), e)))

    return math.copysign(_nearest(magnitude, 26), x) + 0.0


def exp(x: float) -> float:
    """exp(x) onto the grid 2^-30; 0 where the value is below half the grid."""
    if x == -math.inf:
        return 0.0
    _refuse_unless_finite("exp", x)
    if x == 0.0:
        return 1.0
    if x < -40.0:
        return 0.0
    return _nearest(lambda context: context.exp(Decimal(x)), 30)


def log(x: float) -> float:
    """log(x) onto the grid 2^-30, for x > 0."""
    _refuse_unless_finite("log", x)
    if x == 1.0:
        return 0.0
    return _nearest(lambda context: context.ln(Decimal(x)), 30)
