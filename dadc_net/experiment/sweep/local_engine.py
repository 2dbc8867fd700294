"""Runs trials on this machine, each in a process of its own with one thread, as many at a time as there are cores.

The processes are forked from a server with torch preloaded. They end when their control pipe closes, so none outlives a
sweep that was killed; what they had not finished is run again at the next start.
"""

from __future__ import annotations

from multiprocessing.connection import Connection, wait
from typing import Any

from dadc_net.errors import DadcError, TemporaryError, error_for_exit_code
from dadc_net.experiment.sweep.engine import Observer, TrialFinished, TrialProgressed
from dadc_net.experiment.sweep.trial import Trial, run_trial
from dadc_net.runtime.control import Control, StopRequest
from dadc_net.runtime.events import Failed
from dadc_net.runtime.fork_server import Child, ForkServer, guarded

_GRACE_SECONDS = 20.0


def trial_child(trial: Trial, connection: Connection) -> None:
    """Body of the child that runs a trial."""

    def role(control: Control) -> None:
        def notice(share: float) -> None:
            control.poll()
            if control.stop.reason:
                raise control.stop.error()
            control.on(TrialProgressed(share=share))

        control.on(TrialFinished(record=run_trial(trial, notice)))

    guarded(None, connection, role)


class LocalEngine:
    """As many trials at a time as ``jobs`` says."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._nursery = ForkServer()
        self._running: dict[Child, Trial] = {}
        self._outcome: dict[Child, dict[str, Any] | DadcError] = {}

    def run(self, trials: list[Trial], observer: Observer, stop: StopRequest) -> None:
        """Run all trials, or until ``stop``; tells ``observer`` how each one ended."""
        waiting = list(reversed(trials))
        try:
            while (waiting or self._running) and not stop.reason:
                while waiting and len(self._running) < self._jobs:
                    trial = waiting.pop()
                    self._running[self._nursery.start(trial.name, trial_child, trial)] = trial
                    observer.started(trial)
                self._watch(observer, stop)
        finally:
            self._end_all()

    def _watch(self, observer: Observer, stop: StopRequest) -> None:
        sources: dict[Any, Child] = {child.connection: child for child in self._running}
        sources |= {child.process.sentinel: child for child in self._running}
        ready = wait([*sources, stop.fileno], timeout=1.0)
        for child in {sources[source] for source in ready if source in sources}:
            self._drain(child, observer)
            if not child.process.is_alive():
                self._drain(child, observer)
                self._bury(child, observer)

    def _drain(self, child: Child, observer: Observer) -> None:
        for event in child.events():
            match event:
                case TrialProgressed(share=share):
                    observer.progressed(self._running[child], share)
                case TrialFinished(record=record):
                    self._outcome[child] = record
                case Failed(exit_code=code, text=text, speaker=speaker):
                    self._outcome[child] = error_for_exit_code(code, text, speaker)

    def _bury(self, child: Child, observer: Observer) -> None:
        trial = self._running.pop(child)
        child.connection.close()
        code = child.process.exitcode
        outcome = self._outcome.pop(child, None)
        if outcome is None:
            outcome = TemporaryError(
                f"its process ended with code {code} and said nothing. Its result is lost. Look at the machine's memory, "
                "then start the sweep again."
            )
        if isinstance(outcome, DadcError):
            observer.failed(trial, outcome)
        else:
            observer.finished(trial, outcome)

    def _end_all(self) -> None:
        for child in self._running:
            child.stop("the end of the sweep")
        for child in self._running:
            child.process.join(_GRACE_SECONDS)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            child.connection.close()
        self._running.clear()
