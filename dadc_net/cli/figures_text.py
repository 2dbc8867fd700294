"""Figures for people, short: bytes, rates, lengths of time, and parts of a line of which the least important go first."""

from __future__ import annotations

from collections.abc import Sequence

LINE_WIDTH = 80
"""Columns of a line where no terminal says how many it has."""
_UNITS = ("B", "kB", "MB", "GB")


def size_text(size: float) -> str:
    """Bytes."""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def rate_text(per_second: float) -> str:
    """A number per second; a slow one is not shown as 0."""
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.2f}"


def duration_text(seconds: float) -> str:
    """A length of time, in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def shortened(text: str, width: int) -> str:
    """``text``, without its middle where it is longer than ``width``."""
    if len(text) <= width:
        return text
    front = (width - 1) // 2
    return f"{text[:front]}~{text[len(text) - (width - 1 - front) :]}"


def fitting(parts: Sequence[tuple[int, str]], width: int) -> str:
    """Those of (rank, text), in their order, that fit a line of ``width``: the greatest ranks go first."""
    kept = [(rank, text) for rank, text in parts if text]
    while len(kept) > 1 and sum(len(text) + 2 for _, text in kept) - 2 > width:
        kept.remove(max(kept, key=lambda part: part[0]))
    return "  ".join(text for _, text in kept)
