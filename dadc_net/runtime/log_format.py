"""How a process's log is written: lines for people, or a JSON object a line; and from which level on.

Both stand in environment variables, which a launcher's children inherit: DADC_LOG_FORMAT and DADC_LOG_LEVEL.
"""

from __future__ import annotations

import json
import logging
import os
import time

from dadc_net.errors import UsageError

FORMAT_VARIABLE, LEVEL_VARIABLE = "DADC_LOG_FORMAT", "DADC_LOG_LEVEL"
FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, process, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """As of the base class."""
        milliseconds = f".{int(record.msecs):03d}Z"
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + milliseconds,
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def formatter() -> logging.Formatter:
    """The one that was chosen. Raises UsageError for a format that there is not."""
    if _chosen(FORMAT_VARIABLE, FORMATS, "text") == "json":
        made = JsonFormatter()
        made.converter = time.gmtime
        return made
    return logging.Formatter("%(asctime)s %(levelname)s %(message)s")


def level() -> int:
    """The least that is written. Raises UsageError for a level that there is not."""
    return logging.getLevelNamesMapping()[_chosen(LEVEL_VARIABLE, LEVELS, "info").upper()]


def _chosen(variable: str, known: tuple[str, ...], default: str) -> str:
    chosen = os.environ.get(variable) or default
    if chosen not in known:
        raise UsageError(f"{variable} is {chosen!r}, but must be one of {', '.join(known)}. Correct or unset it.")
    return chosen
