"""What prescriptions promise if memories become common not now but after some more decisions, of two agents.

A look takes in k decisions: what a joint plan of them is worth if all becomes common at the k-th, just after which the
agents know no more than by a fresh belief. That falls apart into pairs of memories and of what both agents observe on the
way, and its bound (``path_tightening``) falls apart, too: into a table by joint memory and joint action, like any other
that prescriptions are ordered by. The farther the look, the less of what is common too early counts; and the more it costs,
so that a node is looked at from farther only after as much was spent on trying its prescriptions one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers
from dadc_net.planning.finite.path_tightening import Paths, Shape, tighten_paths
from dadc_net.planning.finite.team_belief import TeamBelief

_MOST_ENTRIES, _ENTRY_BYTES = 4_000_000, 28
"""Of one look; and of an entry in its arrays at most."""
_SWEEPS, _MOST_SWEEPS = 8, 96
_WORTHWHILE = 0.02
"""Sweeps go on while as many as these lower the bound by this share of what all before have."""
_ROW = 5000
"""Entries, sweep by sweep, that cost as much as a joint memory of a belief that follows a prescription."""
_ERROR = 1e-15
"""Of float64 in a sweep, relative to all entries; it is added."""


class Look(NamedTuple):
    """A bound on what the prescriptions of a belief are worth. T joint memories, JA joint actions."""

    table: Array
    """[T, JA] whose sums over joint memories are never too little"""
    bound: float
    numbers: Numbers
    """[n] fresh beliefs on which the bound rests where all becomes common"""
    actions: Numbers
    """[n] joint actions there"""
    weights: Array
    """[n]"""


class Foresight:
    """Looks at what follows a team belief from farther away."""

    def __init__(
        self,
        joint: JointBeliefs,
        discount: float,
        upper_q: Callable[[int, Numbers], Array],
        room: int = 1 << 27,
        hold: Callable[[int], None] = lambda change: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            upper_q: at a stage, by fresh belief [n] and joint action, no structure has more: [n, JA].
            room: bytes that the arrays of one look may take.
            hold: told by how many bytes what is held has grown, before ``stop`` is asked.
        """
        self._hold, self._stop = hold, stop
        self._most = min(_MOST_ENTRIES, room // _ENTRY_BYTES)
        self._joint = joint
        self._discount = discount
        self._upper_q = upper_q
        self._actions = joint.model.joint_actions.sizes
        self._observations = joint.model.joint_observations.sizes

    def entries(self, rows: int, decisions: int) -> int:
        """Of the gain of so many joint memories."""
        return int(rows * math.prod(self._observations) ** (decisions - 1) * math.prod(self._actions) ** decisions)

    def cost(self, rows: int, decisions: int) -> int:
        """What a look costs, in rows of beliefs."""
        return int(self.entries(rows, decisions) * _MOST_SWEEPS // _ROW)

    def farthest(self, rows: int, spent: int, most: int) -> int:
        """How many decisions, up to ``most``, a look may take in for what was ``spent``; 1 if it would see nothing new."""
        decisions = 1
        while decisions < most and self.entries(rows, decisions + 1) <= self._most:
            if self.cost(rows, decisions + 1) > spent:
                break
            decisions += 1
        return decisions

    def look(self, belief: TeamBelief, stages: list[int], enough: float) -> Look | None:
        """Bound prescriptions of ``belief`` where all becomes common at the last of the ``stages``, one by decision.

        Args:
            enough: a bound that is no greater need not be tighter.

        Returns:
            None where time is up, or memory with the arrays of this look.
        """
        arrays = self.entries(len(belief.numbers), len(stages)) * _ENTRY_BYTES
        self._hold(arrays)
        found = None if self._stop() else self._looked(belief, stages, enough)
        self._hold(-arrays)
        return found

    def _looked(self, belief: TeamBelief, stages: list[int], enough: float) -> Look:
        (acts, answers), (sees, hears), decisions = self._actions, self._observations, len(stages)
        memories = np.stack([np.unique(belief.memories[:, k], return_inverse=True)[1].reshape(-1) for k in (0, 1)])
        known, place = np.unique(belief.numbers, return_inverse=True)
        worth = self._plans(known, stages)[0].transpose(0, 1, 3, 2, 4)
        rows = np.ascontiguousarray(worth[place.reshape(-1)] * belief.weights[:, None, None, None, None])
        error = _ERROR * float(np.abs(rows).sum())
        paths, shape = Paths.of(rows, memories), Shape(decisions, (acts, answers), (sees, hears))
        sweeps, bound, begun = 0, np.inf, float(rows.max(axis=(3, 4)).sum())
        while sweeps < _MOST_SWEEPS and bound > enough:
            before, bound, sweeps = bound, tighten_paths(paths, shape, _SWEEPS), sweeps + _SWEEPS
            if before - bound <= _WORTHWHILE * (begun - bound):
                break
        whole = paths.whole()
        split = whole.reshape(*whole.shape[:3], acts, -1, answers, whole.shape[4] // answers)
        table = split.max(axis=(4, 6)).sum(axis=(1, 2)).reshape(len(whole), -1)
        table += error * (1 + sweeps) / len(table)
        return Look(table, bound, *self._rests_on(belief, whole, decisions))

    def _plans(self, numbers: Numbers, stages: list[int]) -> tuple[Array, Array]:
        """[n, p, x, q, y] what courses on paths are worth at fresh beliefs [n], and how probable those paths are then."""
        (acts, answers), (sees, hears) = self._actions, self._observations
        if len(stages) == 1:
            worth = self._upper_q(stages[0], numbers).reshape(-1, 1, acts, 1, answers)
            return worth, np.ones_like(worth)
        pairs, found = acts * answers, self._joint.following(*self._all_pairs(numbers))
        known, place = np.unique(found.belief, return_inverse=True)
        later, chance = self._plans(known, stages[1:])
        _, paths, courses, others, answered = later.shape
        worth = np.zeros((len(numbers), sees, paths, acts, courses, hears, others, answers, answered))
        whole = np.zeros_like(worth)
        reward = self._joint.reward(numbers)
        outcome = found.pair % pairs * (sees * hears) + found.observation
        for key in np.unique(outcome).tolist():
            rows = np.flatnonzero(outcome == key)
            (action, answer), (saw, heard) = divmod(key // (sees * hears), answers), divmod(key % (sees * hears), hears)
            at, after = found.pair[rows] // pairs, place.reshape(-1)[rows]
            likely = found.probability[rows][:, None, None, None, None]
            now = reward[at, key // (sees * hears)][:, None, None, None, None]
            worth[at, saw, :, action, :, heard, :, answer] = likely * (now * chance[after] + self._discount * later[after])
            whole[at, saw, :, action, :, heard, :, answer] = likely * chance[after]
        shape = (len(numbers), sees * paths, acts * courses, hears * others, answers * answered)
        return worth.reshape(shape), whole.reshape(shape)

    def _all_pairs(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        pairs = self._joint.model.num_joint_actions
        return np.repeat(numbers, pairs), np.tile(np.arange(pairs), len(numbers))

    def _rests_on(self, belief: TeamBelief, whole: Array, decisions: int) -> tuple[Numbers, Numbers, Array]:
        """Fresh beliefs, joint actions and weights where all becomes common, on the courses that bound every entry."""
        (acts, answers), (sees, hears) = self._actions, self._observations
        best = whole.reshape(-1, whole.shape[3] * whole.shape[4]).argmax(axis=1)
        course, answer = np.divmod(best, whole.shape[4])
        row, path, other = np.unravel_index(np.arange(len(best)), whole.shape[:3])
        numbers, weights = belief.numbers[row], belief.weights[row]
        action = self._joint_digit(course, answer, decisions - 1, (acts, answers))
        for left in range(decisions - 2, -1, -1):
            observed = self._joint_digit(path, other, left, (sees, hears))
            found = self._joint.following(numbers, action)
            met = np.flatnonzero(found.observation == observed[found.pair])
            kept = found.pair[met]
            numbers, weights = found.belief[met], weights[kept] * found.probability[met]
            course, answer, path, other = course[kept], answer[kept], path[kept], other[kept]
            action = self._joint_digit(course, answer, left, (acts, answers))
        pairs = self._joint.model.num_joint_actions
        met, place = np.unique(numbers * pairs + action, return_inverse=True)
        return met // pairs, met % pairs, np.bincount(place.reshape(-1), weights=weights).astype(np.float64)

    @staticmethod
    def _joint_digit(first: Numbers, second: Numbers, place: int, sizes: tuple[int, int]) -> Numbers:
        """The joint action or observation at a place of both agents' courses or paths, the last one at 0."""
        joint: Numbers = first // sizes[0] ** place % sizes[0] * sizes[1] + second // sizes[1] ** place % sizes[1]
        return joint


def stages_from(stage: int, following: Callable[[int], int], is_last: Callable[[int], bool], most: int) -> Iterator[int]:
    """The stage and those after it, up to the last decision, ``most`` in all."""
    for _ in range(most):
        yield stage
        if is_last(stage):
            return
        stage = following(stage)
