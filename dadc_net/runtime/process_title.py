"""What ``ps`` and ``top`` call a process that was forked: its party instead of the fork server's command line.

Linux shows the memory in which the command line was handed over; it is written over, within its length. Elsewhere, and where
that memory is not told, the name stays as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

_SET_NAME = 15
"""PR_SET_NAME of prctl(2): at most 15 characters."""
_FIRST, _LAST = 47, 48
"""Places of arg_start and arg_end in /proc/PID/stat, from 0 (proc(5))."""


def name_process(title: str) -> None:
    """Call this process ``title``."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        # The second field is a name in brackets, which may hold anything.
        fields = ["", "", *text.rpartition(")")[2].split()]
        first, last = int(fields[_FIRST]), int(fields[_LAST])
        if 0 < first < last:
            room = last - first
            ctypes.memmove(first, title.encode("utf-8")[: room - 1].ljust(room, b"\0"), room)
        ctypes.CDLL(None).prctl(_SET_NAME, title.encode("utf-8")[:15], 0, 0, 0)
