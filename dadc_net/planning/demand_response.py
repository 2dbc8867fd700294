"""The coordinated demand-response problem: a decision process on the number of loads that are on, exact for any n.

Under a symmetric prescription h, a load in state s is on next with probability q_s = sum_a h(a | s) P(on | s, a), on its
own; so of m loads that are on, the next number is Bin(n - m, q_0) + Bin(m, q_1). That is the kernel.

    deterministic    nine prescriptions
    randomised       all of them: a point (q_0, q_1) of a rectangle. What q_s costs at least is the lower convex envelope of
                     the three actions' (q, cost), so two numbers are searched per state, not six

Both are solved by policy iteration with an exact linear solve. The search over the rectangle starts from a grid that holds
the envelope's kinks and narrows around the best point; a finer grid then looks for anything that it missed, and what it
finds, divided by 1 - gamma, is the residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.planning.coordinated_model import Array
from dadc_net.team.demand_response import OFF, ON, DemandResponseParameters

_COARSE, _FINE, _NARROW = 25, 97, 9
_LEVELS = 8
_TOLERANCE = 1e-9
_MOST_ITERATIONS = 200


@dataclass(frozen=True)
class MeanFieldSolution:
    """An optimal symmetric rule; N = n + 1 states."""

    value: Array
    """[N] V* by number of loads that are on"""
    prescriptions: Array
    """[N, 2, 3] h(a | s)"""
    start_value: float
    """E V*(M_0)"""
    residual: float
    """Bound on the error of the value"""


class Envelope(NamedTuple):
    """Least cost of being on next with probability q, in one state: linear between the hull's actions."""

    actions: NDArray[np.int64]
    """[H] in order of q"""
    q: Array
    """[H]"""
    cost: Array
    """[H]"""

    def least_cost(self, q: Array) -> Array:
        """At q [...]."""
        result: Array = np.interp(q, self.q, self.cost)
        return result

    def mixture(self, q: Array) -> Array:
        """The prescription of that cost: q [n] -> [n, 3]."""
        chances = np.zeros((len(q), 3))
        for place, action in enumerate(self.actions.tolist()):
            corner = np.zeros(len(self.q))
            corner[place] = 1.0
            chances[:, action] += np.interp(q, self.q, corner)
        return chances


def envelope(q: Array, cost: Array) -> Envelope:
    """Lower convex envelope of actions' (q, cost): both [3]."""
    hull: list[int] = []
    for action in sorted(range(len(q)), key=lambda a: (q[a], cost[a])):
        if hull and q[action] - q[hull[-1]] < 1e-12:
            continue
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (cost[b] - cost[a]) * (q[action] - q[a]) < (cost[action] - cost[a]) * (q[b] - q[a]):
                break
            hull.pop()
        hull.append(action)
    chosen = np.array(hull)
    return Envelope(chosen, q[chosen], cost[chosen])


_Improve = Callable[[Array, int], tuple[Array, Array]]
"""(value, points of the search's grid) -> rule and improved value"""


