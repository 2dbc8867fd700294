"""metrics.jsonl in a run's folder: one JSON object per evaluation, in the order of updates."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

METRICS_NAME = "metrics.jsonl"


class MetricsFile:
    """Appends lines, also to those of a run that is resumed; each has been handed to the operating
    system when ``write`` returns."""

    def __init__(self, folder: Path) -> None:
        self._file: TextIO = open(folder / METRICS_NAME, "a", encoding="utf-8")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, **fields: Any) -> None:
        """One line."""
        self._file.write(json.dumps(fields) + "\n")
        self._file.flush()
