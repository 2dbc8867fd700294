"""What ``import dadc_net`` offers to programs: simulate, plan, evaluate, use a learned rule, leave for PettingZoo.

Wherever a task is asked for, its name (as of ``dadc run``), a ``Task`` or a ``FiniteModel`` will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig, build, resolve
from dadc_net.coordinator.rule import GreedyRule
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learning import INDEPENDENT, Snapshot
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator, Valuation, plan_of
from dadc_net.experiment.kept_runs import configuration
from dadc_net.experiment.simulation import Simulation
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.planning.planners import Plan
from dadc_net.runtime import events
from dadc_net.runtime.events import Event
from dadc_net.runtime.learned import load_learner
from dadc_net.runtime.learned_rule import find_rule
from dadc_net.storage.kept_run import find_run
from dadc_net.structure_section import STRUCTURE
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.families import family_from_plain
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.local_memory import LocalMemory
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace, space_from_plain
from dadc_net.team.structures.by_name import structure_from_plain
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import Task, model_task
from dadc_net.user_code import absolute

TaskLike = str | Task | FiniteModel
ENVIRONMENT_SEED = 20_260_101
"""As of ``dadc run``, so that equal seeds give equal digests."""


@dataclass(frozen=True)
class Update:
    """What a callback is told after each update."""

    number: int
    reward_per_step: float
    """Running mean of the team's reward."""
    losses: Mapping[str, float]


@dataclass(frozen=True)
class RuleProblem:
    """What a rule was learned for, as far as acting with it needs that."""

    settings: CoordinatorSettings
    structure: InformationStructure
    family: PrescriptionFamily
    agents: Sequence[AgentSpec]

    @classmethod
    def of(cls, config: RunConfig) -> RuleProblem:
        """Of a configured run."""
        specs = config.task.environment(config.parameters, 1).spec.agents
        return cls(config.settings, config.structure, config.family, specs)

    @classmethod
    def told_by(cls, rule: StartingRule) -> RuleProblem:
        """As an exported file tells it.

        Raises:
            UsageError: if it does not know every agent, or its structure or prescriptions are a user's own.
        """
        settings = CoordinatorSettings.from_plain(rule.settings)
        missing = [agent for agent in range(1, settings.num_agents + 1) if str(agent) not in rule.agents]
        if missing:
            raise UsageError(
                f"the rule does not say what the agents {missing} see and do: it was exported from another agent's folder. "
                "Nothing was loaded. Export it from the folder of the whole run, or name its task too."
            )
        agents = []
        for agent in range(1, settings.num_agents + 1):
            own = rule.agents[str(agent)]
            observations, actions = space_from_plain(own["observation_space"]), space_from_plain(own["action_space"])
            if not isinstance(actions, FiniteSpace):
                raise UsageError(f"the actions of agent {agent} are {actions}, not finite. Export the rule again.")
            agents.append(AgentSpec(observations, actions))
        return cls(settings, structure_from_plain(rule.structure), family_from_plain(rule.family), agents)


class LearnedRule:
    """A learned rule, greedy: common and private observations in, actions out. A team's copies are rows [E]."""

    def __init__(self, problem: RuleProblem, snapshot: Snapshot, seed: int = 0) -> None:
        """``seed``: of the agents' own draws, where prescriptions are randomised.

        Raises:
            UsageError: for independent learners, which have no common rule.
        """
        if problem.settings.learning == INDEPENDENT.name:
            raise UsageError(
                "the run's learners are independent. There is no rule of the team, but one for each agent. Train with "
                "learning=shared, or evaluate the run."
            )
        self.problem = problem
        self._rule = GreedyRule(problem.settings, snapshot)
        agents = range(1, len(problem.agents) + 1)
        self._streams = [Stream(f"agent/{agent}", seed_bytes(seed)) for agent in agents]
        self.begin(1)

    def begin(self, copies: int = 1) -> None:
        """Start E episodes."""
        structure, family = self.problem.structure, self.problem.family
        self._rule.begin(copies)
        self._step = 0
        self._copies = copies
        agents = enumerate(self.problem.agents, start=1)
        self._memories = [LocalMemory([agent], own, copies, structure, family) for agent, own in agents]

    def prescription(self, common: Any) -> NDArray[Any]:
        """theta_t after the next common observation z_t [E, Z]: int64 [E] entries of a menu, or float64 [E, D]."""
        return self._rule.choose(np.asarray(common))

    def act(self, common: Any, observations: Sequence[Any]) -> NDArray[np.int64]:
        """Actions [E, K] after z_t [E, Z] and the agents' own observations, K arrays [E, O_k]."""
        theta = self.prescription(common)
        steps = np.full(self._copies, self._step, dtype=np.int64)
        columns = []
        for memory, stream, seen in zip(self._memories, self._streams, observations, strict=True):
            memory.observe(np.asarray(seen), steps)
            words = stream.words(self._step, self._copies, 1) if self.problem.family.is_random else None
            columns.append(memory.act(theta, words))
        self._step += 1
        return np.concatenate(columns, axis=1)


