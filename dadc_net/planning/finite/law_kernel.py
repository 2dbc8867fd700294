"""What may follow a joint possibility and a joint action, worked out once for each pair that comes up.

A point is a state, the local values of all agents and the joint steps that common information may still depend on. Points
are numbered stage by stage as they come up; a stage is a step, or all the steps that a structure treats alike. Structures
and models are asked only when a pair of point and joint action is new, so that moving many laws is looking up rows.

Axis letters: P points, K agents, JA joint actions, R rows, C columns of a point, Z columns of common information.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.planning.finite.joint_beliefs import Array, Numbers, joint_moves
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.spaces import Space
from dadc_net.team.structures.structure import InformationStructure, JointStep, Values

_WIDEST = 2**62
_MOST_MOVES = 20_000_000
"""Entries of all tables together, some 25 bytes each."""
_SPREAD = 8
"""Codes are counted instead of sorted while there are at most so many times more of them than rows."""


class Moves(NamedTuple):
    """What follows R rows, each a point and a joint action; M moves, in order of rows."""

    row: Numbers
    """[M]"""
    point: Numbers
    """[M] at the next stage"""
    common: Numbers
    """[M] what becomes common, as a number of ``LawKernel.commons``"""
    chance: Array
    """[M] given the row"""


class _Numbered:
    """Rows of whole numbers, numbered as they come up."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}
        self.rows: Numbers = np.zeros((0, 0), dtype=np.int64)

    def numbers(self, rows: Numbers) -> Numbers:
        """[R] of rows [R, C]."""
        _, first, place = np.unique(codes_of(list(rows.T)), return_index=True, return_inverse=True)
        distinct, fresh = np.ascontiguousarray(rows[first]), []
        found = np.empty(len(distinct), dtype=np.int64)
        for at, row in enumerate(distinct):
            key = row.tobytes()
            if key not in self._number:
                self._number[key] = len(self._number)
                fresh.append(at)
            found[at] = self._number[key]
        if fresh:
            self.rows = np.concatenate((self.rows.reshape(-1, rows.shape[1]), distinct[fresh]))
        result: Numbers = found[place.reshape(-1)]
        return result


