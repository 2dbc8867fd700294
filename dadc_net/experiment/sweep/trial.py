"""One run of a sweep: train inside one process, value the rule on the way, and put everything into one record.

The record is plain JSON data and holds all that tables and figures need, so that results are files that can be copied and
merged. It is a function of the trial alone, but for the times in it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dadc_net
from dadc_net import config as configuration
from dadc_net.config import RunConfig
from dadc_net.errors import UsageError
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.runtime.events import Event, Learned, Updated

if TYPE_CHECKING:
    from dadc_net.coordinator.settings.learning import Snapshot
    from dadc_net.experiment.evaluation import Evaluator
    from dadc_net.experiment.simulation import Simulation

FORMAT = "dadc-net sweep result 1"
POINTS = 20
"""Points of a learning curve besides the one before the first update, unless ``evaluation.every_updates`` says otherwise."""
Notice = Callable[[float], None]
"""Called now and then with the share of the run that is done; whatever it raises ends the run."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of a sweep; plain data, so that it can be sent to another process or host."""

    curve: str
    panel: str
    label: str
    folder: str
    """Of the curve's results."""
    seed: int
    """Shared seed of the agents."""
    environment_seed: int
    configuration: Mapping[str, Any]
    """As ``RunConfig.to_plain`` gives it."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.curve}, seed {self.seed}"

    def digest(self) -> str:
        """Hexadecimal digest of what determines the result. ``runtime`` does not."""
        relevant = {key: value for key, value in self.configuration.items() if key != "runtime"}
        seeds = {"seed": self.seed, "environment_seed": self.environment_seed}
        return digest(b"dadc-net trial", canonical.encode({"configuration": relevant, **seeds})).hex()


class LearningCurve:
    """The observer that values the rule while its run goes on, and the CPU seconds that this took."""

    def __init__(self, config: RunConfig, evaluator: Evaluator, simulation: Simulation, notice: Notice) -> None:
        """CPU time is this thread's: a trial uses no other, and a cluster's worker has others."""
        self._settings = config.settings
        self._trajectories = config.evaluation.progress_trajectories
        self._every = config.evaluation.every_updates or max(1, config.settings.updates // POINTS)
        self._evaluator = evaluator
        self._simulation = simulation
        self._notice = notice
        self.losses: Mapping[str, float] = {}
        """Of the first agent's last update."""
        self.cpu_s = 0.0
        self.points: dict[str, list[Any]] = {
            name: [] for name in ("env_steps", "value", "value_stderr", "ais_spread", "ais_rank")
        }

    def on(self, event: Event) -> None:
        """Add a point to the curve when one is due; the last one is the final valuation's."""
        if isinstance(event, Learned) and event.agent == 1:
            self.losses = event.losses
        elif isinstance(event, Updated):
            if event.update % self._every == 0 and event.update != self._settings.updates:
                self.look(event.update)
            self._notice(event.update / self._settings.updates)

    def look(self, update: int) -> None:
        """Value the rule as it is."""
        begun = time.thread_time()
        value, stderr = self._evaluator.progress(self._simulation.snapshot(), self._trajectories)
        self.cpu_s += time.thread_time() - begun
        self.add(update, value, stderr)

    def add(self, update: int, value: float, stderr: float) -> None:
        """Add a point to the curve."""
        spread, rank = self.losses.get("ais_spread"), self.losses.get("ais_rank")
        point = (update * self._settings.learner.batch_steps, value, stderr, spread, rank)
        for column, item in zip(self.points.values(), point, strict=True):
            column.append(item)


def run_trial(trial: Trial, notice: Notice) -> dict[str, Any]:
    """Run ``trial`` to its end and return its record.

    Raises:
        DadcError: whatever ended it early.
    """
    from dadc_net.exact.streams import seed_bytes
    from dadc_net.experiment.evaluation import Evaluator
    from dadc_net.experiment.simulation import Simulation

    wall = time.monotonic()
    config = configuration.build(trial.configuration)
    evaluator = Evaluator(config)
    _try_valuation(config, evaluator)
    simulation = Simulation(config, seed_bytes(trial.seed), seed_bytes(trial.environment_seed))
    curve = LearningCurve(config, evaluator, simulation, notice)
    curve.look(0)
    begun, looked = time.thread_time(), curve.cpu_s
    ended = simulation.run(curve)
    learning = time.thread_time() - begun - (curve.cpu_s - looked)
    begun = time.thread_time()
    values = _values(evaluator, ended.snapshot, curve.losses)
    curve.cpu_s += time.thread_time() - begun
    curve.add(config.settings.updates, values["value"], values["value_stderr"])
    return {
        **_facts(trial, config),
        "learner_digest": ended.agent_digests[1],
        **values,
        "losses": dict(curve.losses),
        "learning": curve.points,
        "cpu_s": learning,
        "evaluation_cpu_s": curve.cpu_s,
        "wall_s": time.monotonic() - wall,
    }


def _try_valuation(config: RunConfig, evaluator: Evaluator) -> None:
    """A sweep is about values: what cannot be valued is found before it is trained.

    Raises:
        UsageError: if valuation is switched off, or the environment cannot make the copies.
    """
    from dadc_net.experiment.evaluation import attempt

    evaluation = config.evaluation
    returns, exact = evaluation.monte_carlo_trajectories, evaluation.trajectories if evaluator.plan is not None else 0
    if not evaluation.progress_trajectories or not (returns or exact):
        raise UsageError(
            f"the sweep's run would have no value: evaluation.progress_trajectories is {evaluation.progress_trajectories}, "
            f"monte_carlo_trajectories {returns} and trajectories {exact}. Nothing was trained. Give numbers above 0."
        )
    troubles: list[str] = []
    if returns:
        attempt(lambda: config.task.environment(config.parameters, returns), "monte_carlo_trajectories", troubles)
    if troubles:
        raise UsageError(troubles[0].replace("What was learned is kept.", "Nothing was trained."))


def _facts(trial: Trial, config: RunConfig) -> dict[str, Any]:
    """What is known before the run begins."""
    return {
        "format": FORMAT,
        "curve": trial.curve,
        "panel": trial.panel,
        "label": trial.label,
        "task": config.task.name,
        "algorithm": config.settings.algorithm,
        "seed": trial.seed,
        "environment_seed": trial.environment_seed,
        "digest": trial.digest(),
        "configuration": dict(trial.configuration),
        "version": dadc_net.__version__,
        "host": platform.node(),
        "updates": config.settings.updates,
        "env_steps": config.settings.updates * config.settings.learner.batch_steps,
    }


def _values(evaluator: Evaluator, snapshot: Snapshot, losses: Mapping[str, float]) -> dict[str, Any]:
    """What the learned rule is worth: its best value, against what it could be worth."""
    from dadc_net.experiment.comparison import FIELDS

    found = evaluator.compared(snapshot, losses)
    values = {**dict.fromkeys(FIELDS), **found.to_plain()}
    if found.exact is None:
        if found.monte_carlo is None:
            raise UsageError(" ".join(found.troubles))
        values["value"], values["value_stderr"] = found.monte_carlo
    return values
