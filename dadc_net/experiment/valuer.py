"""What a rule is worth while it is learned, and at the end: an observer that values checkpoints, and the last valuation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import Interrupted
from dadc_net.experiment.comparison import Comparison
from dadc_net.experiment.evaluation import Evaluator, Exact, Valuation, attempt
from dadc_net.experiment.report import add_valuation
from dadc_net.experiment.result_file import write_report
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Checkpointed, Evaluated, Event, Learned, Observer, Warned

Look = Callable[[Checkpointed], tuple[Snapshot, int]]
"""Reads what a checkpoint, or a newer one, holds: the state, and after which update."""


class Valuer:
    """Values checkpoints, and tells what they are worth."""

    def __init__(self, config: RunConfig, look: Look, tell: Observer, stop: StopRequest) -> None:
        """``stop``: whose signals end a valuation at once; it may take minutes where a rule or a world is slow."""
        self._stop = stop
        self._config = config
        self._look = look
        self._tell = tell
        self._is_asked = config.evaluation.progress_trajectories > 0
        self._losses: Mapping[str, float] = {}
        """Of the last update that was told of."""
        self._evaluator: Evaluator | None = None

    @property
    def evaluator(self) -> Evaluator:
        """Plans on first use: by then the agents have started and work beside it."""
        if self._evaluator is None:
            self._evaluator = Evaluator(self._config)
        return self._evaluator

    def on(self, event: Event) -> None:
        """Value a checkpoint; the run goes on without values when that fails."""
        if isinstance(event, Learned):
            self._losses = event.losses
        elif isinstance(event, Checkpointed):
            self._value(event)

    def _value(self, event: Checkpointed) -> None:
        snapshot, update = self._look(event)
        troubles: list[str] = []
        found: tuple[Exact | None, Comparison] | None = None
        if self._is_asked:
            try:
                with self._stop.interrupting():
                    found = attempt(lambda: self._compared(snapshot), "progress_trajectories", troubles)
            except KeyboardInterrupt:
                return  # The run is about to stop.
        if troubles:
            self._is_asked = False
            self._tell.on(Warned(text=troubles[0]))
        exact, compared = found or (None, None)
        evaluated = Evaluated(
            update=update,
            env_steps=update * self._config.settings.learner.batch_steps,
            value=None if compared is None else compared.value.value,
            value_stderr=None if compared is None else compared.value.stderr,
            gap=None if exact is None else exact.gap,
            round_robin_share=None if exact is None else exact.round_robin_share,
            **({} if compared is None else compared.short_fields()),
        )
        self._tell.on(evaluated)

    def _compared(self, snapshot: Snapshot) -> tuple[Exact | None, Comparison]:
        trajectories = self._config.evaluation.progress_trajectories
        exact = self.evaluator.exact(snapshot, trajectories)
        return exact, self.evaluator.comparison(snapshot, exact, trajectories, self._losses)

    def finish(self, folder: Path, report: dict[str, Any], snapshot: Snapshot) -> Valuation:
        """Value what was learned, and complete and keep the ``report``.

        Raises:
            Interrupted: if a signal comes before that is done.
        """
        write_report(folder, report)  # What was learned is kept before it is valued.
        troubles: list[str] = []
        # The planner itself may fail, before there is anything to estimate with.
        try:
            with self._stop.interrupting():
                valuation = attempt(lambda: self.evaluator.compared(snapshot, self._losses), "trajectories", troubles)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped by {self._stop.reason} while the learned rule was valued. The run was finished, and what was "
                f"learned is kept. Then: dadc evaluate {folder}"
            ) from None
        valuation = valuation or Valuation(None, None, tuple(troubles))
        add_valuation(report, valuation)
        write_report(folder, report)
        return valuation
