"""Randomised prescriptions in the multi-access broadcast problem: their optimum, and the value of a rule that uses them.

Agent k with a packet transmits with probability theta_k, drawn on its own. Its buffer's belief keeps its product form, so a
belief is still three numbers, but theta leads to infinitely many of them.

The optimum is that of the menu ``all``, whose entries are the corners of the box: V is convex in the belief, because a
coordinator that is told more can do no worse; drawing an action privately tells the coordinator less than drawing the
corresponding entry of the menu in public; so the private draw is worth at most the average of the entries.

A rule is valued by the performance-difference identity with any function W in the place of V*:

    J = W(b_0) + E sum_t gamma^t [r(b_t, theta_t) + gamma E W(b_{t+1}) - W(b_t)]

which is unbiased whatever W is, and has the less variance the better W is. Here W solves the program on a grid of beliefs,
linear in between; the expectation is over all seven outcomes, only the path of beliefs is sampled.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream
from dadc_net.planning.coordinated_model import Array
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.planning.multi_access_broadcast import OUTCOMES, expand
from dadc_net.planning.value_iteration import fixed_point
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcastParameters
from dadc_net.team.prescriptions import PrescriptionFamily

_POINTS = 21
_TOLERANCE = 1e-7


class BeliefGrid:
    """Functions on [0, 1]^3 that are linear between the points of a grid."""

    def __init__(self, points: int = _POINTS) -> None:
        self._points = points
        axis = np.linspace(0.0, 1.0, points)
        self.beliefs: Array = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)

    def corners(self, beliefs: Array) -> tuple[NDArray[np.int64], Array]:
        """The eight grid points around each belief [..., 3], and their weights: both [..., 8]."""
        scaled = np.clip(beliefs, 0.0, 1.0) * (self._points - 1)
        low = np.minimum(scaled.astype(np.int64), self._points - 2)
        rest = scaled - low
        indices, weights = [], []
        for step in itertools.product((0, 1), repeat=3):
            place = low + np.array(step)
            indices.append((place[..., 0] * self._points + place[..., 1]) * self._points + place[..., 2])
            weights.append(np.where(np.array(step) == 1, rest, 1.0 - rest).prod(axis=-1))
        return np.stack(indices, axis=-1), np.stack(weights, axis=-1)

    def at(self, value: Array, beliefs: Array) -> Array:
        """The function with ``value`` at the points, at beliefs [..., 3]."""
        index, weight = self.corners(beliefs)
        result: Array = (value[index] * weight).sum(axis=-1)
        return result


class BroadcastGrid:
    """W of the problem with the given parameters and discount."""

    def __init__(self, parameters: MultiAccessBroadcastParameters, discount: float) -> None:
        self._parameters, self._discount = parameters, discount
        self.grid = BeliefGrid()
        found = expand(self.grid.beliefs, parameters, MENUS["all"].table()[:, :, 1].astype(np.float64)[None])
        index, weight = self.grid.corners(found.following)
        weight = weight * found.probability[..., None]

        def bellman(value: Array) -> Array:
            improved: Array = (found.reward + discount * (value[index] * weight).sum(axis=(2, 3))).max(axis=1)
            return improved

        self.value, _, _ = fixed_point(bellman, len(self.grid.beliefs), discount, _TOLERANCE)

    def estimate(
        self, family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream, steps: int | None = None
    ) -> Estimate:
        """J of a rule whose theta has the meaning of ``family``, from ``trajectories`` sampled paths."""
        parameters = self._parameters
        belief = np.tile([parameters.initial_busy_probability, 0.0, 0.0], (trajectories, 1))
        common = np.tile(np.array([0, 0, parameters.start_symbol], dtype=np.int64), (trajectories, 1))
        now = self.grid.at(self.value, belief)
        total = now.copy()
        rule.begin(trajectories)
        everyone = np.arange(trajectories)
        for t in range(steps or horizon(self._discount)):
            # One table that both share counts for each of them.
            chances = np.broadcast_to(family.probabilities(rule.choose(common))[:, :, 1, 1], (trajectories, 2))
            found = expand(belief, parameters, chances[:, None])
            probability, following = found.probability[:, 0], found.following[:, 0]
            later = self.grid.at(self.value, following)
            gain = found.reward[:, 0] + self._discount * (probability * later).sum(axis=1) - now
            total += self._discount**t * gain
            thresholds = np.cumsum(probability, axis=1)
            uniform = stream.uniforms(t, 1, trajectories)[0] * thresholds[:, -1]
            outcome = np.minimum(np.sum(thresholds <= uniform[:, None], axis=1), len(OUTCOMES) - 1)
            belief, common, now = following[everyone, outcome], OUTCOMES[outcome], later[everyone, outcome]
        return mean_estimate(total)
