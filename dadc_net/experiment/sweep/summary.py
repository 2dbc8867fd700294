"""What a sweep found, curve by curve: medians and quartiles over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MEASURES = ("value", "gap", "round_robin_share", "normalised_gap", "cpu_s")


@dataclass(frozen=True)
class Quartiles:
    """Median and first and third quartile over seeds, between order statistics by linear interpolation."""

    first: float
    median: float
    third: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Quartiles | None:
        """None where a value is missing, or there is none."""
        known = [value for value in values if value is not None]
        if not known or len(known) != len(values):
            return None
        first, median, third = np.percentile(known, [25, 50, 75])
        return cls(float(first), float(median), float(third))


@dataclass(frozen=True)
class CurveSummary:
    """One curve."""

    curve: str
    panel: str
    seeds: int
    """Seeds that are finished."""
    env_steps: int
    optimum: float | None
    value: Quartiles | None
    gap: Quartiles | None
    """(V* - J) / |V*|"""
    round_robin_share: Quartiles | None
    """Share of the distance from blind round-robin to the optimum, where both exist."""
    normalised_gap: Quartiles | None
    """(V* - J) / (V* - V of the uniformly random coordinator)"""
    cpu_s: Quartiles | None
    """CPU seconds of the learning of one run, without valuation."""


def summarise(records: Sequence[Mapping[str, Any]]) -> list[CurveSummary]:
    """Summaries in the order in which the curves first occur."""
    by_curve: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_curve.setdefault(record["curve"], []).append(record)
    return [_summary(name, found) for name, found in by_curve.items()]


def _summary(name: str, records: Sequence[Mapping[str, Any]]) -> CurveSummary:
    first = records[0]
    measures = {measure: Quartiles.of([record[measure] for record in records]) for measure in MEASURES}
    return CurveSummary(name, first["panel"], len(records), first["env_steps"], first["optimum"], **measures)


def table(summaries: Sequence[CurveSummary], wanted: Mapping[str, int]) -> str:
    """The summaries as a table; ``wanted``: curve -> how many seeds it should have."""
    head = ("curve", "seeds", "env steps", "value", "gap %", "round-robin to V* %", "normalised gap %", "CPU s")
    rows: list[tuple[str, ...]] = [head]
    for found in summaries:
        seeds = f"{found.seeds}/{wanted[found.curve]}" if found.curve in wanted else str(found.seeds)
        rows.append(
            (
                found.curve,
                seeds,
                f"{found.env_steps:,}",
                _shown(found.value, 1.0, 4),
                _shown(found.gap, 100.0, 2),
                _shown(found.round_robin_share, 100.0, 0),
                _shown(found.normalised_gap, 100.0, 2),
                _shown(found.cpu_s, 1.0, 1, spread=False),
            )
        )
    begun = {found.curve for found in summaries}
    rows += [(name, f"0/{count}", *[""] * 6) for name, count in wanted.items() if name not in begun]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\nmedian [first quartile, third quartile] over seeds"


def _shown(found: Quartiles | None, factor: float, digits: int, spread: bool = True) -> str:
    if found is None:
        return "-"
    first, median, third = (f"{factor * value:.{digits}f}" for value in (found.first, found.median, found.third))
    return f"{median} [{first}, {third}]" if spread else median
