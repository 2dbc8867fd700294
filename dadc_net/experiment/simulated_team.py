"""A whole team in one process, one lock-step after the other: by records, or by values.

    RecordTeam    each record is packed and read as processes do it, by any number of replicas, which are compared
    ValueTeam     one coordinator for all agents: what it is told, and what they see and do, stays arrays. Nobody is there
                  to be compared with, so that no bytes are needed, and the bits are the same

Both are made of the parts that processes are made of, and differ in nothing but what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.coordinator import Coordinator, UpdateReport
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import DivergenceError, InvariantError
from dadc_net.node.agent.independent_replica import IndependentReplica
from dadc_net.node.agent.passive_agents import PassiveAgents
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.rows import Answers, ServerRow
from dadc_net.node.server.agreement import compare
from dadc_net.node.server.world import World
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.lockstep import TeamStep


class Turn(NamedTuple):
    """What one record brought."""

    step: int
    """Its number."""
    reports: tuple[UpdateReport | None, ...]
    """Of each replica: the update that the record closed."""
    is_last: bool


class SimulatedTeam(Protocol):
    """A team that goes on as often as it is told to."""

    def first(self) -> Turn:
        """Record 0."""

    def advance(self) -> Turn:
        """Act, and take in the record that follows. Raises DivergenceError if replicas differ."""


class RecordTeam:
    """Replicas and passive agents that are given records as bytes."""

    def __init__(
        self,
        world: World,
        settings: CoordinatorSettings,
        replicas: Sequence[Replica],
        passive: Sequence[PassiveAgents],
        reward: BatchReward,
    ) -> None:
        """``passive``: those who obey each learner; ``reward`` is shown every record but the first."""
        self._world, self._settings, self._reward = world, settings, reward
        self._replicas, self._passive = replicas, passive

    def first(self) -> Turn:
        """Record 0."""
        return self._take_in(self._world.first())

    def advance(self) -> Turn:
        """Act, and take in the record that follows. Raises DivergenceError if replicas differ."""
        row = self._world.advance(self._act())
        self._reward.add(row.record.common)
        return self._take_in(row)

    def _take_in(self, row: ServerRow) -> Turn:
        for replica, observation in zip(self._replicas, row.observations, strict=False):
            if isinstance(replica, IndependentReplica):
                replica.show(row.step, observation)
        accounts = [replica.receive(row.record) for replica in self._replicas]
        self._refuse_divergence(accounts)
        self._row, self._accounts = row, accounts
        return Turn(row.step, tuple(one.report for one in accounts), accounts[0].prescriptions is None)

    def _act(self) -> NDArray[np.int64]:
        """All agents' actions [E, K]; replicas agree by now, so one replica's prescriptions serve every agent."""
        row, columns = self._row, []
        share = len(row.observations) // len(self._passive)
        for index, passive in enumerate(self._passive):
            account = self._accounts[index]
            seen = passive.read(row.step, row.observations[index * share : (index + 1) * share])
            passive.observe(seen, account.begin)
            columns.append(passive.act(row.step, _chosen(account.prescriptions, row.step)))
        return self._world.played(row.step, np.concatenate(columns, axis=1))

    def _refuse_divergence(self, accounts: list[StepAccount]) -> None:
        if len(accounts) == 1:
            return
        report = accounts[0].report
        step_digests = tuple(account.digests.step_digest for account in accounts)
        learner_digests = tuple(b"" if one.report is None else one.report.learner_digest for one in accounts)
        update = report.update if report is not None and self._settings.mode.one_learner else None
        found = compare(Answers(accounts[0].record.step, (), step_digests, learner_digests), update)
        if found is not None:
            raise DivergenceError(found.text())


class ValueTeam:
    """One coordinator, and passive agents that obey it, all of them in one object."""

    def __init__(
        self, world: World, coordinator: Coordinator, passive: PassiveAgents, reward: BatchReward, digests: bool = False
    ) -> None:
        """``reward`` is shown every record but the first; ``digests``: whether updates are told with digests."""
        self._digests = digests
        self._world, self._coordinator, self._passive, self._reward = world, coordinator, passive, reward
        spec = world.problem.environment.spec
        self._places = spec.observation_places
        self._sizes = np.array([agent.action_space.num_values for agent in spec.agents], dtype=np.uint64)
        self._step = 0
        self._actions = np.zeros((world.copies, world.num_agents), dtype=np.int64)

    def first(self) -> Turn:
        """Record 0."""
        return self._take_in(self._world.move(self._actions))

    def advance(self) -> Turn:
        """Take in the record that follows the actions that were chosen."""
        now = self._world.move(self._actions)
        self._reward.note(now.rewards.astype("<f8", copy=False).tobytes(), now.begin.tobytes())
        return self._take_in(now)

    def _take_in(self, now: TeamStep) -> Turn:
        step = self._step
        self._step = step + 1
        record = CommonRecord(step, now.common, now.rewards, now.begin, now.ended)
        chosen, _, report = self._coordinator.receive(record, self._digests)
        if chosen is not None:
            self._passive.observe(self._passive.parts(now.observations, self._places), now.begin)
            actions = self._passive.act(step, chosen)
            self._actions = actions if self._are_sound(actions) else self._world.played(step, actions)
        return Turn(step, (report,), chosen is None)

    def _are_sound(self, actions: NDArray[np.int64]) -> bool:
        """Whether every action lies in its space; what is negative is large, unsigned."""
        return actions.dtype == np.int64 and b"\0" not in (actions.view(np.uint64) < self._sizes).tobytes()


def _chosen(prescriptions: Theta | None, step: int) -> Theta:
    if prescriptions is None:
        raise InvariantError(f"no prescriptions were chosen at record {step}")
    return prescriptions
