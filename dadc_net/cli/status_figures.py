"""How far a run is, how fast, and what it fills, for ``dadc status``: from the metrics beside a server's status."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from dadc_net.cli.figures_text import LINE_WIDTH, duration_text, fitting, rate_text, size_text
from dadc_net.runtime.metrics import read_metrics
from dadc_net.runtime.status import TeamStatus

_RATE_LINES = 20
"""Updates over which a rate is told."""


def figures(run: Path, status: TeamStatus, size: int) -> dict[str, Any]:
    """update, updates, value, lock_steps_per_s, seconds_left, ``size`` in bytes; None: not known."""
    rewards: list[dict[str, Any]] = []
    value = None
    for folder in (run, run / "server"):
        for line in read_metrics(folder):
            if line.get("kind") == "reward" and (not rewards or line["update"] > rewards[-1]["update"]):
                rewards.append(line)
            elif line.get("kind") == "value" and line.get("value") is not None:
                value = line["value"]
    update = rewards[-1]["update"] if rewards else 0
    updates = round(status.last_step * update / rewards[-1]["lock_steps"]) if rewards else None
    rate = _rate(rewards[-_RATE_LINES:])
    left = None if not rate or status.ended else (status.last_step - max(0, status.step)) / rate
    known = {"update": update, "updates": updates, "value": value, "lock_steps_per_s": rate}
    return {**known, "seconds_left": left, "size": size}


def _rate(lines: list[dict[str, Any]]) -> float | None:
    """Lock-steps per second; seconds begin anew where the server was started again."""
    steps = seconds = 0.0
    for before, after in pairwise(lines):
        if after["seconds"] > before["seconds"]:
            steps += after["lock_steps"] - before["lock_steps"]
            seconds += after["seconds"] - before["seconds"]
    return steps / seconds if seconds > 0 else None


def figures_text(found: dict[str, Any]) -> str:
    """One line of at most 80 columns."""
    total = "" if found["updates"] is None else f" of {found['updates']}"
    rate, left, value = found["lock_steps_per_s"], found["seconds_left"], found["value"]
    parts = [
        (0, f"update {found['update']}{total}"),
        (1, "" if value is None else f"value {value:.4f}"),
        (2, "" if rate is None else f"{rate_text(rate)} lock-steps/s"),
        (3, "" if left is None else f"{duration_text(left)} left"),
        (4, f"{size_text(found['size'])} on disk"),
    ]
    return fitting(parts, LINE_WIDTH)
