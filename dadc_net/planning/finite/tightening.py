"""A tighter bound on the best joint prescription: Lagrange multipliers for "one memory, one action".

A table gain[l, a, m, b] says what action a in memory l of one agent is worth against action b in memory m of another.
The bound sum_m max_b sum_l max_a gain[l, a, m, b] lets memory l act differently against every m. Adding to gain numbers
lambda[l, a, m] with sum_m lambda = 0 changes no prescription's value and can lower the bound, at best to that of the linear
relaxation. Each sweep goes through the memories l and levels their max-marginals over m, which never raises the bound
(block coordinate descent on the dual, as in Globerson and Jaakkola 2007 and Kolmogorov 2006).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array

SWEEPS = (2, 3, 7, 20, 40)
"""In turn, as long as the bound is not good enough."""


def tighten_numpy(gain: Array, sweeps: int) -> None:
    """Lower the bound of ``gain`` [l, a, m, b] in place."""
    most = gain.max(axis=1)
    total = most.sum(axis=0)
    for _ in range(sweeps):
        for own in range(len(gain)):
            rest = total - most[own]
            marginal = (gain[own] + rest).max(axis=2)
            gain[own] -= (marginal - marginal.mean(axis=1, keepdims=True))[:, :, None]
            most[own] = gain[own].max(axis=0)
            total = rest + most[own]


def _tighten_loops(gain: Array, sweeps: int) -> None:
    owns, acts, others, answers = gain.shape
    most = np.empty((owns, others, answers))
    total = np.zeros((others, answers))
    marginal = np.empty(others)
    for i in range(owns):
        for m in range(others):
            for b in range(answers):
                best = gain[i, 0, m, b]
                for a in range(1, acts):
                    best = max(best, gain[i, a, m, b])
                most[i, m, b] = best
                total[m, b] += best
    for _ in range(sweeps):
        for i in range(owns):
            for m in range(others):
                for b in range(answers):
                    total[m, b] -= most[i, m, b]
            for a in range(acts):
                mean = 0.0
                for m in range(others):
                    best = gain[i, a, m, 0] + total[m, 0]
                    for b in range(1, answers):
                        best = max(best, gain[i, a, m, b] + total[m, b])
                    marginal[m] = best
                    mean += best
                mean /= others
                for m in range(others):
                    for b in range(answers):
                        gain[i, a, m, b] -= marginal[m] - mean
            for m in range(others):
                for b in range(answers):
                    best = gain[i, 0, m, b]
                    for a in range(1, acts):
                        best = max(best, gain[i, a, m, b])
                    most[i, m, b] = best
                    total[m, b] += best


def _fastest() -> Callable[[Array, int], None]:
    if importlib.util.find_spec("numba") is None:
        return tighten_numpy
    from dadc_net.exact.compiled.jit import compiled

    return compiled(_tighten_loops)


tighten = _fastest()
"""The compiled loops where numba is installed, NumPy elsewhere; the bounds are proven either way."""