class Stage:
    """The points of one step, and what follows those that have been asked for."""

    def __init__(self, kernel: LawKernel, step: int) -> None:
        self.step = step
        self._kernel = kernel
        self.points = _Numbered()
        self._first = np.zeros(0, dtype=np.int64)
        """[P JA] where the moves of a pair begin; -1: not known yet"""
        self._count = np.zeros(0, dtype=np.int64)
        self._moves = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))

    @property
    def next(self) -> Stage:
        """The stage of the step after."""
        return self._kernel.stage(self.step + 1)

    @property
    def states(self) -> Numbers:
        """[P]"""
        column: Numbers = self.points.rows[:, 0]
        return column

    def local(self, agent: int) -> Values:
        """[P, L] of an agent, counted from 0."""
        return self.points.rows[:, self._kernel.places[agent]]

    def moves(self, point: Numbers, action: Numbers) -> Moves:
        """What follows points [R] and joint actions [R].

        Raises:
            UsageError: if the tables would become too large.
        """
        pair = point * self._kernel.num_actions + action
        more = len(self.points.rows) * self._kernel.num_actions - len(self._first)
        if more > 0:
            self._first = np.append(self._first, np.full(more, -1))
            self._count = np.append(self._count, np.zeros(more, dtype=np.int64))
        missing = pair[self._first[pair] < 0]
        if len(missing):
            self._learn(np.unique(missing))
        counts = self._count[pair]
        row = np.repeat(np.arange(len(pair)), counts)
        ends = np.cumsum(counts)
        entry = np.arange(len(row)) + np.repeat(self._first[pair] - (ends - counts), counts)
        following, common, chance = (column[entry] for column in self._moves)
        return Moves(row, following, common, chance)

    def _learn(self, pairs: Numbers) -> None:
        actions = self._kernel.num_actions
        found = self._kernel.expanded(self, pairs // actions, pairs % actions)
        before = len(self._moves[0])
        # What leads to the same and says the same is one move.
        code = codes_of([found.row, found.common, found.point])
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        chance = sums_at(place.reshape(-1), found.chance, len(first))
        fresh = (found.point[first], found.common[first], chance)
        self._moves = tuple(np.concatenate(both) for both in zip(self._moves, fresh, strict=True))  # type: ignore[assignment]
        counts = np.bincount(found.row[first], minlength=len(pairs))
        self._first[pairs] = before + np.cumsum(counts) - counts
        self._count[pairs] = counts
        self._kernel.add(len(first))


class LawKernel:
    """The stages of one team."""

    def __init__(
        self, model: FiniteModel, public: int, structure: InformationStructure, spaces: Sequence[Space], looks: bool
    ) -> None:
        """
        Args:
            public: columns of what is public.
            spaces: of local information, one of each agent.
            looks: whether what becomes common is told apart; without that, points need no past.

        Raises:
            UsageError: if local information is made of real numbers.
        """
        if any(space.dtype != np.int64 for space in spaces):
            raise UsageError(
                f"under {structure.name} local information has real numbers. A law is exact where there are finitely many "
                "values. Choose a structure whose local space is finite."
            )
        self.model = model
        self.num_actions = model.num_joint_actions
        self.commons = _Numbered()
        self._structure = structure
        self._public = public
        self._looks = looks
        self._keep = structure.history_steps - 1 if looks else 0
        self._widths = [space.columns for space in spaces]
        starts = np.cumsum([1, *self._widths]).tolist()
        self.places = [slice(first, last) for first, last in itertools.pairwise(starts)]
        """[K] columns of a point that are an agent's local value"""
        self._past = starts[-1]
        self._stages: dict[int, Stage] = {}
        self._held = 0
        tables = [joint_moves(model, a) for a in range(model.num_joint_actions)]
        # All tables below one another: the row of joint action a and state s is a S + s.
        begins = np.cumsum([0, *(len(chance) for _, _, chance in tables)])
        self._first = np.concatenate([table[0][:-1] + start for table, start in zip(tables, begins, strict=False)])
        self._count = np.concatenate([np.diff(table[0]) for table in tables])
        self._column = np.concatenate([table[1] for table in tables])
        self._chance = np.concatenate([table[2] for table in tables])

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        alike = self._structure.recurring_step(step)
        return self._stages.setdefault(alike, Stage(self, alike))

    def forget(self) -> None:
        """Begin anew, so that nothing depends on what was asked before."""
        self._stages.clear()
        self.commons = _Numbered()
        self._held = 0

    def add(self, moves: int) -> None:
        """Count what is held. Raises UsageError where it is too much."""
        self._held += moves
        if self._held > _MOST_MOVES:
            raise UsageError(
                f"the exact law of {self.model.name} under {self._structure.name} needs tables of more than {_MOST_MOVES} "
                "moves. Rules are valued by plain returns instead. Set evaluation.plan_seconds=0 to leave the attempt out."
            )

    def start(self) -> tuple[Stage, Numbers, Values]:
        """Stage 0, the points [R] of the states in which an episode may begin, rising, and z_0 [1, Z]."""
        states = np.flatnonzero(self.model.start)
        rows, agents = len(states), self.model.num_agents
        nothing = np.zeros((rows, agents), dtype=np.int64)
        now = JointStep(nothing, np.zeros((rows, self._public), dtype=np.int64), nothing, np.ones(rows, dtype=np.bool_))
        steps = np.zeros(rows, dtype=np.int64)
        local = [
            self._structure.local(np.zeros((rows, width), dtype=np.int64), steps, nothing[:, k : k + 1], steps)
            for k, width in enumerate(self._widths)
        ]
        stage = self.stage(0)
        return stage, stage.points.numbers(self._columns(states, local, [now])), self._structure.common([now], steps)[:1]

    def expanded(self, stage: Stage, point: Numbers, action: Numbers) -> Moves:
        """The same as ``Stage.moves``, from the model and the structure themselves."""
        following, before = stage.next, stage.points.rows[point]
        place = action * self.model.num_states + before[:, 0]
        counts = self._count[place]
        row = np.repeat(np.arange(len(place)), counts)
        ends = np.cumsum(counts)
        entry = np.arange(len(row)) + np.repeat(self._first[place] - (ends - counts), counts)
        column, step = self._column[entry], np.full(len(row), following.step)
        seen = self.model.joint_observations.values(column // self.model.num_states)
        done, before = self.model.joint_actions.values(action)[row], before[row]
        now = JointStep(seen, np.zeros((len(row), self._public), dtype=np.int64), done, np.zeros(len(row), dtype=np.bool_))
        local = [
            self._structure.local(before[:, own], done[:, k], seen[:, k : k + 1], step) for k, own in enumerate(self.places)
        ]
        history = [*self._history(before), now]
        common = np.zeros(len(row), dtype=np.int64)
        if self._looks:
            common = self.commons.numbers(self._structure.common(history, step).astype(np.int64))
        rows = self._columns(column % self.model.num_states, local, history)
        return Moves(row, following.points.numbers(rows), common, self._chance[entry])

    def _columns(self, states: Numbers, local: Sequence[Values], history: Sequence[JointStep]) -> Numbers:
        """[R, C] points as rows."""
        kept = history[-self._keep :] if self._keep else ()
        past = [np.column_stack((step.observations, step.joint_action_tm1, step.begin)) for step in kept]
        return np.column_stack((states, *local, *past)).astype(np.int64)

    def _history(self, rows: Numbers) -> list[JointStep]:
        """The joint steps in points that are written as rows [R, C]."""
        agents = self.model.num_agents
        width = 2 * agents + 1
        public = np.zeros((len(rows), self._public), dtype=np.int64)
        return [
            JointStep(part[:, :agents], public, part[:, agents : 2 * agents], part[:, -1].astype(np.bool_))
            for first in range(self._past, rows.shape[1], width)
            for part in (rows[:, first : first + width],)
        ]


def distinct(code: Numbers, width: int) -> tuple[Numbers, Numbers]:
    """The codes [R], each in 0 .. width - 1, that occur [D], rising, and where in them each row's stands [R]."""
    if width > _SPREAD * len(code) + 4096:
        values, place = np.unique(code, return_inverse=True)
        return values, place.reshape(-1)
    occurs = np.zeros(width, dtype=np.bool_)
    occurs[code] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[code]


def codes_of(columns: list[NDArray[Any]]) -> Numbers:
    """Rows as numbers, equal where the rows are, rising with the first column."""
    codes, width = columns[0].astype(np.int64), int(columns[0].max()) + 1
    for column in columns[1:]:
        low, high = int(column.min()), int(column.max())
        span = high - low + 1
        if width * span > _WIDEST:
            unique, codes = np.unique(codes, return_inverse=True)
            codes, width = codes.reshape(-1), len(unique)
        codes = codes * span + (column.astype(np.int64) - low)
        width *= span
    return codes
