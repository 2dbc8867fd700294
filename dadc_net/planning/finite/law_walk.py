"""Exact beliefs of any finite task beside a learner, for Theorem 5's constants (satisfies ``certificate.ExactBeliefs``).

A belief is the law of state and local information of one copy. What each prescription of a menu would earn and make common
is summed from one table of joint local values and joint actions: a menu of hundreds costs little more than one entry.
V* of a belief is not known here, but between bounds: with the state common it is no less, and repeating one joint action
for ever is no more. At the start of an episode the planner's own bounds hold.

Axis letters: n copies, R rows, M prescriptions, T joint local values, JA joint actions, Z common observations, K agents.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.planning.certificate import Seen
from dadc_net.planning.finite.exact_law import LawOfTeam
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.relaxations import StateValues
from dadc_net.planning.finite.rule_value import drawn
from dadc_net.team.finite.sparse_rows import sums_at
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace, Space

_MOST_ENTRIES = 30_000
"""Copies times prescriptions times common observations that are looked at together."""
_MOST_OUTCOMES = 4096


class LawBeliefs:
    """n copies of the exact belief of one team."""

    def __init__(
        self, team: LawOfTeam, menu: PrescriptionMenu, common: Space, discount: float, bounds: tuple[float, float]
    ) -> None:
        """
        Args:
            common: the space of z.
            bounds: of V* at the start.

        Raises:
            UsageError: if z has too many values, or values that are no whole numbers.
        """
        if not isinstance(common, FiniteSpace) or common.num_values > _MOST_OUTCOMES:
            raise UsageError(
                f"common information of {team.model.name} has more than {_MOST_OUTCOMES} values at a time, and Theorem 5's "
                "delta compares the chances of each. The certificate is not made. Choose a structure that shares less."
            )
        self._team, self._menu, self._common, self._start = team, menu, common, bounds
        self.outcomes: NDArray[np.int64] = common.values(np.arange(common.num_values))
        self.entries = len(menu.entries)
        states = StateValues(team.model, discount, endless=True)
        self._most, self._least = states.best(0), states.repeated(0)

    def copies(self, wanted: int) -> int:
        """So many copies that looking at every prescription and outcome stays affordable; at least 2."""
        looked_at = max(self.entries, math.prod(self._team.local_values) * self._team.model.num_joint_actions)
        return max(2, min(wanted, _MOST_ENTRIES // (looked_at * len(self.outcomes))))

    def begin(self, copies: int) -> NDArray[np.int64]:
        """z_0 [n, C]."""
        self._team.forget()
        self._law, common = self._team.start(copies)
        self._copies, self._steps = copies, 0
        return common.astype(np.int64)

    def seen(self) -> Seen:
        """What every prescription would earn and make common now."""
        low, high = self._value_bounds()
        if self._steps == 0:
            low, high = np.maximum(low, self._start[0]), np.minimum(high, self._start[1])
        reward, chance = self._tables()
        shape = (self._copies, self.entries)
        rewards, chances = np.zeros(shape), np.zeros((*shape, len(self.outcomes)))
        for told, played in enumerate(self._played()):
            rewards += reward[:, told, played]
            chances += chance[:, told, played]
        return Seen(rewards, chances, low, high)

    def follow(self, chosen: NDArray[np.int64], uniforms: Array) -> NDArray[np.int64]:
        """Play entries [n]; what becomes common [n, C], drawn with uniforms [n]."""
        branches = self._team.branches(self._team.moved(*self._team.act(self._law, chosen)))
        which = drawn(branches, self._copies, uniforms)
        self._law, self._steps = self._team.known(branches, which), self._steps + 1
        return branches.common[which].astype(np.int64)

    def _value_bounds(self) -> tuple[Array, Array]:
        law = self._law
        repeated = [sums_at(law.copy, law.mass * worth[law.state], self._copies) for worth in self._least.T]
        return np.max(repeated, axis=0), sums_at(law.copy, law.mass * self._most[law.state], self._copies)

    def _tables(self) -> tuple[Array, Array]:
        """[n, T, JA] of E[R; local values], [n, T, JA, Z] of P(z, local values), after each joint action."""
        law, team = self._law, self._team
        actions, rows = team.model.num_joint_actions, len(law.mass)
        sizes = (self._copies, math.prod(team.local_values), actions, len(self.outcomes))
        told = np.ravel_multi_index(team.places(law), team.local_values)
        place = ((law.copy * sizes[1] + told)[:, None] * actions + np.arange(actions)).reshape(-1)
        earned = law.mass[:, None] * team.model.expected_rewards[:, law.state].T
        reward = sums_at(place, earned.reshape(-1), math.prod(sizes[:3])).reshape(sizes[:3])
        found = law.stage.moves(np.repeat(law.point, actions), np.tile(np.arange(actions), rows))
        common = self._common.index(team.common_values.astype(np.int64))[found.common]
        mass = np.repeat(law.mass, actions)[found.row] * found.chance
        return reward, sums_at(place[found.row] * sizes[3] + common, mass, math.prod(sizes)).reshape(sizes)

    def _played(self) -> Numbers:
        """[T, M] joint actions."""
        table, joint = self._menu.table(), self._team.model.joint_actions
        told = np.stack(np.unravel_index(np.arange(math.prod(self._team.local_values)), self._team.local_values), axis=1)
        agents = np.arange(told.shape[1]) if table.shape[1] > 1 else np.zeros(told.shape[1], dtype=np.int64)
        return np.stack([joint.index(table[:, agents, values]) for values in told])
