"""``history.jsonl``: who joined, died and came back when, one JSON object a line, for people who look back at a run.

Every line has ``time``, seconds since 1970 by the clock of the host that wrote it, ``event``, the type, and its fields. The
time decides nothing. Events that come with every update are in ``metrics.jsonl``. A file that has become long takes nothing
more, so that a party which comes and goes for ever fills no disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from dadc_net.runtime.events import (
    AgentFinished,
    AgentResumed,
    Began,
    Event,
    Failed,
    Joined,
    Left,
    Listening,
    Refereed,
    Restarted,
    ServerFinished,
    ServerResumed,
    Silent,
    Troubled,
    Waiting,
    Warned,
    from_plain,
)
from dadc_net.runtime.json_lines import JsonLinesFile, read_json_lines

HISTORY_NAME = "history.jsonl"
_KEPT = (
    *(Listening, Joined, Left, Waiting, ServerResumed, ServerFinished, Began, AgentResumed, AgentFinished),
    *(Silent, Troubled, Warned, Failed, Restarted, Refereed),
)
_MOST_BYTES = 2**20
_YEAR_9999 = 253_370_764_800.0
"""The last that a calendar knows, in seconds since 1970."""


class HistoryFile:
    """The observer that writes it."""

    def __init__(self, folder: Path) -> None:
        self._lines = JsonLinesFile(folder / HISTORY_NAME)

    def on(self, event: Event) -> None:
        """Write ``event``, if it is one that is looked back at."""
        if isinstance(event, _KEPT) and self._lines.size <= _MOST_BYTES:
            name, fields = event.to_plain()
            self._lines.write({"time": round(time.time(), 3), "event": name, **fields})

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def read_history(folder: Path) -> Iterator[tuple[float, Event]]:
    """Seconds since 1970 and event of each line in ``folder``; a line that was cut or is of another version is left out."""
    for fields in read_json_lines(folder / HISTORY_NAME):
        try:
            when, name = float(fields.pop("time")), str(fields.pop("event"))
            event = from_plain((name, fields))
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
        if 0.0 <= when < _YEAR_9999:
            yield when, event
