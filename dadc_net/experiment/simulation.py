"""The whole team inside one process: the production cores without sockets, the same digests as real processes.

The replicas of the coordinator are identical by construction, so one replica can serve all passive agents; that makes
a simulation as cheap as a single learner. ``replicas="all"`` gives each agent its own, which is K times the work and is
what the tests compare with. Both kinds pack and unpack every record as the wire would, for all passive agents at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.errors import DivergenceError, Interrupted, InvariantError
from dadc_net.node.agent.independent_replica import IndependentReplica, joint_snapshot, own_snapshot
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.record import pack_actions, unpack_actions
from dadc_net.node.server.agreement import compare
from dadc_net.node.server.world import LogEntry, World
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Checkpointed, Learned, Observer, Updated
from dadc_net.runtime.host import checked_selftest, keep_freed_memory, pin_threads
from dadc_net.runtime.problem import make_problem
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path
from dadc_net.storage.folder import open_folder
from dadc_net.storage.run_folder import RunFolder
from dadc_net.team.spaces import FiniteSpace, space_from_plain


@dataclass(frozen=True)
class SimulationResult:
    """How a simulation ended."""

    agent_digests: dict[int, str]
    lock_steps: int
    seconds: float
    snapshot: Mapping[str, NDArray[Any]]


class Simulation:
    """One run in one process."""

    def __init__(
        self,
        config: RunConfig,
        shared_seed: bytes,
        environment_seed: bytes,
        replicas: str = "one",
        checkpoint_every: int = 0,
    ) -> None:
        """``checkpoint_every``: updates between those after which observers are told to look at ``snapshot()``; 0: never."""
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
        self._reward = BatchReward()
        self._checkpoint_every = checkpoint_every
        self._begun = 0.0

    def snapshot(self) -> Mapping[str, NDArray[Any]]:
        """The learner's whole state, from which the learned rule can be valued; of independent learners all of theirs."""
        if self.config.settings.is_shared:
            return self.replicas[0].coordinator.snapshot()
        return joint_snapshot([replica.coordinator.snapshot() for replica in self.replicas])

    def run(self, observer: Observer | None = None, stop: StopRequest | None = None) -> SimulationResult:
        """Run to the end.

        Args:
            observer: hears of every update what it would hear of processes; whatever it raises ends the run.

        Raises:
            DivergenceError: if replicas differ.
            Interrupted: if ``stop`` asked for it.
        """
        pin_threads()
        keep_freed_memory()
        checked_selftest()
        self._begun = time.monotonic()
        entry = self.world.first()
        while True:
            for replica, private in zip(self.replicas, entry.private, strict=False):
                if isinstance(replica, IndependentReplica):
                    replica.show(entry.step, private)
            accounts = [replica.receive(entry.step, entry.common, entry.head) for replica in self.replicas]
            self._refuse_divergence(accounts)
            if observer is not None and accounts[0].update is not None:
                self._tell(observer, accounts[0].update.update, accounts)
            if accounts[0].prescriptions is None:
                break
            if stop is not None and stop.reason:
                raise Interrupted(f"stopped by {stop.reason} at step {entry.step}. Nothing else runs. Start it again.")
            entry = self.world.advance(self._act(entry, accounts))
            self._reward.add(entry.rewards, entry.begin)
        digests = [replica.coordinator.digest().hex() for replica in self.replicas]
        seconds = time.monotonic() - self._begun
        shared = digests * (self.config.settings.num_agents if len(digests) == 1 else 1)
        by_agent = dict(enumerate(shared, start=1))
        return SimulationResult(by_agent, entry.step, seconds, self.snapshot())

    def _tell(self, observer: Observer, update: int, accounts: list[StepAccount]) -> None:
        settings = self.config.settings
        env_steps, lock_steps = update * settings.learner.batch_steps, update * settings.learner.batch_lock_steps
        for agent, account in enumerate(accounts[:1] if settings.is_shared else accounts, start=1):
            if account.update is not None:
                losses = dict(account.update.losses)
                observer.on(Learned(agent=agent, update=update, env_steps=env_steps, losses=losses))
        updated = Updated(
            update=update,
            updates=settings.updates,
            env_steps=env_steps,
            reward_per_step=self._reward.close(),
            lock_steps=lock_steps,
            lock_steps_here=lock_steps,
            seconds=round(time.monotonic() - self._begun, 3),
        )
        observer.on(updated)
        if self._checkpoint_every and update % self._checkpoint_every == 0:
            observer.on(Checkpointed(agent=1, update=update))

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


def keep(folder: RunFolder, config: RunConfig, ended: SimulationResult) -> None:
    """Write what was learned as processes would: a checkpoint in an agent's folder; of equal replicas one is kept."""
    shared = config.settings.is_shared
    for agent in [1] if shared else range(1, config.settings.num_agents + 1):
        meta = {"settings": config.settings.to_plain(), "agent": agent, "update": config.settings.updates}
        meta["learner_digest"] = ended.agent_digests[agent]
        arrays = ended.snapshot if shared else own_snapshot(ended.snapshot, agent)
        path = checkpoint_path(open_folder(folder.agent(agent)), ended.lock_steps)
        arrays_file.save(path, dict(arrays), meta)
