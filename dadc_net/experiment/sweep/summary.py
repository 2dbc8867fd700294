"""What a sweep found, curve by curve: medians and quartiles over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MEASURES = ("value", "gap", "round_robin_share", "normalised_gap", "blind_gap", "cpu_s")
_HEAD = (
    *("curve", "seeds", "env steps", "value", "gap %", "round-robin to V* %"),
    *("of random to V* %", "of blind to V* %", "CPU s"),
)
_LEGEND = (
    "median [first quartile, third quartile] over seeds\n"
    "of random, of blind: what is left of the way to V* from the random coordinator, from the best constant prescription"
)


@dataclass(frozen=True, kw_only=True)
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
        return cls(first=float(first), median=float(median), third=float(third))


@dataclass(frozen=True, kw_only=True)
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
    blind_gap: Quartiles | None
    """(V* - J) / (V* - V of the best constant prescription): 1 is no better than blind"""
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
    measures = {measure: Quartiles.of([_measure(record, measure) for record in records]) for measure in MEASURES}
    return CurveSummary(
        curve=name,
        panel=first["panel"],
        seeds=len(records),
        env_steps=first["env_steps"],
        optimum=first["optimum"],
        **measures,
    )


def _measure(record: Mapping[str, Any], measure: str) -> float | None:
    if measure == "blind_gap":
        share = record.get("best_constant_share")  # Younger than the first results that are kept.
        return None if share is None else 1.0 - share
    found: float | None = record[measure]
    return found


def table(summaries: Sequence[CurveSummary], wanted: Mapping[str, int]) -> str:
    """The summaries as a table; ``wanted``: curve -> how many seeds it should have."""
    rows: list[tuple[str, ...]] = [_HEAD]
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
                _shown(found.blind_gap, 100.0, 1),
                _shown(found.cpu_s, 1.0, 1, spread=False),
            )
        )
    begun = {found.curve for found in summaries}
    rows += [(name, f"0/{count}", *[""] * 7) for name, count in wanted.items() if name not in begun]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n" + _LEGEND


def _shown(found: Quartiles | None, factor: float, digits: int, spread: bool = True) -> str:
    if found is None:
        return "-"
    first, median, third = (f"{factor * value:.{digits}f}" for value in (found.first, found.median, found.third))
    return f"{median} [{first}, {third}]" if spread else median
