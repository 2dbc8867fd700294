"""What a sweep asks of whatever runs its trials: this machine's cores, or a cluster that is already there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dadc_net.errors import DadcError
from dadc_net.experiment.sweep.trial import Trial
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Event


@dataclass(frozen=True, kw_only=True)
class TrialProgressed(Event):
    """This share of the trial of a child process is done."""

    share: float


@dataclass(frozen=True, kw_only=True)
class TrialFinished(Event):
    """The result of the trial of a child process."""

    record: dict[str, Any]


class Observer(Protocol):
    """Hears what becomes of each trial."""

    def started(self, trial: Trial) -> None:
        """It has been given to a worker."""

    def progressed(self, trial: Trial, share: float) -> None:
        """This share of it is done."""

    def finished(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """Its result."""

    def failed(self, trial: Trial, error: DadcError) -> None:
        """It ended without a result; the others go on."""


class Engine(Protocol):
    """Runs trials, in any order."""

    def run(self, trials: list[Trial], observer: Observer, stop: StopRequest) -> None:
        """Run all trials, or until ``stop``; tell ``observer`` how each one ended."""
