"""The whole team inside one process: the production cores without sockets, the same digests as real processes.

The replicas of the coordinator are identical by construction, so one replica can serve all passive agents; that makes
a simulation as cheap as a single learner. ``replicas="all"`` gives each agent its own, which is K times the work and is
what the tests compare with.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.errors import Interrupted
from dadc_net.experiment.simulated_team import RecordTeam, SimulatedTeam, ValueTeam
from dadc_net.experiment.table_team import TableTeam
from dadc_net.node.agent.independent_replica import replica_of
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.starting_rule import StartingRule
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
from dadc_net.team.tables import team_tables


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
        digests: bool = False,
    ) -> None:
        """Args:
        checkpoint_every: updates between those after which observers are told to look at ``snapshot()``; 0: never.
        rule: the learned rule that the configuration names.
        digests: whether updates are told with digests of the learner where no replicas are compared; they take a tenth of
            an update.

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
        self._reward = BatchReward(settings.learner.num_envs)
        obeying = [self._passive_agents(group, shared_seed) for group in groups]
        self._team: SimulatedTeam
        if settings.mode.one_learner and len(self.replicas) == 1:
            parts = self.world, self.replicas[0].coordinator, obeying[0], self._reward
            tables = team_tables(problem.environment, problem.structure, problem.family, problem.restart_steps)
            self._team = ValueTeam(*parts, digests) if tables is None else TableTeam(*parts, tables, digests)
        else:
            self._team = RecordTeam(self.world, settings, self.replicas, obeying, self._reward)
        self._checkpoint_every = checkpoint_every
        self._begun = 0.0

    def _passive_agents(self, agents: Sequence[int], shared_seed: bytes) -> PassiveAgents:
        problem, copies = self.world.problem, self.config.settings.learner.num_envs
        own = [problem.environment.spec.agents[agent - 1] for agent in agents]
        streams = {agent: private_stream(agent, shared_seed) for agent in agents}
        return PassiveAgents(streams, copies, problem.structure, problem.family, own)

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
        keep_freed_memory()
        pass_selftest()
        pin_threads()
        self._begun = time.monotonic()
        turn = self._team.first()
        while True:
            if turn.reports[0] is not None:
                self._after_update(observer, turn.reports[0].update, turn.reports)
            if turn.is_last:
                break
            if stop is not None and stop.reason:
                raise Interrupted(f"stopped by {stop.reason} at step {turn.step}. Nothing else runs. Start it again.")
            turn = self._team.advance()
        digests = [replica.coordinator.digest().hex() for replica in self.replicas]
        seconds = time.monotonic() - self._begun
        shared = digests * (self.config.settings.num_agents if len(digests) == 1 else 1)
        by_agent = dict(enumerate(shared, start=1))
        return SimulationResult(by_agent, turn.step, seconds, self.snapshot())

    def _after_update(self, observer: Observer | None, update: int, reports: Sequence[UpdateReport | None]) -> None:
        if observer is None:
            return
        settings = self.config.settings
        env_steps, lock_steps = update * settings.learner.batch_steps, update * settings.learner.batch_lock_steps
        for (agent, *_), report in zip(settings.learners, reports, strict=False):
            if report is not None:
                losses = dict(report.losses)
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
