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
from dadc_net.node.agent.independent_replica import IndependentReplica, replica_of
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import StepAccount
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.node.rows import Answers, ServerRow
from dadc_net.node.server.agreement import compare
from dadc_net.node.server.world import World
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Checkpointed, Learned, Observer, Updated
from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads
from dadc_net.runtime.problem import make_problem
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path
from dadc_net.storage.folder import open_folder
from dadc_net.storage.run_folder import RunFolder


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
        rule: StartingRule | None = None,
    ) -> None:
        """Args:
        checkpoint_every: updates between those after which observers are told to look at ``snapshot()``; 0: never.
        rule: the learned rule that the configuration names.

        Raises:
            MismatchError: if it names another one, or it does not fit.
        """
        self.config = config
        self.world = World(make_problem(config), environment_seed)
        settings = config.settings
        problem = self.world.problem
        specs = problem.environment.spec.agents
        # Replicas of one learner agree, so that one of them is enough, and one object acts for all who obey it.
        groups = settings.learners
        learning = [agent for group in groups for agent in (group if replicas == "all" else group[:1])]
        self.replicas = [replica_of(settings, shared_seed, k, specs[k - 1].observation_space, rule) for k in learning]
        copies, structure, family = settings.learner.num_envs, problem.structure, problem.family
        self._passive = []
        for group in groups:
            streams = {agent: private_stream(agent, shared_seed) for agent in group}
            own = [specs[agent - 1] for agent in group]
            self._passive.append(PassiveAgents(streams, copies, structure, family, own))
        self._reward = BatchReward(copies)
        self._checkpoint_every = checkpoint_every
        self._begun = 0.0

    def snapshot(self) -> Mapping[str, NDArray[Any]]:
        """The learner's whole state, from which the learned rule can be valued; of independent learners all of theirs."""
        count = len(self.config.settings.learners)
        return self.config.settings.mode.joined([replica.coordinator.snapshot() for replica in self.replicas[:count]])

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
        pass_selftest()
        self._begun = time.monotonic()
        row = self.world.first()
        while True:
            for replica, observation in zip(self.replicas, row.observations, strict=False):
                if isinstance(replica, IndependentReplica):
                    replica.show(row.step, observation)
            accounts = [replica.receive(row.record) for replica in self.replicas]
            self._refuse_divergence(accounts)
            report = accounts[0].report
            if observer is not None and report is not None:
                self._tell(observer, report.update, accounts)
            if accounts[0].prescriptions is None:
                break
            if stop is not None and stop.reason:
                raise Interrupted(f"stopped by {stop.reason} at step {row.step}. Nothing else runs. Start it again.")
            row = self.world.advance(self._act(row, accounts))
            self._reward.add(row.record.common)
        digests = [replica.coordinator.digest().hex() for replica in self.replicas]
        seconds = time.monotonic() - self._begun
        shared = digests * (self.config.settings.num_agents if len(digests) == 1 else 1)
        by_agent = dict(enumerate(shared, start=1))
        return SimulationResult(by_agent, row.step, seconds, self.snapshot())

    def _tell(self, observer: Observer, update: int, accounts: list[StepAccount]) -> None:
        settings = self.config.settings
        env_steps, lock_steps = update * settings.learner.batch_steps, update * settings.learner.batch_lock_steps
        for (agent, *_), account in zip(settings.learners, accounts, strict=False):
            if account.report is not None:
                losses = dict(account.report.losses)
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

    def _act(self, row: ServerRow, accounts: list[StepAccount]) -> NDArray[np.int64]:
        """All agents' actions [E, K]; replicas agree by now, so one replica's prescriptions serve every agent."""
        columns = []
        share = len(row.observations) // len(self._passive)
        for index, passive in enumerate(self._passive):
            account = accounts[index]
            seen = passive.read(row.step, row.observations[index * share : (index + 1) * share])
            passive.observe(seen, account.begin)
            if account.prescriptions is None:
                raise InvariantError(f"no prescriptions were chosen at record {row.step}")
            columns.append(passive.act(row.step, account.prescriptions))
        actions = np.concatenate(columns, axis=1)
        layouts = self.world.actions
        packed = [layout.pack(actions[:, agent : agent + 1]) for agent, layout in enumerate(layouts)]
        return self.world.joint_action(row.step, packed)

    def _refuse_divergence(self, accounts: list[StepAccount]) -> None:
        if len(accounts) == 1:
            return
        report = accounts[0].report
        step_digests = tuple(account.digests.step_digest for account in accounts)
        learner_digests = tuple(b"" if one.report is None else one.report.learner_digest for one in accounts)
        update = report.update if report is not None and self.config.settings.mode.one_learner else None
        found = compare(Answers(accounts[0].record.step, (), step_digests, learner_digests), update)
        if found is not None:
            raise DivergenceError(found.text())


def keep(folder: RunFolder, config: RunConfig, ended: SimulationResult) -> None:
    """Write what was learned as processes would: a checkpoint in an agent's folder; of equal replicas one is kept."""
    specs = config.task.environment(config.parameters, 1).spec.agents
    seen = {
        str(agent): {"observation_space": own.observation_space.to_plain(), "action_space": own.action_space.to_plain()}
        for agent, own in enumerate(specs, start=1)
    }
    problem = {"structure": config.structure.to_plain(), "family": config.family.to_plain(), "agents": seen}
    for agent, *_ in config.settings.learners:
        meta = {"settings": config.settings.to_plain(), "agent": agent, "update": config.settings.updates, **problem}
        meta["learner_digest"] = ended.agent_digests[agent]
        arrays = config.settings.mode.part(ended.snapshot, agent)
        path = checkpoint_path(open_folder(folder.agent(agent)), ended.lock_steps)
        arrays_file.save(path, dict(arrays), meta)
