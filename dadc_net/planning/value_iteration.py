"""Value iteration for the dynamic program (2) on a finite coordinated model, with MacQueen's error bounds.

One application of the Bellman operator T to any v says more than its distance |Tv - v|: the fixed point lies between
Tv + g min(Tv - v) and Tv + g max(Tv - v), with g = gamma / (1 - gamma) (MacQueen 1966; Puterman 1994, Section 6.6).
Each iteration therefore continues from the middle of that interval, and half its width is the error bound. The width
shrinks at the rate at which beliefs forget, not at gamma: the defaults need 71 iterations instead of 217, and 109 instead
of 24,828 with a discount of 0.999. Where beliefs forget nothing it shrinks like gamma, as plain value iteration does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.planning.coordinated_model import Array, CoordinatedModel

_MAX_ITERATIONS = 200_000
_TIE = 1e-12
"""Two prescriptions whose Q* differ by less, relative to its size, are as good as each other: float64's own error."""


@dataclass(frozen=True)
class Solution:
    """The fixed point."""

    value: Array
    """[N] V*"""
    q: Array
    """[N, M] Q*"""
    residual: float
    """Bound on |V - V*| over all beliefs of the model."""
    iterations: int

    def best(self) -> NDArray[np.int64]:
        """[N] an optimal prescription at each belief; ties go to the lowest index."""
        margin = _TIE * max(1.0, float(np.abs(self.value).max()))
        best: NDArray[np.int64] = np.argmax(self.q >= self.value[:, None] - margin, axis=1).astype(np.int64)
        return best


def fixed_point(
    operator: Callable[[Array], Array], count: int, discount: float, tolerance: float
) -> tuple[Array, float, int]:
    """The fixed point [N] of a Bellman operator with ``discount``, a bound on its error, and the iterations taken.

    The operator must be monotone and add ``discount * c`` to its result when c is added to its argument, which every
    maximum or average over prescriptions of reward plus discounted expectation does. Several steps in one count as one
    operator with the discount's power.

    Raises:
        InvariantError: if it does not converge.
    """
    value = np.zeros(count)
    stretch = discount / (1.0 - discount)
    for iteration in range(1, _MAX_ITERATIONS + 1):
        improved = operator(value)
        change = improved - value
        low, high = float(change.min()), float(change.max())
        value = improved + stretch * 0.5 * (low + high)
        bound = stretch * 0.5 * (high - low)
        attainable = 8.0 * np.finfo(np.float64).eps * float(np.abs(value).max(initial=1.0)) * (1.0 + stretch)
        if bound <= max(tolerance, attainable):
            return value, bound, iteration
    raise InvariantError(f"value iteration did not converge in {_MAX_ITERATIONS} iterations; its bound is {bound}")


def solve(model: CoordinatedModel, discount: float, tolerance: float = 1e-10) -> Solution:
    """V* and Q* with an error bound of at most ``tolerance``, or what float64 can give where that is more.

    Raises:
        InvariantError: if it does not converge.
    """

    def bellman(value: Array) -> Array:
        improved: Array = (model.reward + discount * model.expected(value)).max(axis=1)
        return improved

    value, bound, iterations = fixed_point(bellman, len(model.reward), discount, tolerance)
    q = model.reward + discount * model.expected(value)
    # V is taken from this Q, so that an optimal prescription has V - Q = 0 and not almost 0.
    return Solution(q.max(axis=1), q, discount * bound, iterations)


def policy_value(model: CoordinatedModel, discount: float, weights: Array, tolerance: float = 1e-11) -> float:
    """Exact value from the start belief of choosing prescription m at belief n with probability weights[n, m]."""
    reward = (weights * model.reward).sum(axis=1)

    def average(value: Array) -> Array:
        following: Array = reward + discount * (weights * model.expected(value)).sum(axis=1)
        return following

    return float(fixed_point(average, len(reward), discount, tolerance)[0][model.start])
