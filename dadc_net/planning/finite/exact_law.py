"""The exact law of state and local information beside a rule, given the common information: the coordinator's belief.

It follows the run's own structure and prescriptions: local and common information come from the functions that agents and
server call, and actions have the very probabilities that agents draw with. So it holds for whatever rule, family and
structure a run has, also where the planner, which looks for an optimum, would use another but equal belief.

Everything is a table of rows, each a joint possibility of one copy of the common information. Axis letters: n copies, R
rows, K agents, S states, A actions, Z columns of common information.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.planning.finite.joint_beliefs import Array, Numbers, joint_moves
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import InformationStructure, JointStep, Values

_WIDEST = 2**62


class Law(NamedTuple):
    """What is possible in each copy; rows are in order of copies."""

    step: int
    """t, which all copies are at"""
    copy: Numbers
    """[R] 0 .. n-1"""
    state: Numbers
    """[R]"""
    local: tuple[Values, ...]
    """[K] of [R, L_k]"""
    history: tuple[JointStep, ...]
    """The last joint steps that common information may still depend on, each with rows [R]."""
    mass: Array
    """[R] probability given the copy's common information; the rows of a copy sum to 1"""


class Branches(NamedTuple):
    """What may follow a law: G groups of rows, each one common observation of one copy."""

    law: Law
    """Rows [R] of all groups, before any is known to have happened."""
    group: Numbers
    """[R] 0 .. G-1, rising with the copy"""
    copy: Numbers
    """[G]"""
    chance: Array
    """[G] given the copy"""
    common: Values
    """[G, Z]"""


