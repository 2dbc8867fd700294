"""Progress of a sweep on standard error: a bar that is redrawn on a terminal, one plain line per finished run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dadc_net.cli.status_line import StatusLine, bar

if TYPE_CHECKING:
    from dadc_net.errors import DadcError
    from dadc_net.experiment.sweep.trial import Trial

_BAR = 24


class SweepProgress:
    """Shows how many runs are done, how far the running ones are, the last result, and how long it may take."""

    def __init__(self, total: int, missing: int, quiet: bool) -> None:
        self._total = total
        self._done = total - missing
        self._failed = 0
        self._line = StatusLine(quiet)
        self._shares: dict[str, float] = {}
        self._begun = time.monotonic()
        self._done_before = self._done
        self._last = ""

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()

    def note(self, text: str) -> None:
        """A line of its own."""
        self._line.note(text)

    def started(self, trial: Trial) -> None:
        """It has been given to a worker."""
        self._shares[trial.name] = 0.0
        self._draw()

    def progressed(self, trial: Trial, share: float) -> None:
        """This share of it is done."""
        self._shares[trial.name] = share
        self._draw()

    def finished(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """Its result."""
        self._shares.pop(trial.name, None)
        self._done += 1
        gap = "" if record["gap"] is None else f", gap {100 * record['gap']:.2f} %"
        self._last = f"{trial.name}: value {record['value']:.4f}{gap}"
        self._say(f"{self._done}/{self._total}  {self._last}, {record['wall_s']:.0f} s")

    def failed(self, trial: Trial, error: DadcError) -> None:
        """It ended without a result."""
        self._shares.pop(trial.name, None)
        self._failed += 1
        self._last = f"{trial.name} failed"
        self._say(f"{trial.name} failed: {error}")

    def _say(self, text: str) -> None:
        if self._line.is_terminal:
            self._draw(at_once=True)
        else:
            self.note(text)

    def _draw(self, at_once: bool = False) -> None:
        if not self._line.due(at_once):
            return
        done = self._done + sum(self._shares.values())
        failed = f", {self._failed} failed" if self._failed else ""
        left = _left(time.monotonic() - self._begun, done - self._done_before, self._total - done)
        text = f"{bar(done / max(1, self._total), _BAR)} {self._done}/{self._total}{failed}, {len(self._shares)} running"
        self._line.draw(f"{text}, {left}  {self._last}")


def _left(seconds: float, done: float, rest: float) -> str:
    """How long the rest may take at the pace so far."""
    if done < 0.01:
        return "--:-- left"
    minutes = round(seconds / done * rest / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h left"
