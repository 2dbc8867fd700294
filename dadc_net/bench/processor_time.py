"""Processor time of the processes that a measurement has started: other programs on the machine hardly change it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _USER, _SYSTEM = 1, 11, 12
"""Places in /proc/PID/stat, from 0, behind the name, which may hold anything (proc(5))."""


def of_descendants() -> float | None:
    """CPU seconds of all processes that descend from this one and still run; None where there is no /proc."""
    if not (_PROC / "self" / "stat").exists():
        return None
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # It has just ended.
                fields = (_PROC / entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                parents[int(entry)] = int(fields[_PARENT])
                ticks[int(entry)] = int(fields[_USER]) + int(fields[_SYSTEM])
    found, generation = 0, {os.getpid()}
    while generation:
        generation = {process for process, parent in parents.items() if parent in generation}
        found += sum(ticks[process] for process in generation)
    return found / os.sysconf("SC_CLK_TCK")
