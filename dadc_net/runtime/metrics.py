"""``metrics.jsonl``: what a run says of its updates, one JSON object a line, in the folder of the run and of each party.

Every line has ``kind``, ``update`` and ``env_steps``, and the fields of its kind; None stands as null:

    reward   reward_per_step, lock_steps, seconds                  (the environment server, a simulation)
    losses   agent, losses                                         (an agent, a simulation)
    value    value, value_stderr, gap, round_robin_share,          (whoever values checkpoints)
             best_constant_share, no_better_than_blind, ais_collapsed

A run that goes on appends to its lines, and an update that was logged is not logged again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dadc_net.runtime.events import Evaluated, Event, Learned, Updated
from dadc_net.runtime.json_lines import JsonLinesFile, read_json_lines

METRICS_NAME = "metrics.jsonl"
_REWARD_FIELDS = ("reward_per_step", "lock_steps", "seconds")
_VALUE_FIELDS = (
    *("value", "value_stderr", "gap", "round_robin_share"),
    *("best_constant_share", "no_better_than_blind", "ais_collapsed"),
)
_MOST = 2.0**63
"""No number of a run is as large."""


def line_of(event: Event) -> dict[str, Any] | None:
    """The line of an event; None for events that are no metrics."""
    match event:
        case Updated():
            own = {key: getattr(event, key) for key in _REWARD_FIELDS}
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
    """The lines of a folder; one that was cut, or that no version of ours writes, is left out."""
    return filter(_is_line, read_json_lines(folder / METRICS_NAME))


def _is_line(line: Mapping[str, Any]) -> bool:
    """Whether readers find what they look for in ``line``, which anybody may have written."""
    if not all(type(line.get(name)) is int and 0 <= line[name] < _MOST for name in ("update", "env_steps")):
        return False
    match line.get("kind"):
        case "reward":
            known = all(_is_number(line.get(name)) for name in _REWARD_FIELDS)
            return known and type(line["lock_steps"]) is int and line["lock_steps"] > 0
        case "losses":
            losses = line.get("losses")
            return type(line.get("agent")) is int and isinstance(losses, dict) and all(map(_is_number, losses.values()))
        case "value":
            return all(line.get(name) is None or _is_number(line[name]) for name in _VALUE_FIELDS)
        case _:
            return False


def _is_number(value: object) -> bool:
    """A finite one that a float can hold, or a truth value."""
    return isinstance(value, int | float) and -_MOST < value < _MOST


class MetricsFile:
    """The observer that writes them."""

    def __init__(self, folder: Path) -> None:
        self._last: dict[tuple[str, int], int] = {}
        """(kind, agent) -> update of the last line."""
        self._lines = JsonLinesFile(folder / METRICS_NAME)
        try:
            for line in read_metrics(folder):
                self._last[line["kind"], line.get("agent", 0)] = line["update"]
        except OSError as error:
            self._lines.warn(error)
            self._lines.close()  # Rather none than an update twice.

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
        key = line["kind"], line.get("agent", 0)
        if line["update"] > self._last.get(key, -1):
            self._last[key] = line["update"]
            self._lines.write(line)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
