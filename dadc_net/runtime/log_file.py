"""A party's log: ``log.txt`` in its folder, with room for so much and no more, and for each agent only its share.

Whoever has a listed key can make its server write lines: it joins, leaves, says nonsense. Its lines are counted, and what
is more than its share is left out, with a word of how many; what others say keeps its place. Four files of a few MiB are
kept, the newest in ``log.txt``.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from dadc_net.runtime import log_format

LOG_NAME = "log.txt"
_FILE_BYTES, _OLD_FILES = 4 * 2**20, 3
BURST, PER_SECOND = 40.0, 0.1
"""Lines of one agent: at once, and per second."""


def about(agent: int | None) -> dict[str, Any]:
    """For ``extra`` of a line that ``agent`` has caused; None: a party without a key."""
    return {"caused_by": 0 if agent is None else agent}


def log_to_file(folder: Path) -> None:
    """Send this process's log to ``log.txt`` in its folder. Raises UsageError for a format or level that there is not."""
    handler = _LogFile(folder / LOG_NAME, maxBytes=_FILE_BYTES, backupCount=_OLD_FILES, encoding="utf-8")
    handler.setFormatter(log_format.formatter())
    handler.addFilter(Shares())
    root = logging.getLogger("dadc_net")
    root.handlers = [handler]
    root.setLevel(log_format.level())
    root.propagate = False


class _LogFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk takes lines, not runs, and is no reason to print tracebacks."""


@dataclass
class _Share:
    credit: float
    stamp: float
    left_out: int = 0


class Shares(logging.Filter):
    """Leaves out the lines of an agent that has had its share."""

    def __init__(self) -> None:
        super().__init__()
        self._shares: dict[int, _Share] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is written; what was left out before it is said in it."""
        agent = getattr(record, "caused_by", None)
        if agent is None:
            return True
        now = time.monotonic()
        share = self._shares.setdefault(agent, _Share(BURST, now))
        share.credit = min(BURST, share.credit + (now - share.stamp) * PER_SECOND)
        share.stamp = now
        if share.credit < 1.0:
            share.left_out += 1
            return False
        share.credit -= 1.0
        if share.left_out:
            record.msg = f"{record.getMessage()} (after {share.left_out} more lines because of it, which were left out)"
            record.args, share.left_out = None, 0
        return True
