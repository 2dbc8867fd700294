"""``metrics.jsonl``: what a run says of its updates, one JSON object a line, in the folder of the run and of each party.

Every line has ``kind``, ``update`` and ``env_steps``, and the fields of its kind; None stands as null:

    reward   reward_per_step, lock_steps, seconds                  (the environment server, a simulation)
    losses   agent, losses                                         (an agent, a simulation)
    value    value, value_stderr, gap, round_robin_share,          (whoever values checkpoints)
             best_constant_share, no_better_than_blind, ais_collapsed

A run that goes on appends to its lines, and an update that was logged is not logged again. A line is one unbuffered write:
a disk that refuses takes lines and no run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from dadc_net.runtime.events import Evaluated, Event, Learned, Updated

METRICS_NAME = "metrics.jsonl"
_VALUE_FIELDS = (
    *("value", "value_stderr", "gap", "round_robin_share"),
    *("best_constant_share", "no_better_than_blind", "ais_collapsed"),
)
_log = logging.getLogger(__name__)


def line_of(event: Event) -> dict[str, Any] | None:
    """The line of an event; None for events that are no metrics."""
    match event:
        case Updated():
            own = {key: getattr(event, key) for key in ("reward_per_step", "lock_steps", "seconds")}
            return {"kind": "reward", "update": event.update, "env_steps": event.env_steps, **own}
        case Learned():
            own = {"agent": event.agent, "losses": event.losses}
            return {"kind": "losses", "update": event.update, "env_steps": event.env_steps, **own}
        case Evaluated():
            own = {key: getattr(event, key) for key in _VALUE_FIELDS}
            return {"kind": "value", "update": event.update, "env_steps": event.env_steps, **own}
        case _:
            return None


def read_metrics(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a folder; one that was cut by a kill or a full disk is left out."""
    path = folder / METRICS_NAME
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for raw in file:
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict) and "update" in line:
                yield line


class MetricsFile:
    """The observer that writes them."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO | None = None
        self._last: dict[tuple[str, int], int] = {}
        """(kind, agent) -> update of the last line."""
        self._cut = False
        """Whether the file ends within a line."""
        try:
            for line in read_metrics(folder):
                self._last[line.get("kind", ""), line.get("agent", 0)] = line["update"]
            self._file = open(folder / METRICS_NAME, "a+b", buffering=0)  # noqa: SIM115 - closed by close
            if self._file.tell():
                self._file.seek(-1, 2)
                self._cut = self._file.read(1) != b"\n"
        except OSError as error:
            self._warn(error)

    def on(self, event: Event) -> None:
        """Write the line of ``event``, if it has one that is new."""
        line = line_of(event)
        if line is not None:
            self._write(line)

    def catch_up(self, folder: Path) -> None:
        """Take over what a party logged in its ``folder`` and this file lacks: a launcher may die before it hears of it."""
        for line in read_metrics(folder):
            self._write(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        key = line["kind"], line.get("agent", 0)
        if line["update"] <= self._last.get(key, -1):
            return
        self._last[key] = line["update"]
        raw = (b"\n" if self._cut else b"") + json.dumps(line).encode("utf-8") + b"\n"
        try:
            self._cut = self._file.write(raw) != len(raw)
        except OSError as error:
            self._cut = True
            self._warn(error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @staticmethod
    def _warn(error: OSError) -> None:
        _log.warning("%s cannot be written: %s", METRICS_NAME, error.strerror)