class LawOfTeam:
    """Moves laws by prescriptions."""

    def __init__(
        self, model: FiniteModel, spec: EnvironmentSpec, structure: InformationStructure, family: PrescriptionFamily
    ) -> None:
        """Raises UsageError if the prescriptions cannot be given such local information."""
        self.model = model
        self._structure = structure
        self._family = family
        self._spaces = [structure.local_space(own.observation_space, own.action_space) for own in spec.agents]
        for space in self._spaces:
            family.require_local(space, structure.name)
        self._public = spec.public_space.columns
        tables = [joint_moves(model, a) for a in range(model.num_joint_actions)]
        # All tables below one another: the row of joint action a and state s is a S + s.
        starts = np.cumsum([0, *(len(chance) for _, _, chance in tables)])
        self._first = np.concatenate([table[0][:-1] + start for table, start in zip(tables, starts, strict=False)])
        self._count = np.concatenate([np.diff(table[0]) for table in tables])
        self._column = np.concatenate([table[1] for table in tables])
        self._chance = np.concatenate([table[2] for table in tables])

    def start(self, copies: int) -> tuple[Law, Values]:
        """The law where n copies begin, and their z_0 [n, Z]."""
        states = np.flatnonzero(self.model.start)
        rows = copies * len(states)
        agents = self.model.num_agents
        nothing = np.zeros((rows, agents), dtype=np.int64)
        first = JointStep(nothing, np.zeros((rows, self._public), dtype=np.int64), nothing, np.ones(rows, dtype=np.bool_))
        steps = np.zeros(rows, dtype=np.int64)
        local = tuple(
            self._structure.local(
                np.zeros((rows, space.columns), dtype=space.dtype), steps, first.observations[:, k : k + 1], steps
            )
            for k, space in enumerate(self._spaces)
        )
        common = self._structure.common([first], steps)
        mass = np.tile(self.model.start[states], copies)
        law = Law(0, np.repeat(np.arange(copies), len(states)), np.tile(states, copies), local, (first,), mass)
        return self._kept(law), common[:: len(states)]

    @property
    def local_values(self) -> tuple[int, ...]:
        """[K] how many local values each agent has."""
        return tuple(space.num_values for space in self._spaces if isinstance(space, FiniteSpace))

    def places(self, law: Law) -> list[Numbers]:
        """[K] of [R]: the rows' local values as prescriptions look them up."""
        return [self._family.look_up(space, local) for space, local in zip(self._spaces, law.local, strict=True)]

    def act(self, law: Law, theta: Theta) -> tuple[Law, Numbers]:
        """Rows split by what agents do under theta [n] or [n, D], and their joint actions [R]."""
        chances = self._family.probabilities(theta)
        table_of = np.zeros(self.model.num_agents, dtype=np.int64)
        if chances.shape[1] > 1:
            table_of = np.arange(self.model.num_agents)
        places = self.places(law)
        rows = np.arange(len(law.mass))
        mass, actions = law.mass, np.zeros((len(rows), 0), dtype=np.int64)
        for agent, place in enumerate(places):
            own = chances[law.copy[rows], table_of[agent], place[rows]]
            kept, action = np.nonzero(own)
            mass = mass[kept] * own[kept, action]
            rows, actions = rows[kept], np.concatenate((actions[kept], action[:, None]), axis=1)
        return _rows(law, rows)._replace(mass=mass), actions

    def reward(self, law: Law, actions: Numbers, copies: int) -> Array:
        """E[R] [n] of the rows of ``act``."""
        expected = self.model.expected_rewards[self.model.joint_actions.index(actions), law.state]
        return sums_at(law.copy, law.mass * expected, copies)

    def moved(self, law: Law, actions: Numbers) -> Law:
        """The rows of ``act`` one step later, whatever becomes common."""
        place = self.model.joint_actions.index(actions) * self.model.num_states + law.state
        counts = self._count[place]
        rows = np.repeat(np.arange(len(place)), counts)
        ends = np.cumsum(counts)
        entry = np.arange(int(ends[-1])) + np.repeat(self._first[place] - (ends - counts), counts)
        column, step = self._column[entry], np.full(len(rows), law.step + 1)
        seen = self.model.joint_observations.values(column // self.model.num_states)
        done, before = actions[rows], _rows(law, rows)
        now = JointStep(seen, np.zeros((len(rows), self._public), dtype=np.int64), done, np.zeros(len(rows), dtype=np.bool_))
        local = tuple(self._structure.local(own, done[:, k], seen[:, k : k + 1], step) for k, own in enumerate(before.local))
        return Law(
            law.step + 1,
            before.copy,
            column % self.model.num_states,
            local,
            (*before.history, now),
            before.mass * self._chance[entry],
        )

    def branches(self, law: Law) -> Branches:
        """The rows of ``moved`` by what has become common."""
        common = self._structure.common(law.history, np.full(len(law.mass), law.step))
        groups, first, group = np.unique(_codes([law.copy, *common.T]), return_index=True, return_inverse=True)
        group = group.reshape(-1)
        chance = sums_at(group, law.mass, len(groups))
        return Branches(law, group, law.copy[first], chance, common[first])

    def known(self, branches: Branches, chosen: Numbers) -> Law:
        """The law of copies 0 .. m-1 that were in the groups ``chosen`` [m], which rise: given what is common now."""
        becomes = np.full(len(branches.chance), -1)
        becomes[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(becomes[branches.group] >= 0)
        group = branches.group[rows]
        law = _rows(branches.law, rows)
        order = np.argsort(group, kind="stable")
        law = law._replace(copy=becomes[group], mass=law.mass / branches.chance[group])
        return self._kept(_rows(law, order))

    def blind(self, law: Law) -> Law:
        """The rows of ``moved``, nobody looking at what becomes common: for rules that do not."""
        return self._merged(law._replace(history=()))

    def _kept(self, law: Law) -> Law:
        """The history that matters, and equal rows joined."""
        keep = self._structure.history_steps - 1
        return self._merged(law._replace(history=law.history[-keep:] if keep else ()))

    def _merged(self, law: Law) -> Law:
        past = [
            column for joint in law.history for part in (joint.observations, joint.joint_action_tm1) for column in part.T
        ]
        columns = [law.copy, law.state, *(column for own in law.local for column in own.T), *past]
        _, first, place = np.unique(_codes(columns), return_index=True, return_inverse=True)
        mass = sums_at(place.reshape(-1), law.mass, len(first))
        return _rows(law, first)._replace(mass=mass)


def split_rows(law: Law, chances: Array, model: FiniteModel) -> tuple[Law, Numbers]:
    """Rows split by joint actions with ``chances`` [R, JA], and the joint actions [R', K]."""
    rows, joint = np.nonzero(chances)
    law = _rows(law, rows)
    return law._replace(mass=law.mass * chances[rows, joint]), model.joint_actions.values(joint)


def _rows(law: Law, rows: Numbers) -> Law:
    return Law(
        law.step,
        law.copy[rows],
        law.state[rows],
        tuple(own[rows] for own in law.local),
        tuple(JointStep._make(part[rows] for part in joint) for joint in law.history),
        law.mass[rows],
    )


def _codes(columns: list[NDArray[Any]]) -> Numbers:
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
