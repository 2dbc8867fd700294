"""Schedules: how a step size or a weight falls over a run."""

from __future__ import annotations

import numpy as np

from dadc_net.exact.elementary import exp, log


def linear(start: float, final_share: float, update: int, updates: int) -> float:
    """The value at ``update`` (1..updates): linear from ``start`` at the first towards ``start * final_share``.

    The last update still has a positive value when ``final_share`` is 0: the line would reach its end one update later.
    """
    passed = (update - 1) / updates
    return start * (1.0 - passed * (1.0 - final_share))


def geometric(start: float, end: float, update: int, updates: int) -> float:
    """The value at ``update`` (0..updates): from ``start`` to ``end`` by equal factors; both in 2^-30 .. 8."""
    logs = log(np.array([start, end]))
    return float(exp(logs[0] + (logs[1] - logs[0]) * (update / updates) + np.zeros(1))[0])
