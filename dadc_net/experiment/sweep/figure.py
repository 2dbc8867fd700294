"""Figure 2 of the paper: learning curves as median and quartiles over seeds, one panel per problem, beside the optimum.

What is drawn is computed here as plain numbers; matplotlib, which is an extra, is imported only to draw it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError

FORMATS = (".png", ".svg", ".pdf")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f4f24", "#000000")
"""After Okabe and Ito: told apart by colour-blind readers too."""
_SAME = 1e-9
_MOST_IN_A_ROW = 4


@dataclass(frozen=True)
class Line:
    """One curve. Axis letter: N points."""

    label: str
    seeds: int
    env_steps: NDArray[np.float64]
    """[N]"""
    quartiles: NDArray[np.float64]
    """[3, N] first quartile, median, third quartile"""
    counted: str = "seeds"
    """What ``seeds`` counts."""


RETURN = "discounted return of the greedy rule"
"""What the curves of sweeps show."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One problem."""

    name: str
    lines: tuple[Line, ...]
    optimum: float | None
    round_robin: float | None
    best_constant: float | None = None
    """Of the prescriptions that look at nothing; None where it is not known exactly."""
    quantity: str
    """What the curves show."""
    axis: str = "environment steps"
    """What ``env_steps`` of the lines are."""


def _quantity(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What the records say that they show."""
    told = {record["quantity"] for records in curves.values() for record in records if "quantity" in record}
    return ", ".join(sorted(told)) or RETURN


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """What to draw, in the order in which panels and curves first occur.

    Raises:
        UsageError: if a panel would show problems with different optima.
    """
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for record in records:
        found.setdefault(record["panel"], {}).setdefault(record["curve"], []).append(record)
    return [
        Panel(
            name=name,
            lines=tuple(map(_line, curves.values())),
            optimum=_only(name, curves, "optimum"),
            round_robin=_only(name, curves, "round_robin"),
            best_constant=_agreed(curves, "best_constant"),
            quantity=_quantity(curves),
        )
        for name, curves in found.items()
    ]


def _line(records: Sequence[Mapping[str, Any]]) -> Line:
    """Quartiles over seeds at the env steps of the first seed; others are read off their own curves."""
    steps = np.array(records[0]["learning"]["env_steps"], dtype=np.float64)
    values = [np.interp(steps, r["learning"]["env_steps"], r["learning"]["value"]) for r in records]
    return Line(records[0]["label"], len(records), steps, np.percentile(np.stack(values), [25, 50, 75], axis=0))


def _only(panel: str, curves: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> float | None:
    """The middle of what all records have in common: each knows its value up to a residual, if it says one."""
    told = [record for records in curves.values() for record in records if record[key] is not None]
    if not told:
        return None
    residuals = [record.get(f"{key}_residual") or 0.0 for record in told]
    known = [float(record[key]) for record in told]
    low = max(value - residual for value, residual in zip(known, residuals, strict=True))
    high = min(value + residual for value, residual in zip(known, residuals, strict=True))
    if low - high > _SAME:
        raise UsageError(
            f"the panel {panel!r} would show problems whose {key.replace('_', ' ')} differs: {min(known):.6f} and "
            f"{max(known):.6f}. Curves of one panel belong to one problem. Give those curves a panel of their own."
        )
    return 0.5 * (low + high)


def _agreed(curves: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> float | None:
    """What all records say; None where they differ, as means of returns do, or where one says nothing."""
    told = [record.get(key) for records in curves.values() for record in records]
    known = [value for value in told if value is not None]
    return float(min(known)) if len(known) == len(told) and max(known) - min(known) <= _SAME else None


def limits(panel: Panel) -> tuple[float, float]:
    """Lowest and highest value to show. A rule that has learned nothing may be worth so little that beside it all curves
    would lie in one line: the lowest twentieth of all points is left out; the lowest fifth where the best constant says how
    low is blind."""
    points = [line.quartiles[0, 1:] if len(line.env_steps) > 1 else line.quartiles[0] for line in panel.lines]
    low = np.quantile(np.concatenate(points), 0.05 if panel.best_constant is None else 0.2)
    known = [value for value in (panel.optimum, panel.round_robin, panel.best_constant) if value is not None]
    low, high = min([low, *known]), max([line.quartiles[2].max() for line in panel.lines] + known)
    margin = 0.05 * (high - low) or 0.1
    return float(low - margin), float(high + margin)


def draw(shown: Sequence[Panel], title: str, path: Path) -> None:
    """Draw the panels into ``path``; its ending says in which format.

    Raises:
        UsageError: for another ending, where the file cannot be written, or without matplotlib.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"the figure {path} ends with {path.suffix!r}. Its ending says in which format it is drawn. Give one of "
            f"{', '.join(FORMATS)}."
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            f"matplotlib cannot be imported: {error}. It draws the figures and is not installed by default. Install the "
            "extra plot: pip install 'dadc-net[plot]'."
        ) from error
    labels = list(dict.fromkeys(line.label for panel in shown for line in panel.lines))
    colours = {label: _COLOURS[i % len(_COLOURS)] for i, label in enumerate(labels)}
    rows, columns = grid(len(shown))
    figure = Figure(figsize=(6.4 * columns, 4.4 * rows), layout="constrained", dpi=120 if rows == 1 else 90)
    places = figure.subplots(rows, columns, squeeze=False).flat
    for panel, axes in zip(shown, places, strict=False):
        _draw_panel(axes, panel, colours)
    for axes in list(figure.axes)[len(shown) :]:
        axes.set_axis_off()
    if title:
        figure.suptitle(title)
    # Without a date, the same results give the same file.
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    try:
        figure.savefig(path, metadata=undated)
    except OSError as error:
        raise UsageError(
            f"the figure {path} cannot be written: {error.strerror}. Nothing was drawn. Give another -o."
        ) from error


def grid(count: int) -> tuple[int, int]:
    """Rows and columns of ``count`` panels: one row while a page is wide enough, then rows that are nearly full."""
    rows = -(-count // _MOST_IN_A_ROW)
    return rows, -(-count // rows)


def _draw_panel(axes: Any, panel: Panel, colours: Mapping[str, str]) -> None:
    from matplotlib.ticker import EngFormatter

    for line in panel.lines:
        first, median, third = line.quartiles
        colour = colours[line.label]
        axes.fill_between(line.env_steps, first, third, color=colour, alpha=0.2, linewidth=0)
        counted = line.counted.removesuffix("s") if line.seeds == 1 else line.counted
        axes.plot(line.env_steps, median, color=colour, linewidth=1.4, label=f"{line.label} ({line.seeds} {counted})")
    if panel.optimum is not None:
        axes.axhline(panel.optimum, color="black", linestyle="--", linewidth=1, label=f"optimum {panel.optimum:.4f}")
    if panel.round_robin is not None:
        label = f"blind round-robin {panel.round_robin:.4f}"
        axes.axhline(panel.round_robin, color="grey", linestyle=":", linewidth=1.2, label=label)
    if panel.best_constant is not None:
        label = f"best constant {panel.best_constant:.4f}"
        axes.axhline(panel.best_constant, color="grey", linestyle="-.", linewidth=1.2, label=label)
    axes.set_title(panel.name)
    axes.set_xlabel(panel.axis)
    axes.set_ylabel(panel.quantity)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.set_ylim(*limits(panel))
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(loc="lower right", fontsize=8, framealpha=0.85, edgecolor="none")
