"""Runs trials on a Dask cluster that is already there; this process only hands them out and keeps the results.

Dask rather than Ray: it takes 42 MB installed with all that it needs, where the wheel of Ray alone has 79 MB, and a trial
asks nothing of a cluster but to be run. It is the extra ``sweep`` and imported late.

Workers need this package (and a user's own task) installed, nothing else: no shared
folder, because results travel back to the sweep. Each worker should have one thread (``--nthreads 1``): a trial takes a
process for itself.

A worker that dies loses its trial; Dask gives it to another worker. Progress is heard at the end of a trial only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import dadc_net
from dadc_net.errors import DadcError, Interrupted, MismatchError, TemporaryError, UsageError, error_for_exit_code
from dadc_net.experiment.sweep.engine import Observer
from dadc_net.experiment.sweep.trial import Trial, run_trial
from dadc_net.runtime.control import StopRequest

_CONNECT_SECONDS = 20
_LOOK_SECONDS = 0.5


class Outcome(NamedTuple):
    """What a worker sends back: errors as data, because their types need not survive the way."""

    record: Mapping[str, Any] | None
    exit_code: int = 0
    text: str = ""


def work(trial: Trial) -> Outcome:
    """Run a trial on a worker."""
    try:
        return Outcome(run_trial(trial, _stop_if_abandoned))
    except DadcError as error:
        return Outcome(None, error.exit_code, str(error))


def _stop_if_abandoned(_: float) -> None:
    """Dask cannot end a task that runs, so the task looks whether the sweep still wants it."""
    import distributed

    worker = distributed.get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise Interrupted("the sweep has gone. Its trial was not finished. Start the sweep again.")


class DaskEngine:
    """Trials on the workers of one scheduler."""

    def __init__(self, scheduler: str) -> None:
        """``scheduler``: its address, such as tcp://HOST:8786.

        Raises:
            UsageError: without the extra, or for an address that is none.
            TemporaryError: if no scheduler answers there.
        """
        try:
            import distributed
        except ImportError as error:
            raise UsageError(
                f"distributed cannot be imported: {error}. It speaks to a Dask cluster and is not installed by default. "
                "Install the extra sweep: pip install 'dadc-net[sweep]'."
            ) from error
        if not re.fullmatch(r"\w+://\S+:\d+", scheduler):
            raise UsageError(f"--scheduler {scheduler!r} is no address. No run was started. Write tcp://HOST:8786.")
        try:
            self._client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise TemporaryError(
                f"no Dask scheduler answers at {scheduler}: {error}. No run was started. Start one there with "
                "dask scheduler, or correct --scheduler."
            ) from error

    def run(self, trials: list[Trial], observer: Observer, stop: StopRequest) -> None:
        """Run all trials, or until ``stop``; tells ``observer`` how each one ended."""
        # Impure, so that no two sweeps share results: those belong to files, not to the cluster.
        pending = {self._client.submit(work, trial, pure=False): trial for trial in trials}
        try:
            for trial in trials:
                observer.started(trial)
            while pending and not stop.reason:
                ended = [future for future in pending if future.done()]
                for future in ended:
                    _report(future, pending.pop(future), observer)
                if not ended:
                    wait([stop.fileno], _LOOK_SECONDS)
        finally:
            self._client.cancel(list(pending))
            self._client.close()


def _report(future: Any, trial: Trial, observer: Observer) -> None:
    if future.status != "finished":
        reason = f"{future.exception()!r}" if future.status == "error" else future.status
        text = f"the cluster did not finish it: {reason}. Its result is lost. Look at the logs of scheduler and workers."
        observer.failed(trial, TemporaryError(text))
        return
    outcome: Outcome = future.result()
    if outcome.record is None:
        observer.failed(trial, error_for_exit_code(outcome.exit_code, outcome.text))
    elif outcome.record["version"] != dadc_net.__version__:
        text = f"a worker has dadc-net {outcome.record['version']}, this sweep has {dadc_net.__version__}. The result of "
        text += f"host {outcome.record['host']} was not kept. Install one version everywhere."
        observer.failed(trial, MismatchError(text))
    else:
        observer.finished(trial, outcome.record)
