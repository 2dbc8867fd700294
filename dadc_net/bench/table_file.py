"""The table of ``dadc bench`` as a file: written anew after each row, and gone on with by the same command."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dadc_net import __version__, atomic_file
from dadc_net.bench.lockstep import BenchResult, Effort, Row
from dadc_net.errors import UsageError
from dadc_net.exact import compiled
from dadc_net.runtime.host import kernels_allowed
from dadc_net.schema import differences

Cell = tuple[int, int]
"""Agents and copies."""


def terms_of(effort: Effort) -> dict[str, Any]:
    """What must be equal for two rows to stand in one table (JSON data)."""
    return {
        "version": __version__,
        **effort._asdict(),
        "kernels": kernels_allowed() and compiled.installed(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


class TableFile:
    """Rows by cell; with a path they are kept there."""

    def __init__(self, path: Path | None, terms: Mapping[str, Any]) -> None:
        """Takes over what the file holds already.

        Raises:
            UsageError: if it is another table's, or none.
        """
        self._path, self._terms = path, dict(terms)
        self._rows: dict[Cell, dict[str, Any]] = {}
        self._unmeasured: list[dict[str, Any]] = []
        if path is not None and path.exists():
            self._rows = {(row["num_agents"], row["num_envs"]): row for row in self._read(path)}

    def __contains__(self, cell: Cell) -> bool:
        """Whether the row is there."""
        return cell in self._rows

    def add(self, row: Row) -> None:
        """Take it up, and write the file anew. Raises OSError."""
        if isinstance(row, BenchResult):
            self._rows[row.num_agents, row.num_envs] = asdict(row)
        else:
            self._unmeasured.append(asdict(row))
        if self._path is not None:
            atomic_file.replace(self._path, (json.dumps(self.to_plain()) + "\n").encode("utf-8"))

    def to_plain(self) -> dict[str, Any]:
        """JSON data: the rows, in the order of agents and copies, those that there are not, and how all were measured."""
        rows = [self._rows[cell] for cell in sorted(self._rows)]
        return {"bench": rows, "unmeasured": self._unmeasured, "terms": self._terms}

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rows: list[dict[str, Any]] = found["bench"]
            terms = dict(found["terms"])
            if not all(isinstance(row["num_agents"], int) and isinstance(row["num_envs"], int) for row in rows):
                raise ValueError("its rows have no numbers of agents and copies")
        except (ValueError, LookupError, TypeError) as error:
            raise UsageError(
                f"{path} is no table of dadc bench. Nothing was measured, and it was left as it is. Name another file with "
                "--out, or remove it."
            ) from error
        differing = differences(terms, self._terms)
        if differing:
            raise UsageError(
                f"{path} holds a table that was measured otherwise: {differing}. Nothing was measured, and it was "
                "left as it is. Measure as then, or name another file with --out."
            )
        return rows