class MeanFieldModel:
    """The problem with n loads."""

    def __init__(self, parameters: DemandResponseParameters, discount: float) -> None:
        self.parameters, self.discount = parameters, discount
        self.loads = parameters.agents
        self.on = parameters.on_probabilities()
        self.costs = parameters.action_costs()
        self.divergence = parameters.divergences()
        self.envelopes = [envelope(self.on[state], self.costs) for state in (OFF, ON)]
        self._log_factorial = np.array([math.lgamma(k + 1.0) for k in range(self.loads + 1)])
        self.start = self.binomial(self.loads, np.array([parameters.initial_on_probability]))[0]
        """[N] law of the initial number of loads that are on."""

    def binomial(self, trials: int, chance: Array) -> Array:
        """Law of Bin(trials, chance): chance [G] -> [G, trials + 1]."""
        k = np.arange(trials + 1)
        logs = self._log_factorial
        ways = logs[trials] - logs[k] - logs[trials - k]
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(k == 0, 0.0, k * np.log(chance)[:, None])
            down = np.where(k == trials, 0.0, (trials - k) * np.log1p(-chance)[:, None])
        return np.asarray(np.exp(ways + up + down), dtype=np.float64)

    def row(self, on: int, q: Array) -> Array:
        """Law of the next number [N], of ``on`` loads that are on, under q [2]."""
        off_law, on_law = self.binomial(self.loads - on, q[OFF : OFF + 1])[0], self.binomial(on, q[ON : ON + 1])[0]
        return np.asarray(np.convolve(off_law, on_law), dtype=np.float64)

    def next_on(self, prescriptions: Array) -> Array:
        """q of prescriptions: [..., 2, 3] -> [..., 2]."""
        result: Array = (prescriptions * self.on).sum(axis=-1)
        return result

    def reward(self, on: NDArray[np.int64], prescriptions: Array) -> Array:
        """E[R | number on, h]: on [...], prescriptions [..., 2, 3] -> [...]."""
        costs = (prescriptions * self.costs).sum(axis=-1)
        paid = ((self.loads - on) * costs[..., OFF] + on * costs[..., ON]) / self.loads
        return np.asarray(-(paid + self.divergence[on]), dtype=np.float64)

    def policy_value(self, prescriptions: Array) -> Array:
        """Exact value [N] of a rule [N, 2, 3], by one linear solve."""
        states = np.arange(self.loads + 1)
        q = self.next_on(prescriptions)
        kernel = np.stack([self.row(on, q[on]) for on in states.tolist()])
        system = np.eye(self.loads + 1) - self.discount * kernel
        return np.asarray(np.linalg.solve(system, self.reward(states, prescriptions)), dtype=np.float64)

    def start_value(self, value: Array) -> float:
        """E value(M_0)."""
        return float(self.start @ value)

    def deterministic(self) -> MeanFieldSolution:
        """The best of the nine deterministic prescriptions at each state."""
        menu = np.zeros((9, 2, 3))
        for entry, actions in enumerate(product(range(3), repeat=2)):
            menu[entry, [OFF, ON], list(actions)] = 1.0
        states = np.arange(self.loads + 1)
        kernels = np.stack([[self.row(on, q) for q in self.next_on(menu)] for on in states.tolist()])
        rewards = np.stack([self.reward(np.full(9, on), menu) for on in states.tolist()])

        def improve(value: Array, _: int) -> tuple[Array, Array]:
            scores = rewards + self.discount * (kernels @ value)
            best = scores.argmax(axis=1)
            return menu[best], scores[states, best]

        return self._iterate(improve)

    def randomised(self) -> MeanFieldSolution:
        """The best symmetric prescription at each state."""
        return self._iterate(self._improve)

    def _iterate(self, improve: _Improve) -> MeanFieldSolution:
        rule, _ = improve(np.zeros(self.loads + 1), _COARSE)
        value = self.policy_value(rule)
        for _ in range(_MOST_ITERATIONS):
            better, improved = improve(value, _COARSE)
            gained = float((improved - value).max())
            if gained / (1.0 - self.discount) <= _TOLERANCE:
                better, improved = improve(value, _FINE)
                residual = max(0.0, float((improved - value).max())) / (1.0 - self.discount)
                if residual <= _TOLERANCE:
                    return MeanFieldSolution(value, rule, self.start_value(value), residual)
            # Where nothing is gained the old prescription stays, so that rounding cannot make the rule wander.
            kept = improved <= value + 0.01 * _TOLERANCE
            rule = np.where(kept[:, None, None], rule, better)
            value = self.policy_value(rule)
        raise InvariantError(f"policy iteration did not come to rest within {_MOST_ITERATIONS} improvements")

    def _improve(self, value: Array, points: int) -> tuple[Array, Array]:
        """The best rule [N, 2, 3] for one step before ``value`` [N], and what it gains: [N]."""
        found = [self._best(on, value, points) for on in range(self.loads + 1)]
        q = np.array([best for best, _ in found])
        rule = np.stack([self.envelopes[state].mixture(q[:, state]) for state in (OFF, ON)], axis=1)
        return rule, np.array([score for _, score in found])

    def _best(self, on: int, value: Array, points: int) -> tuple[tuple[float, float], float]:
        """The best (q_0, q_1) for ``on`` loads, and its score."""
        grids = [_with(np.linspace(curve.q[0], curve.q[-1], points), curve.q) for curve in self.envelopes]
        following = np.lib.stride_tricks.sliding_window_view(value, on + 1)
        best, score = (0.0, 0.0), -math.inf
        for _ in range(_LEVELS):
            later = self.binomial(self.loads - on, grids[OFF]) @ following @ self.binomial(on, grids[ON]).T
            paid = [curve.least_cost(grid) for curve, grid in zip(self.envelopes, grids, strict=True)]
            cost = ((self.loads - on) * paid[OFF][:, None] + on * paid[ON][None, :]) / self.loads
            scores = self.discount * later - cost
            i, j = np.unravel_index(int(scores.argmax()), scores.shape)
            best, score = (float(grids[OFF][i]), float(grids[ON][j])), float(scores[i, j])
            grids = [
                _with(_around(grid, int(place)), np.append(curve.q, here))
                for grid, place, curve, here in zip(grids, (i, j), self.envelopes, best, strict=True)
            ]
        return best, score - float(self.divergence[on])


def _with(grid: Array, extra: Array) -> Array:
    """A grid with the points of ``extra`` that lie within it."""
    inside = extra[(extra >= grid[0]) & (extra <= grid[-1])]
    return np.unique(np.concatenate((grid, inside)))


def _around(grid: Array, place: int) -> Array:
    """A narrower grid between the neighbours of a point."""
    return np.linspace(grid[max(0, place - 1)], grid[min(len(grid) - 1, place + 1)], _NARROW)
