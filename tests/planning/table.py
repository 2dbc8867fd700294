"""The table of problems and information structures: bounds, and how soon they are within 1 % and 0.1 % of each other.

    python -m tests.planning.table [--seconds 4] [--out launch/results/planning] [FILE.dpomdp:HORIZON ...]
    python -m tests.planning.table --seconds 2 --out launch/results/planning-files --folder $DADC_DPOMDP_DIR
    python -m tests.planning.table --seconds 60 --out launch/results/planning-known --known

Without files, the models of the package at the horizons of ``test_finite_known_values``, whose values must lie between the
bounds. With a folder, all its files, at the horizons of ``FILES`` and without end; reading one is not part of its seconds.
With ``--known`` every known value, and whether it is met, contained between bounds that are apart, or missed.
Seconds are CPU seconds of one process, so that a machine which others use, too, gives the same table. Each cell is written
as soon as it is there; OUT.json holds all of them, OUT.md the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.finite_files import is_model_file, load_dpomdp
from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.test_finite_known_values import COLUMNS, ORDER, TABLE

Known = tuple[float | None, ...]
Row = tuple[Callable[[], FiniteModel], int | None, float, Known]
"""How to make the model, decisions, discount (1 without end: the model's own, or 0.9), known values by structure"""
ROWS: list[tuple[str, int | None, float]] = [
    *(("dec-tiger", h, 1.0) for h in (4, 5, 6)),
    *(("recycling", h, 1.0) for h in (5, 10)),
    ("broadcast-channel", 10, 1.0),
    ("box-pushing", 4, 1.0),
    ("meeting-corners", 4, 1.0),
    ("meeting-grid", 3, 1.0),
    ("fire-fighting", 3, 1.0),
    ("dec-tiger", None, 0.9),
    ("recycling", None, 0.9),
    ("box-pushing", None, 0.9),
    ("meeting-corners", None, 0.9),
    ("dec-tiger", 8, 1.0),
]
ENDLESS: dict[str, Known] = {
    "dec-tiger": (None, None, 18.338389, 32.772269, None, 59.817420),
    "recycling": (None, None, 31.929128, 32.211392, None, 33.847871),
    "broadcast-channel": (None, None, 9.271005, 9.271013, None, 9.271013),
    "box-pushing": (None,) * 6,
    "meeting-corners": (None, None, None, 5.841257, None, 5.947212),
}
PUBLISHED = {
    ("dec-tiger", 8, "none"): "1.7 s (RS-MAA*)",
    ("dec-tiger", None, "none"): "13.448 (FB-HSVI)",
    ("recycling", None, "none"): "31.929 (FB-HSVI)",
    ("box-pushing", None, "none"): "224.43 (FB-HSVI)",
}
FILES: dict[str, int] = {"dectiger": 5, "recycling": 5, "broadcastChannel": 5, "mabc": 5, "tiger": 5}
"""Decisions by file; 3 for all others."""
SHARES = {"to_1_percent": 0.01, "to_0.1_percent": 0.001}
_LONG_READING = 1.0
_DISCOUNT = 0.9
TOLERANCE = 2e-5
ROUNDED = 1e-3
"""Of fire fighting, whose known values come from a file with rounded probabilities."""
THREE_DIGITS = {("dec-tiger", 10, "none"): 5e-4}
"""Of values that are published with so many digits after the point."""


MET = 1e-4
"""Bounds no farther than this from a known value meet it; without end known values are known to 1e-5 themselves."""


def verdict(found: dict[str, Any]) -> str:
    """Whether a known value is met, lies between bounds that are apart, or does not."""
    place = found["model"], found["horizon"], found["structure"]
    value, allowed = found["known"], ROUNDED if found["model"] == "fire-fighting" else THREE_DIGITS.get(place, TOLERANCE)
    if not found["lower"] - allowed <= value <= found["upper"] + allowed:
        return "MISSED"
    apart = max(value - found["lower"], found["upper"] - value)
    return "met" if apart <= max(MET, allowed) else "contained"


def cell(model: FiniteModel, column: str, horizon: int | None, discount: float, seconds: float) -> dict[str, Any]:
    """Plan once and say when the bounds came how near."""
    name, parameters = COLUMNS[column]
    begun = time.process_time()
    reached: dict[str, float | None] = dict.fromkeys(SHARES)

    def spent() -> float:
        return time.process_time() - begun

    def look(lower: float, upper: float, beliefs: int) -> None:
        for share, part in SHARES.items():
            if reached[share] is None and upper - lower <= part * max(abs(lower), abs(upper)):
                reached[share] = round(spent(), 3)

    limits = Limits(gap=1e-9 if horizon else 1e-4, memory_bytes=1 << 30, is_late=lambda: spent() > seconds)
    sharing = Sharing.from_record(name, parameters)
    plan = plan_team(model, sharing, horizon=horizon, discount=discount, limits=limits, progress=look)
    look(plan.lower, plan.upper, plan.beliefs)
    about = {"model": model.name, "structure": column, "horizon": horizon, "discount": discount}
    bounds = {"lower": round(plan.lower, 6), "upper": round(plan.upper, 6), "beliefs": plan.beliefs}
    held = {"stopped": plan.stopped, "memory_mib": round(plan.bytes_held / 2**20, 1)}
    return {**about, **bounds, "seconds": round(spent(), 3), **reached, **held}


def files_in(folder: Path) -> list[str]:
    """FILE:HORIZON of all files in a folder and those below it."""
    found = sorted(path for path in folder.rglob("*") if is_model_file(path.name))
    if not found:
        raise SystemExit(f"the folder {folder} holds no .dpomdp files. They are other people's, and not part of this one.")
    return [f"{path}:{FILES.get(path.name.split('.')[0], 3)}" for path in found]


def line(found: dict[str, Any]) -> str:
    """One row of the table."""
    times = ["" if found[share] is None else f"{found[share]:.2f}" for share in SHARES]
    h = "endless" if found["horizon"] is None else found["horizon"]
    bounds = f"{found['lower']:.6f} | {found['upper']:.6f}"
    ended = "" if found["stopped"] == "gap" else found["stopped"]
    ended += f", {found['verdict']}" if ended and found["verdict"] else found["verdict"] or ""
    published = PUBLISHED.get((found["model"], found["horizon"], found["structure"]), "")
    known = "" if found["known"] is None else f"{found['known']:.6f}"
    return (
        f"| {found['model']} | {h} | {found['discount']} | {found['structure']} | {bounds} | {known} | {found['beliefs']} | "
        f"{times[0]} | {times[1]} | {found['seconds']:.2f} | {ended} | {published} |"
    )


HEAD = (
    "| model | h | discount | structure | lower | upper | known | beliefs | s to 1 % | s to 0.1 % | s | ended by, known "
    "value | published |"
)


def own_rows() -> list[Row]:
    """The models of the package."""
    return [(SHIPPED[t], h, d, ENDLESS[t] if h is None else TABLE.get((t, h), (None,) * 6)) for t, h, d in ROWS]


def known_rows() -> list[Row]:
    """All of which a value is known."""
    endless: list[Row] = [(SHIPPED[t], None, 0.9, values) for t, values in ENDLESS.items() if any(values)]
    return [*((SHIPPED[t], h, 1.0, values) for (t, h), values in TABLE.items()), *endless]


def file_rows(files: list[str]) -> list[Row]:
    """FILE:HORIZON, each with its horizon and without end."""
    rows: list[Row] = []
    read = cache(lambda path: load_dpomdp(Path(path)).model)
    for file in files:
        path, _, horizon = file.rpartition(":")
        rows += [(partial(read, path), h, 1.0, (None,) * 6) for h in (int(horizon), None)]
    return rows


def counted(cells: list[dict[str, Any]]) -> str:
    """How many known values are met, contained and missed."""
    said = Counter(found["verdict"] for found in cells if found["verdict"])
    return f"Known values: {said['met']} met, {said['contained']} between bounds that are apart, {said['MISSED']} missed."


NAMES = {
    ("dec-tiger", 6): "Dec-Tiger, 6 decisions",
    ("recycling", 10): "recycling robots, 10",
    ("box-pushing", 4): "box pushing, 4",
    ("meeting-corners", 4): "meeting in corners, 4",
    ("fire-fighting", 3): "fire fighting, 3",
    ("dec-tiger", None): "Dec-Tiger",
    ("recycling", None): "recycling robots",
    ("box-pushing", None): "box pushing",
    ("meeting-corners", None): "meeting in corners",
}


def page_rows(cells: list[dict[str, Any]]) -> list[str]:
    """The rows of the page on planning."""
    rows = []
    for (task, horizon), title in NAMES.items():
        said = []
        for found in (cell for cell in cells if (cell["model"], cell["horizon"]) == (task, horizon)):
            if horizon is not None:
                said.append(f"{0.5 * (found['lower'] + found['upper']):.4f} ({found['seconds']:.1f})")
                continue
            times = ", ".join("-" if found[share] is None else f"{found[share]:.1f}" for share in SHARES)
            said.append(f"{found['lower']:.4f} .. {found['upper']:.4f} ({times})")
        rows.append(f"| {title} | {' | '.join(said)} |")
    return rows


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU seconds of one cell")
    parser.add_argument("--out", type=Path)
    parser.add_argument("files", nargs="*", help="FILE:HORIZON")
    parser.add_argument("--known", action="store_true", help="every known value, and no other cell")
    parser.add_argument("--folder", type=Path, help="all .dpomdp files in it, plain or compressed")
    asked = parser.parse_args()
    if asked.folder is not None:
        asked.files += files_in(asked.folder)
    work = known_rows() if asked.known else file_rows(asked.files) if asked.files else own_rows()
    cells: list[dict[str, Any]] = []
    said_below: list[str] = []
    print(HEAD, flush=True)
    print("|" + " --- |" * (HEAD.count("|") - 1), flush=True)
    for make, h, discount, values in work:
        begun = time.process_time()
        try:
            model = make()
        except UsageError as error:
            if f"Refused: {error}" not in said_below:
                said_below.append(f"Refused: {error}")
                print(said_below[-1], flush=True)
            continue
        if h is None and discount >= 1.0:
            discount = model.discount if model.discount < 1.0 else _DISCOUNT
        read = time.process_time() - begun
        if read > _LONG_READING:
            said_below.append(f"Reading {model.name} takes {read:.1f} CPU seconds beside its cells'.")
        for column, value in zip(ORDER, values, strict=True):
            if asked.known and value is None:
                continue
            found = cell(model, column, h, discount, asked.seconds)
            found["known"] = value
            found["verdict"] = None if value is None else verdict(found)
            cells.append(found)
            print(line(found), flush=True)
            if asked.out is not None:
                below = [*said_below, counted(cells)] if any(found["verdict"] for found in cells) else said_below
                lines = [
                    HEAD,
                    "|" + " --- |" * (HEAD.count("|") - 1),
                    *map(line, cells),
                    *(f"\n{text}" for text in below),
                ]
                asked.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
                asked.out.with_suffix(".json").write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
