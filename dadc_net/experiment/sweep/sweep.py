"""A sweep: which runs are missing, have them run, keep each result as it comes, and say at the end what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dadc_net.errors import DadcError, Interrupted, MismatchError
from dadc_net.experiment.sweep.engine import Engine, Observer
from dadc_net.experiment.sweep.result_folder import Record, ResultFolder, changes
from dadc_net.experiment.sweep.sweep_file import SweepFile
from dadc_net.experiment.sweep.trial import Trial
from dadc_net.runtime.control import StopRequest

_SHOWN = 5


@dataclass(frozen=True)
class Sweep:
    """A sweep file and the folder of its results."""

    file: SweepFile
    folder: ResultFolder
    environment_seed: int
    """Environment seed of shared seed 0; that of seed s is s more."""
    known: Sequence[Record] = ()
    """Results from elsewhere. A run that has one is not run again; what lies in ``folder`` comes first."""

    def trials(self) -> list[Trial]:
        """All runs, one seed of every curve after the other, so that a sweep that was cut short has something of each."""
        found = [
            (index, position, self._trial(position, seed))
            for position, curve in enumerate(self.file.curves)
            for index, seed in enumerate(curve.seeds)
        ]
        return [trial for _, _, trial in sorted(found, key=lambda item: item[:2])]

    def _trial(self, position: int, seed: int) -> Trial:
        curve = self.file.curves[position]
        return Trial(
            curve=curve.name,
            panel=curve.panel,
            label=curve.label,
            folder=curve.folder,
            seed=seed,
            environment_seed=self.environment_seed + seed,
            configuration=curve.config.to_plain(),
        )

    def missing(self, again: bool = False) -> list[Trial]:
        """Runs without a result. ``again``: those whose configuration has changed since count as missing.

        Raises:
            MismatchError: naming them, unless ``again``.
        """
        missing, changed = [], []
        for trial in self.trials():
            record = self._result(trial)
            found = [] if record is None else changes(record, trial)
            if record is None or (found and again):
                missing.append(trial)
            elif found:
                changed.append(f"{trial.name} ({'; '.join(found[:_SHOWN])}{'; ...' if len(found) > _SHOWN else ''})")
        if changed:
            more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            raise MismatchError(
                f"the configuration of finished runs has changed: {', '.join(changed[:_SHOWN])}{more}. Their results lie in "
                f"{self.folder.path} or among the known ones, and nothing was run. Undo the change, give another --out or "
                "other known results, or run them again with --again."
            )
        return missing

    def records(self) -> list[Record]:
        """Results that are there, of the curves, seeds and configurations of this sweep."""
        found = [(trial, self._result(trial)) for trial in self.trials()]
        return [record for trial, record in found if record is not None and not changes(record, trial)]

    def _result(self, trial: Trial) -> Record | None:
        own = self.folder.load(trial)
        if own is not None:
            return own
        return next((one for one in self.known if (one["curve"], one["seed"]) == (trial.curve, trial.seed)), None)

    def run(self, engine: Engine, trials: list[Trial], observer: Observer, stop: StopRequest) -> None:
        """Run ``trials``, which ``missing`` named, and keep their results.

        Raises:
            Interrupted: when ``stop`` asked for it.
            DadcError: at the end, if runs failed: the first failure's type, naming all of them.
        """
        keeper = _Keeper(self.folder, observer)
        engine.run(trials, keeper, stop)
        if stop.reason:
            raise Interrupted(
                f"stopped by {stop.reason}. {keeper.finished_count} runs were finished and are kept in {self.folder.path}. "
                "The same command goes on from there."
            )
        if keeper.failures:
            raise _failure(keeper.failures)


@dataclass
class _Keeper:
    """Keeps each result as it comes, and tells the observer."""

    folder: ResultFolder
    observer: Observer
    finished_count: int = 0
    failures: list[tuple[Trial, DadcError]] = field(default_factory=list)

    def started(self, trial: Trial) -> None:
        """It has been given to a worker."""
        self.observer.started(trial)

    def progressed(self, trial: Trial, share: float) -> None:
        """This share of it is done."""
        self.observer.progressed(trial, share)

    def finished(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """Its result."""
        self.folder.save(trial, record)
        self.finished_count += 1
        self.observer.finished(trial, record)

    def failed(self, trial: Trial, error: DadcError) -> None:
        """It ended without a result."""
        self.failures.append((trial, error))
        self.observer.failed(trial, error)


def _failure(failures: Sequence[tuple[Trial, DadcError]]) -> DadcError:
    named = "\n".join(f"  {trial.name}: {error}" for trial, error in failures)
    text = f"{len(failures)} of the runs failed; all others are kept. The same command tries them again.\n{named}"
    return type(failures[0][1])(text)
