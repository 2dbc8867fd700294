"""The exact law of state and local information beside a rule, given the common information: the coordinator's belief.

It follows the run's own structure and prescriptions: local and common information come from the functions that agents and
server call, and actions have the very probabilities that agents draw with. So it holds for whatever rule, family and
structure a run has, also where the planner, which looks for an optimum, would use another but equal belief.

Everything is a table of rows, each a joint possibility of one copy of the common information, which is a point of
``law_kernel``. Axis letters: n copies, R rows, K agents, S states, A actions, Z columns of common information.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.law_kernel import LawKernel, Stage, distinct
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import InformationStructure, Values


class Law(NamedTuple):
    """What is possible in each copy; rows are in order of copies."""

    stage: Stage
    """where all copies are"""
    copy: Numbers
    """[R] 0 .. n-1"""
    point: Numbers
    """[R] of the stage"""
    mass: Array
    """[R] probability given the copy's common information; the rows of a copy sum to 1"""

    @property
    def state(self) -> Numbers:
        """[R]"""
        return self.stage.states[self.point]


class Moved(NamedTuple):
    """A law one step later, before anybody has looked at what has become common."""

    law: Law
    common: Numbers
    """[R] what has, as a number"""


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
        self._family = family
        self._spaces = [structure.local_space(own.observation_space, own.action_space) for own in spec.agents]
        for space in self._spaces:
            family.require_local(space, structure.name)
        public = spec.public_space.columns
        self._kernel, self._blind = (LawKernel(model, public, structure, self._spaces, looks) for looks in (True, False))

    def forget(self) -> None:
        """Let what follows not depend, in the last bit of a sum, on what was asked before; older laws are void."""
        self._kernel.forget()
        self._blind.forget()

    def start(self, copies: int, blind: bool = False) -> tuple[Law, Values]:
        """The law where n copies begin, and their z_0 [n, Z]; ``blind``: nobody will look at what becomes common."""
        stage, points, common = (self._blind if blind else self._kernel).start()
        mass = self.model.start[stage.states[points]]
        law = Law(stage, np.repeat(np.arange(copies), len(points)), np.tile(points, copies), np.tile(mass, copies))
        return law, np.repeat(common, copies, axis=0)

    @property
    def local_values(self) -> tuple[int, ...]:
        """[K] how many local values each agent has."""
        return tuple(space.num_values for space in self._spaces if isinstance(space, FiniteSpace))

    @property
    def common_values(self) -> Values:
        """[N, Z] what ``Moved.common`` numbers."""
        return self._kernel.commons.rows

    def places(self, law: Law) -> list[Numbers]:
        """[K] of [R]: the rows' local values as prescriptions look them up."""
        return [self._family.look_up(space, law.stage.local(agent))[law.point] for agent, space in enumerate(self._spaces)]

    def act(self, law: Law, theta: Theta) -> tuple[Law, Numbers]:
        """Rows split by what agents do under theta [n] or [n, D], and their joint actions [R]."""
        chances = self._family.probabilities(theta)
        table_of = np.zeros(self.model.num_agents, dtype=np.int64)
        if chances.shape[1] > 1:
            table_of = np.arange(self.model.num_agents)
        rows, mass = np.arange(len(law.mass)), law.mass
        joint = np.zeros(len(rows), dtype=np.int64)
        for agent, place in enumerate(self.places(law)):
            own = chances[law.copy[rows], table_of[agent], place[rows]]
            size = self.model.joint_actions.sizes[agent]
            kept, action = np.nonzero(own)
            mass = mass[kept] * own[kept, action]
            rows, joint = rows[kept], joint[kept] * size + action
        return _rows(law, rows)._replace(mass=mass), joint

    def reward(self, law: Law, actions: Numbers, copies: int) -> Array:
        """E[R] [n] of the rows of ``act``."""
        return sums_at(law.copy, law.mass * self.model.expected_rewards[actions, law.state], copies)

    def moved(self, law: Law, actions: Numbers) -> Moved:
        """The rows of ``act`` one step later, whatever becomes common."""
        found = law.stage.moves(law.point, actions)
        mass = law.mass[found.row] * found.chance
        return Moved(Law(law.stage.next, law.copy[found.row], found.point, mass), found.common)

    def branches(self, moved: Moved) -> Branches:
        """The rows of ``moved`` by what has become common."""
        law, width = moved.law, max(1, len(self._kernel.commons.rows))
        groups, group = distinct(law.copy * width + moved.common, (int(law.copy[-1]) + 1) * width)
        chance = sums_at(group, law.mass, len(groups))
        return Branches(law, group, groups // width, chance, self._kernel.commons.rows[groups % width])

    def known(self, branches: Branches, chosen: Numbers) -> Law:
        """The law of copies 0 .. m-1 that were in the groups ``chosen`` [m], which rise: given what is common now."""
        becomes = np.full(len(branches.chance), -1)
        becomes[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(becomes[branches.group] >= 0)
        group, law = branches.group[rows], branches.law
        mass = law.mass[rows] / branches.chance[group]
        return _merged(Law(law.stage, becomes[group], law.point[rows], mass), len(chosen))

    def joined(self, moved: Moved) -> tuple[Law, Values, Numbers]:
        """The rows of ``moved`` that are equal in all but their copy as one, of mass 1; what is common to each [R, Z]; and
        which of them every row became."""
        law, width = moved.law, max(1, len(self._kernel.commons.rows))
        rows, place = distinct(law.point * width + moved.common, len(law.stage.points.rows) * width)
        one = Law(law.stage, np.zeros_like(rows), rows // width, np.ones(len(rows)))
        return one, self._kernel.commons.rows[rows % width], place

    def unseen(self, moved: Moved) -> Law:
        """The rows of ``moved``, nobody looking at what becomes common: for rules that do not."""
        return _merged(moved.law, int(moved.law.copy[-1]) + 1)


def split_rows(law: Law, chances: Array) -> tuple[Law, Numbers]:
    """Rows split by joint actions with ``chances`` [R, JA], and the joint actions [R']."""
    rows, joint = np.nonzero(chances)
    law = _rows(law, rows)
    return law._replace(mass=law.mass * chances[rows, joint]), joint


def _merged(law: Law, copies: int) -> Law:
    """Equal rows joined, copies in order."""
    width = len(law.stage.points.rows)
    rows, place = distinct(law.copy * width + law.point, copies * width)
    return Law(law.stage, rows // width, rows % width, sums_at(place, law.mass, len(rows)))


def _rows(law: Law, rows: Numbers) -> Law:
    return Law(law.stage, law.copy[rows], law.point[rows], law.mass[rows])
