"""The tables of ``dadc bench --json`` as panels: rates and their ratio to the transport's over the number of copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import CorruptStateError
from dadc_net.experiment.sweep.figure import Line, Panel

Row = Mapping[str, Any]
"""One line of a table: K, E, and the rates of each round."""


def read_tables(paths: Sequence[Path]) -> list[Row]:
    """The lines of all tables; empty if one of the files is none, which is for others to read then.

    Raises:
        CorruptStateError: if a file begins as a table and is not whole.
    """
    rows: list[Row] = []
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
        last = text.splitlines()[-1] if text else ""  # A screen that was kept has lines of text before it.
        if not last.startswith('{"bench":'):
            return []
        try:
            rows += json.loads(last)["bench"]
        except ValueError as error:
            raise CorruptStateError(
                f"{path} begins as a table of dadc bench --json and is not whole: {error}. It was not drawn. Measure again."
            ) from error
    return rows


def bench_panels(rows: Sequence[Row]) -> list[Panel]:
    """Lock-steps per second, environment steps per second, and the ratio to the raw loop; one line for each K."""
    agents = sorted({row["num_agents"] for row in rows})
    shown: dict[str, Callable[[Row], NDArray[np.float64]]] = {
        "lock-steps per second": lambda row: np.array(row["full_rounds"]),
        "environment steps per second": lambda row: np.array(row["full_rounds"]) * row["num_envs"],
        "share of the raw loop's rate": lambda row: np.array(row["full_rounds"]) / np.array(row["raw_rounds"]),
    }
    return [
        Panel(
            name=quantity,
            lines=tuple(_line(k, [row for row in rows if row["num_agents"] == k], rates) for k in agents),
            optimum=None,
            round_robin=None,
            quantity=quantity,
            axis="copies of the environment",
        )
        for quantity, rates in shown.items()
    ]


def _line(agents: int, rows: Sequence[Row], rates: Callable[[Row], NDArray[np.float64]]) -> Line:
    ordered = sorted(rows, key=lambda row: int(row["num_envs"]))
    quartiles = np.stack([np.percentile(rates(row), [25, 50, 75]) for row in ordered], axis=1)
    copies = np.array([row["num_envs"] for row in ordered], dtype=np.float64)
    return Line(f"K = {agents}", len(ordered[0]["full_rounds"]), copies, quartiles, "rounds")
