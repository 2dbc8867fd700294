"""Files of one JSON object a line that a party appends to, and that are read back from folders which may be anybody's.

A line is one unbuffered write. What a kill or a full disk has cut is ended before the next line, so that only the cut one is
lost; a disk that refuses takes lines and no run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_log = logging.getLogger(__name__)


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in ``path``, none where it is no file; a line that is no object is left out. Raises OSError."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for raw in file:
            try:
                line = json.loads(raw)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict):
                yield line


class JsonLinesFile:
    """Such a file, to append to."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._file: BinaryIO | None = None
        self._cut = False
        """Whether the file ends within a line."""
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed by close
            if self._file.tell():
                self._file.seek(-1, 2)
                self._cut = self._file.read(1) != b"\n"
        except OSError as error:
            self.warn(error)

    @property
    def size(self) -> int:
        """Bytes; 0 where it could not be opened."""
        return 0 if self._file is None else self._file.tell()

    def write(self, line: Mapping[str, Any]) -> None:
        """Append ``line``."""
        if self._file is None:
            return
        raw = (b"\n" if self._cut else b"") + json.dumps(line).encode("utf-8") + b"\n"
        try:
            self._cut = self._file.write(raw) != len(raw)
        except OSError as error:
            self._cut = True
            self.warn(error)

    def close(self) -> None:
        """Close the file; nothing is written any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def warn(self, error: OSError) -> None:
        """Log that lines are missing."""
        _log.warning("%s cannot be written: %s", self._name, error.strerror)
