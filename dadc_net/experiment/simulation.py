"""The whole team inside one process: the production cores without sockets, the same digests as real processes.

The replicas of the coordinator are identical by construction, so one replica can serve all passive agents; that makes
a simulation as cheap as a single learner. ``replicas="all"`` gives each agent its own, which is K times the work and is
what the tests compare with. Both kinds pack and unpack every record as the wire would, for all passive agents at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.errors import DivergenceError, Interrupted, InvariantError
from dadc_net.node.agent.independent_replica import IndependentReplica, joint_snapshot
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.record import pack_actions, unpack_actions
from dadc_net.node.server.agreement import compare
from dadc_net.node.server.world import LogEntry, World
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.host import checked_selftest, keep_freed_memory, pin_threads
from dadc_net.runtime.problem import make_problem
from dadc_net.team.spaces import FiniteSpace, space_from_plain

OnUpdate = Callable[[UpdateReport, "Simulation"], None]


@dataclass(frozen=True)
class SimulationResult:
    """How a simulation ended."""

    agent_digests: dict[int, str]
    lock_steps: int
    seconds: float
    snapshot: Mapping[str, NDArray[Any]]


class Simulation:
    """One run in one process."""

    def __init__(self, config: RunConfig, shared_seed: bytes, environment_seed: bytes, replicas: str = "one") -> None:
        self.config = config
        self.world = World(make_problem(config), environment_seed)
        settings = config.settings
        problem = self.world.problem
        space = _finite(problem.environment.spec.observation_space.to_plain())
        agents = range(1, settings.num_agents + 1)
        self.replicas: list[Replica]
        if settings.is_shared:
            self.replicas = [Replica(settings, shared_seed) for _ in (agents if replicas == "all" else [1])]
        else:
            self.replicas = [IndependentReplica(settings, shared_seed, agent, space) for agent in agents]
        self._action_space = _finite(problem.environment.spec.action_space.to_plain())
        # Replicas agree, so that one object serves all agents; of independent learners each has one of its own.
        copies, structure, family = settings.learner.num_envs, problem.structure, problem.family
        streams = {agent: private_stream(agent, shared_seed) for agent in agents}
        groups = [streams] if settings.is_shared else [{agent: stream} for agent, stream in streams.items()]
        self._passive = [PassiveAgents(group, copies, structure, family, space) for group in groups]
        self.reward_sum = 0.0
        self.reward_count = 0

    def snapshot(self) -> Mapping[str, NDArray[Any]]:
        """The learner's whole state, from which the learned rule can be valued; of independent learners all of theirs."""
        if self.config.settings.is_shared:
            return self.replicas[0].coordinator.snapshot()
        return joint_snapshot([replica.coordinator.snapshot() for replica in self.replicas])

    def run(self, on_update: OnUpdate | None = None, stop: StopRequest | None = None) -> SimulationResult:
        """Run to the end.

        Raises:
            DivergenceError: if replicas differ.
            Interrupted: if ``stop`` asked for it.
        """
        pin_threads()
        keep_freed_memory()
        checked_selftest()
        begun = time.monotonic()
        entry = self.world.first()
        while True:
            for replica, private in zip(self.replicas, entry.private, strict=False):
                if isinstance(replica, IndependentReplica):
                    replica.show(entry.step, private)
            accounts = [replica.receive(entry.step, entry.common, entry.head) for replica in self.replicas]
            self._refuse_divergence(accounts)
            report = accounts[0].update
            if report is not None and on_update is not None:
                on_update(report, self)
            if accounts[0].prescriptions is None:
                break
            if stop is not None and stop.reason:
                raise Interrupted(f"stopped by {stop.reason} at step {entry.step}. Nothing else runs. Start it again.")
            entry = self.world.advance(self._act(entry, accounts))
            self.reward_sum += float(entry.rewards.sum())
            self.reward_count += int((~entry.begin).sum())
        digests = [replica.coordinator.digest().hex() for replica in self.replicas]
        seconds = time.monotonic() - begun
        shared = digests * (self.config.settings.num_agents if len(digests) == 1 else 1)
        by_agent = dict(enumerate(shared, start=1))
        return SimulationResult(by_agent, entry.step, seconds, self.snapshot())

    def _act(self, entry: LogEntry, accounts: list[StepAccount]) -> NDArray[np.int64]:
        """All agents' actions [E, K]; replicas agree by now, so one replica's prescriptions serve every agent."""
        columns = []
        share = len(entry.private) // len(self._passive)
        for index, passive in enumerate(self._passive):
            account = accounts[index]
            passive.observe(entry.step, entry.private[index * share : (index + 1) * share], account.begin)
            if account.prescriptions is None:
                raise InvariantError(f"no prescriptions were chosen at record {entry.step}")
            columns.append(passive.act(entry.step, account.prescriptions))
        actions = np.concatenate(columns, axis=1)
        raw = pack_actions(actions.reshape(-1))
        return unpack_actions(raw, entry.step, actions.size, 0, self._action_space).reshape(actions.shape)

    def _refuse_divergence(self, accounts: list[StepAccount]) -> None:
        if len(accounts) == 1:
            return
        report = accounts[0].update
        sent = {agent: account.step_digest for agent, account in enumerate(accounts, start=1)}
        learners = {
            agent: b"" if account.update is None else account.update.digest
            for agent, account in enumerate(accounts, start=1)
        }
        update = report.update if report is not None and self.config.settings.is_shared else None
        found = compare(accounts[0].step, update, sent, learners)
        if found is not None:
            raise DivergenceError(found.text())


def _finite(record: dict[str, Any]) -> FiniteSpace:
    space = space_from_plain(record)
    if not isinstance(space, FiniteSpace):
        raise TypeError(f"{record} is not a finite space")
    return space
