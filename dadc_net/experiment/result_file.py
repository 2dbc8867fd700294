"""``result.json``: the report of a finished run as it is kept; ``experiment/report`` makes one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dadc_net import atomic_file
from dadc_net.errors import CorruptStateError

RESULT_NAME = "result.json"


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report in a run's folder; None before the run's end.

    Raises:
        CorruptStateError: if the file is none.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        return None
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
        values = [report.get(name) for name in ("value", "optimum", "gap")]
        if isinstance(report["learner_digest"], str) and all(isinstance(value, float | int | None) for value in values):
            return report
        raise ValueError("its values are no numbers, or its digest is none")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptStateError(
            f"{path} is no report of a run: {error}. Nothing was read from it. Remove it, and give the same command again: "
            "what was learned is in the agents' folders."
        ) from error


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Keep the report in the run's folder."""
    atomic_file.replace(folder / RESULT_NAME, (json.dumps(dict(report), indent=2) + "\n").encode("utf-8"))
