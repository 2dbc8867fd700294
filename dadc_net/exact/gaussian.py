"""Independent Gaussians along rows: the log-density of what was drawn, and its gradient.

    log density = sum over columns of -1/2 ((x - mean) / exp(log deviation))^2 - log deviation - log(2 pi) / 2

log(2 pi) / 2 is one stated float64. Axis letters: n rows, m columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, grid
from dadc_net.exact.array import Array

HALF_LOG_TWO_PI = 0.9189385332046727


class Density(NamedTuple):
    """What ``forward`` found."""

    rows: Array
    """[n] log density"""
    deviation: Array
    """[m] or [n, m]"""
    standardised: Array
    """[n, m]"""


def require_domain(log_deviation: Array) -> None:
    """Check -8 .. 8: above, exp has no grid; below, its grid is coarse against its value (at -8 right to 1.4e-6).

    Raises:
        NumericError: for anything else.
    """
    if not np.all(np.abs(log_deviation) <= elementary.EXP_MAX):
        raise NumericError(
            f"a log-deviation is outside -{elementary.EXP_MAX} .. {elementary.EXP_MAX} or NaN. The density would lose "
            "its accuracy. Clamp it."
        )


def forward(x: Array, mean: Array, log_deviation: Array) -> Density:
    """Log-density of x [n, m], mean [n, m], log-deviation [m] or [n, m].

    Raises:
        NumericError: if a log-deviation lies outside -8 .. 8.
    """
    require_domain(log_deviation)
    deviation = elementary.exp(log_deviation)
    standardised = (x - mean) / deviation
    terms = (standardised * standardised) * -0.5 - log_deviation - HALF_LOG_TWO_PI
    return Density(grid.row_sums(terms), deviation, standardised)


def backward(found: Density, gradient: Array) -> tuple[Array, Array]:
    """From the gradient [n] of the log-density those of mean and log-deviation, [n, m] both."""
    spread = np.broadcast_to(gradient[:, None], found.standardised.shape)
    score = (spread * -0.5) * found.standardised
    share = (score + score) / found.deviation
    return -share, -(share * found.standardised) * found.deviation + -spread
