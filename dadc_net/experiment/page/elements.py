"""Pieces of a page as HTML: text that is never taken for markup, tables, a curve, figures side by side on one scale."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
_LINES = 4
_MOST_POINTS = 400
_MOST_ROWS = 24
"""Of a table that is seen before somebody asks for it."""


def text(value: object) -> str:
    """``value`` as text: whatever it holds, no markup."""
    return html.escape(str(value), quote=True)


def figure(value: float, decimals: int = 4) -> str:
    """A figure at a length that can be read, however large or small it is."""
    if value and abs(value) < 10.0**-decimals:
        return f"{value:.2g}"
    return f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.4g}"


def section(title: str, body: str) -> str:
    """One card."""
    return f"<section><h3>{text(title)}</h3>{body}</section>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kinds: str = "", what: str = "rows") -> str:
    """A table of texts; one of many rows is folded away behind the number of ``what`` it is of.

    ``kinds``: a letter per column: ``n``, a number, stands to the right; ``s``, short, is not broken; ``l``, long, may be
    broken anywhere.
    """
    words = {"n": ' class="number"', "s": ' class="short"', "l": ' class="long"'}
    kind = [words.get(letter, "") for letter in kinds.ljust(len(head))]
    top = "".join(f"<th{kind[place]}>{text(cell)}</th>" for place, cell in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{kind[place]}>{text(cell)}</td>" for place, cell in enumerate(row)) + "</tr>" for row in rows
    )
    whole = f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    return whole if len(rows) <= _MOST_ROWS else folded(f"{len(rows)} {what}", whole)


def folded(summary: str, body: str) -> str:
    """What is seen when somebody asks for it."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def tracks(figures: Sequence[tuple[str, float, str]]) -> str:
    """Figures on one scale, each a dot on a line of its own: (name, value, class of the dot)."""
    low, high = min(value for _, value, _ in figures), max(value for _, value, _ in figures)
    width = high - low or 1.0
    rows = []
    for name, value, kind in figures:
        place = 2 + 96 * (value - low) / width
        rows.append(
            f'<span class="name">{text(name)}</span><span class="track"><i class="{text(kind)}" style="left:{place:.1f}%">'
            f'</i></span><span class="figure">{figure(value)}</span>'
        )
    # On a phone the line stands below its name and its figure.
    return f'<div class="tracks">{"".join(rows)}</div>'


@dataclass(frozen=True)
class Level:
    """A horizontal line beside a curve."""

    name: str
    value: float
    kind: str
    """Its class: how it looks."""


def plot(name: str, points: Sequence[Point], levels: Sequence[Level] = ()) -> str:
    """A curve over environment steps, with its scale as text beside it, so that it can be read at every width."""
    points = thinned(points)
    ys = [y for _, y in points] + [level.value for level in levels]
    low, high = min(ys), max(ys)
    margin = 0.06 * (high - low) or 0.06 * max(abs(high), 1.0)
    low, high = low - margin, high + margin
    end = points[-1][0] or 1.0

    def height(y: float) -> float:
        return 100.0 * (high - y) / (high - low)

    ticks = round_steps(low, high)
    grid = "".join(f'<line x1="0" x2="100" y1="{height(y):.2f}" y2="{height(y):.2f}"/>' for y in ticks)
    lines = "".join(
        f'<line class="{text(level.kind)}" x1="0" x2="100" y1="{height(level.value):.2f}" y2="{height(level.value):.2f}"/>'
        for level in levels
    )
    path = " ".join(f"{100.0 * x / end:.2f},{height(y):.2f}" for x, y in points)
    path, drawn = (path, "") if len(points) > 1 else (f"{path} {path}", ' class="dot"')
    scale = "".join(f'<span style="top:{height(y):.1f}%">{text(_short(y, ticks))}</span>' for y in ticks)
    legend = f"<span><b></b>{text(name)}</span>" + "".join(
        f'<span><b class="{text(level.kind)}"></b>{text(level.name)} {figure(level.value)}</span>' for level in levels
    )
    return (
        f'<div class="plot"><div class="scale">{scale}</div><svg viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'role="img" aria-label="{text(name)}">{grid}{lines}<polyline{drawn} points="{path}"/></svg>'
        f'<div class="steps"><span>0</span><span>{end:,.0f} environment steps</span></div></div>'
        f'<div class="legend">{legend}</div>'
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most some hundred points: where there are more, the means of stretches."""
    each = -(-len(points) // _MOST_POINTS)
    if each <= 1:
        return list(points)
    stretches = [points[start : start + each] for start in range(0, len(points), each)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in stretches]


def round_steps(low: float, high: float) -> list[float]:
    """Round numbers between ``low`` and ``high``, some four of them, as the marks of a scale."""
    rough = (high - low) / _LINES
    ten = 10.0 ** math.floor(math.log10(rough))
    step = next(ten * many for many in (1.0, 2.0, 5.0, 10.0) if ten * many >= rough)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float, marks: Sequence[float]) -> str:
    step = marks[1] - marks[0] if len(marks) > 1 else abs(value) or 1.0
    largest = max(map(abs, marks))
    if largest >= 1e6 or step < 1e-5:
        return f"{value:.3g}"  # There is room for some eight characters beside a curve.
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
