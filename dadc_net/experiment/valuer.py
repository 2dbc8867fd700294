"""What a rule is worth while it is learned, and at the end: an observer that values checkpoints, and the last valuation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.experiment.evaluation import Evaluator, Valuation, attempt
from dadc_net.experiment.report import add_valuation, write_report
from dadc_net.runtime.events import Checkpointed, Evaluated, Event, Observer, Warned

Look = Callable[[Checkpointed], tuple[Snapshot, int]]
"""Reads what a checkpoint, or a newer one, holds: the state, and after which update."""


class Valuer:
    """Values checkpoints where the task has a planner, and tells what they are worth."""

    def __init__(self, config: RunConfig, look: Look, tell: Observer) -> None:
        self._config = config
        self._look = look
        self._tell = tell
        self._is_asked = config.evaluation.progress_trajectories > 0
        self._evaluator: Evaluator | None = None

    @property
    def evaluator(self) -> Evaluator:
        """Plans on first use: by then the agents have started and work beside it."""
        if self._evaluator is None:
            self._evaluator = Evaluator(self._config)
        return self._evaluator

    def on(self, event: Event) -> None:
        """Value a checkpoint; the run goes on without values when that fails."""
        if not isinstance(event, Checkpointed):
            return
        snapshot, update = self._look(event)
        troubles: list[str] = []
        trajectories = self._config.evaluation.progress_trajectories if self._is_asked else 0
        found = attempt(lambda: self.evaluator.exact(snapshot, trajectories), "progress_trajectories", troubles)
        if troubles:
            self._is_asked = False
            self._tell.on(Warned(text=troubles[0]))
        evaluated = Evaluated(
            update=update,
            env_steps=update * self._config.settings.learner.batch_steps,
            value=None if found is None else found.value,
            value_stderr=None if found is None else found.stderr,
            gap=None if found is None else found.gap,
            round_robin_share=None if found is None else found.round_robin_share,
        )
        self._tell.on(evaluated)

    def finish(self, folder: Path, report: dict[str, Any], snapshot: Snapshot) -> Valuation:
        """Value what was learned, and complete and keep the ``report``."""
        write_report(folder, report)  # What was learned is kept before it is valued.
        troubles: list[str] = []
        # The planner itself may fail, before there is anything to estimate with.
        valuation = attempt(lambda: self.evaluator.valuation(snapshot), "trajectories", troubles)
        valuation = valuation or Valuation(None, None, tuple(troubles))
        add_valuation(report, valuation)
        write_report(folder, report)
        return valuation
