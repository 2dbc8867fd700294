"""``history.jsonl``: who joined, died and came back when, one JSON object a line, for people who look back at a run.

Every line has ``time``, seconds since 1970 by the clock of the host that wrote it, ``event``, the type, and its fields. The
time decides nothing. Events that come with every update are in ``metrics.jsonl``. A file that has become long takes nothing
more, so that a party which comes and goes for ever fills no disk.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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

HISTORY_NAME = "history.jsonl"
_KEPT = (
    *(Listening, Joined, Left, Waiting, ServerResumed, ServerFinished, Began, AgentResumed, AgentFinished),
    *(Silent, Troubled, Warned, Failed, Restarted, Refereed),
)
_MOST_BYTES = 2**20
_log = logging.getLogger(__name__)


class HistoryFile:
    """The observer that writes it; a disk that refuses takes lines and no run."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO | None = None
        try:
            self._file = open(folder / HISTORY_NAME, "ab", buffering=0)  # noqa: SIM115 - closed by close
        except OSError as error:
            _log.warning("%s cannot be written: %s", HISTORY_NAME, error.strerror)

    def on(self, event: Event) -> None:
        """Write ``event``, if it is one that is looked back at."""
        if self._file is None or not isinstance(event, _KEPT) or self._file.tell() > _MOST_BYTES:
            return
        name, fields = event.to_plain()
        line = json.dumps({"time": round(time.time(), 3), "event": name, **fields})
        try:
            self._file.write(line.encode("utf-8") + b"\n")
        except OSError as error:
            _log.warning("%s cannot be written: %s", HISTORY_NAME, error.strerror)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def read_history(folder: Path) -> Iterator[tuple[float, Event]]:
    """Seconds since 1970 and event of each line in ``folder``; a line that was cut or is of another version is left out."""
    path = folder / HISTORY_NAME
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for raw in file:
            try:
                fields = json.loads(raw)
                when, name = float(fields.pop("time")), str(fields.pop("event"))
                yield when, from_plain((name, fields))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
