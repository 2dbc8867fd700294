"""The results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.peers.order import BUDGETS, LIBRARY, OURS, OWN, ROUNDS, SPEEDS, YARDSTICK

_LEVELS = ("0.95", "0.98", "0.99")


def markdown(found: Mapping[str, Any]) -> str:
    """All tables of what was found, by the names of the runs."""
    return "\n".join([*_learning(found), "", *_against(found), "", *_speeds(found), ""])


def _learning(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "Medians over the runs. To a level: CPU s, wall s and environment steps until the greedy rule was first that much",
        "of the way from the random coordinator to the optimum, of the runs that got there; gap: of the last rule, in per",
        "cent of |V*|.",
        "",
        "| problem, contender | steps, runs | steps per CPU s | to 95 % | to 98 % | to 99 % | gap |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for problem, contender in BUDGETS:
        runs = _runs(found, problem, contender)
        if runs:
            levels = [_level([run["levels"][level] for run in runs]) for level in _LEVELS]
            speed = statistics.median(run["env_steps"] / run["cpu_s"] for run in runs)
            gap = statistics.median(run["gap"] for run in runs)
            cells = [f"{problem}, {contender}", f"{runs[0]['env_steps']:,}, {len(runs)}", f"{speed:,.0f}", *levels]
            lines.append("| " + " | ".join([*cells, f"{100 * gap:.1f} %"]) + " |")
    return lines


def _level(reached: Sequence[Mapping[str, float] | None]) -> str:
    """CPU s, wall s and steps; how many runs got there, unless all did."""
    there = [one for one in reached if one is not None]
    if not there:
        return "not reached"
    cpu, wall, steps = (statistics.median(one[key] for one in there) for key in ("cpu_s", "wall_s", "env_steps"))
    some = "" if len(there) == len(reached) else f" ({len(there)} of {len(reached)})"
    return f"{_seconds(cpu)}, {_seconds(wall)}, {steps:,.0f}{some}"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 1.0 else f"{value:.2f}"


def _runs(found: Mapping[str, Any], problem: str, contender: str) -> list[Mapping[str, Any]]:
    return [run for name, run in found.items() if name.startswith(f"learn / {problem} / {contender} /")]


def _cpu(runs: Sequence[Mapping[str, Any]], level: str) -> list[float]:
    """CPU seconds to a level, of the runs that got there."""
    return [run["levels"][level]["cpu_s"] for run in runs if run["levels"][level] is not None]


def _against(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "CPU seconds to each level that a contender of another library reached (median of its runs that got there) beside",
        "those of the quickest contender of this package there, of whose runs each got there.",
        "",
        "| problem, contender | level | CPU s | quickest here | CPU s | times |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for problem, contender in BUDGETS:
        for level in _LEVELS if contender.startswith(LIBRARY) else ():
            theirs = _cpu(_runs(found, problem, contender), level)
            if theirs:
                lines.append(_beside(found, problem, contender, level, statistics.median(theirs)))
    return lines


def _beside(found: Mapping[str, Any], problem: str, contender: str, level: str, theirs: float) -> str:
    own = []
    for where, name in BUDGETS:
        runs = _runs(found, problem, name) if where == problem and name.startswith(OWN) else []
        reached = _cpu(runs, level)
        if runs and len(reached) == len(runs):
            own.append((statistics.median(reached), name))
    cells = [f"{problem}, {contender}", f"{100 * float(level):.0f} %", _seconds(theirs)]
    if not own:
        return "| " + " | ".join([*cells, "none", "", ""]) + " |"
    least, name = min(own)
    return "| " + " | ".join([*cells, name, f"{least:.3f}", f"{theirs / least:.1f}"]) + " |"


def _speeds(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Multi-access broadcast, environment steps per CPU second, in turn; medians of {ROUNDS} rounds, and quartiles of",
        "their ratios.",
        "",
        f"| copies | {OURS} | {YARDSTICK} | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for run in SPEEDS:
        if run.name in found:
            own, other = found[run.name]["dadc"], found[run.name]["jax"]
            low, middle, high = statistics.quantiles([a / b for a, b in zip(own, other, strict=True)], n=4)
            texts = [f"{statistics.median(rates):,.0f}" for rates in (own, other)]
            lines.append(f"| {run.number} | {texts[0]} | {texts[1]} | {middle:.3f} [{low:.3f}, {high:.3f}] |")
    return lines
