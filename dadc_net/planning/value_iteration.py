"""Value iteration for the dynamic program (2) on a finite coordinated model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.planning.coordinated_model import Array, CoordinatedModel

_MAX_ITERATIONS = 200_000


@dataclass(frozen=True)
class Solution:
    """The fixed point."""

    value: Array
    """[N] V*"""
    q: Array
    """[N, M] Q*"""
    residual: float
    """Bound on |V - V*|: the last Bellman error divided by 1 - gamma."""
    iterations: int

    def best(self) -> NDArray[np.int64]:
        """[N] an optimal prescription at each belief; ties go to the lowest index."""
        best: NDArray[np.int64] = np.argmax(self.q, axis=1).astype(np.int64)
        return best


def solve(model: CoordinatedModel, discount: float, tolerance: float = 1e-10) -> Solution:
    """Iterate the Bellman operator until the error bound is below ``tolerance`` (or at float64's limit).

    Raises:
        InvariantError: if it does not converge.
    """
    value = np.zeros(model.reward.shape[0])
    scale = float(np.abs(model.reward).max(initial=1.0)) / (1.0 - discount)
    target = max(tolerance * (1.0 - discount), 8.0 * np.finfo(np.float64).eps * scale)
    for iteration in range(1, _MAX_ITERATIONS + 1):
        q = model.reward + discount * model.expected(value)
        improved = q.max(axis=1)
        error = float(np.abs(improved - value).max())
        value = improved
        if error <= target:
            q = model.reward + discount * model.expected(value)
            return Solution(q.max(axis=1), q, error * discount / (1.0 - discount), iteration)
    raise InvariantError(f"value iteration did not converge in {_MAX_ITERATIONS} iterations; the error is {error}")


def policy_value(model: CoordinatedModel, discount: float, weights: Array) -> float:
    """Exact value from the start belief of choosing prescription m at belief n with probability weights[n, m].

    Value iteration for that fixed rule, to 1e-12 of its fixed point.
    """
    reward = (weights * model.reward).sum(axis=1)
    value = np.zeros_like(reward)
    for _ in range(_MAX_ITERATIONS):
        improved = reward + discount * (weights * model.expected(value)).sum(axis=1)
        error = float(np.abs(improved - value).max())
        value = improved
        if error <= 1e-12 * max(1.0, float(np.abs(value).max())) * (1.0 - discount):
            break
    return float(value[model.start])