@dataclass(frozen=True)
class Learned:
    """How a simulation ended."""

    config: RunConfig
    snapshot: Snapshot
    digests: Mapping[int, str]
    """Agent -> digest of its learner, as of ``dadc run`` with these seeds."""

    def rule(self) -> LearnedRule:
        """What was learned, to act with."""
        return LearnedRule(RuleProblem.of(self.config), self.snapshot)

    def evaluate(self) -> Valuation:
        """What it is worth, beside the optimum where there is a planner."""
        return Evaluator(self.config).valuation(self.snapshot)


class _Tells:
    """The observer that calls a user's function after each update."""

    def __init__(self, on_update: Callable[[Update], None]) -> None:
        self._on_update = on_update
        self._losses: Mapping[str, float] = {}

    def on(self, event: Event) -> None:
        """Losses come first, then the update that they belong to."""
        if isinstance(event, events.Learned):
            self._losses = event.losses
        elif isinstance(event, events.Updated):
            self._on_update(Update(event.update, event.reward_per_step, self._losses))


def configured(task: TaskLike, settings: Mapping[str, Any] | None = None) -> RunConfig:
    """The configuration of a task; ``settings``: dotted key -> value, as of ``--set``.

    Raises:
        ConfigError, UsageError: naming the key, its value and the remedy.
    """
    if isinstance(task, str):
        return resolve(task, (), dict(settings or {}))
    if isinstance(task, FiniteModel):
        task = model_task(task)
    given: dict[str, Any] = {"task": task.name}
    for key, value in (settings or {}).items():
        section, dot, name = key.partition(".")
        if dot:
            given.setdefault(section, {})[name] = value
        else:
            given[section] = value
    return build(given, task)


def simulate(
    task: TaskLike,
    *,
    updates: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_update: Callable[[Update], None] | None = None,
) -> Learned:
    """Train a team inside this process, with the digests of real processes.

    Args:
        updates: None: the task's own number.
        settings: dotted key -> value, such as ``{"learner.num_envs": 8}``.
        on_update: called after each update.

    Raises:
        ConfigError, UsageError: if the task cannot be configured so.
    """
    config = configured(task, {**(settings or {}), **({} if updates is None else {"updates": updates})})
    simulation = Simulation(config, seed_bytes(seed), seed_bytes(ENVIRONMENT_SEED))
    ended = simulation.run(None if on_update is None else _Tells(on_update))
    return Learned(config, ended.snapshot, ended.agent_digests)


def plan(task: TaskLike, settings: Mapping[str, Any] | None = None) -> Plan:
    """The exact optimum of a task that has a planner, and bounds of a finite task's under any structure.

    Bounds are searched for during ``evaluation.plan_seconds``; the optimum is ``value`` plus or minus ``residual``. Raises
    UsageError for other tasks.
    """
    config = configured(task, settings)
    if config.task.finite_model is None:
        return plan_of(config)
    from dadc_net.experiment.finite_valuation import finite_plan  # Here: its compiled part takes long to load.

    return finite_plan(config)


def evaluate(run: str | Path, task: str | None = None, structure: str | None = None) -> Valuation:
    """What the learned rule in the folder of a run is worth; ``task``, ``structure``: their names where they are code."""
    config, snapshot = _kept(Path(run), task, structure)
    return Evaluator(config).valuation(snapshot)


def load_rule(run: str | Path, task: str | None = None, structure: str | None = None) -> LearnedRule:
    """The rule in the folder of a run or in a file of ``dadc export``.

    Args:
        task, structure: their names where they are somebody's code.

    Raises:
        UsageError: if there is none.
        CorruptStateError: if it is damaged.
        MismatchError: if ``task`` or ``structure`` is another one than it was learned for.
    """
    if not Path(run).is_file():
        config, snapshot = _kept(Path(run), task, structure)
        return LearnedRule(RuleProblem.of(config), snapshot)
    rule = find_rule(Path(run))
    if task is None:
        return LearnedRule(RuleProblem.told_by(rule), rule.arrays)
    own = {"name": absolute(structure or rule.structure["name"]), **rule.structure["parameters"]}
    config = resolve(task, (), {STRUCTURE: own}, rule.settings)
    rule.check_problem(config.settings, config.structure.to_plain(), config.family.to_plain())
    return LearnedRule(RuleProblem.of(config), rule.arrays)


def _kept(run: Path, task: str | None, structure: str | None) -> tuple[RunConfig, Snapshot]:
    kept = find_run([run])
    config = configuration(kept, task, None, structure)
    snapshot, _ = load_learner(kept, config)
    return config, snapshot


def to_pettingzoo(task: TaskLike, settings: Mapping[str, Any] | None = None) -> Any:
    """The task as a PettingZoo ``ParallelEnv``: agent_1 .. agent_K, each seeing what is common and what is its own.

    Raises:
        UsageError: if the extra pettingzoo is not installed.
    """
    try:
        from dadc_net.experiment.parallel_env import TeamParallelEnv
    except ImportError as error:
        raise UsageError(
            f"to_pettingzoo needs the packages pettingzoo and gymnasium: {error}. Nothing was made. Install them: "
            "pip install 'dadc-net[pettingzoo]'"
        ) from error
    return TeamParallelEnv(configured(task, {"learner.num_envs": 1, "learner.batch_steps": 100, **(settings or {})}))
