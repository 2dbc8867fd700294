"""The table of problems and information structures: bounds, and how soon they are within 1 % and 0.1 % of each other.

    python -m tests.planning.table [--seconds 4] [--out launch/results/planning] [FILE.dpomdp:HORIZON ...]
    python -m tests.planning.table --seconds 4 --out launch/results/planning-files --folder $DADC_DPOMDP_DIR

Without files, the models of the package at the horizons of ``test_finite_known_values``, whose values must lie between the
bounds. With a folder, all its files, at the horizons of ``FILES``; reading one is not part of its seconds.
Seconds are CPU seconds of one process, so that a machine which others use, too, gives the same table. Each cell is written
as soon as it is there; OUT.json holds all of them, OUT.md the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.finite_files import is_model_file, load_dpomdp
from dadc_net.planning.finite.plan import Limits, plan_team
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.test_finite_known_values import COLUMNS, ORDER, TABLE

Known = tuple[float | None, ...]
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
TOLERANCE = 2e-5
ROUNDED = 1e-3
"""Of fire fighting, whose known values come from a file with rounded probabilities."""


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
    published = PUBLISHED.get((found["model"], found["horizon"], found["structure"]), "")
    known = "" if found["known"] is None else f"{found['known']:.6f}"
    return (
        f"| {found['model']} | {h} | {found['discount']} | {found['structure']} | {bounds} | {known} | {found['beliefs']} | "
        f"{times[0]} | {times[1]} | {found['seconds']:.2f} | {ended} | {published} |"
    )


HEAD = (
    "| model | h | discount | structure | lower | upper | known | beliefs | s to 1 % | s to 0.1 % | s | stopped by | "
    "published |"
)


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU seconds of one cell")
    parser.add_argument("--out", type=Path)
    parser.add_argument("files", nargs="*", help="FILE:HORIZON")
    parser.add_argument("--folder", type=Path, help="all .dpomdp files in it, plain or compressed")
    asked = parser.parse_args()
    if asked.folder is not None:
        asked.files += files_in(asked.folder)
    work: list[tuple[Callable[[], FiniteModel], int | None, float, Known]] = []
    for task, h, discount in ROWS if not asked.files else []:
        work.append((SHIPPED[task], h, discount, ENDLESS[task] if h is None else TABLE.get((task, h), (None,) * 6)))
    for file in asked.files:
        path, _, horizon = file.rpartition(":")
        work.append((lambda path=path: load_dpomdp(Path(path)).model, int(horizon), 1.0, (None,) * 6))  # type: ignore[misc]
    cells: list[dict[str, Any]] = []
    said_below: list[str] = []
    print(HEAD, flush=True)
    print("|" + " --- |" * (HEAD.count("|") - 1), flush=True)
    for make, h, discount, values in work:
        begun = time.process_time()
        try:
            model = make()
        except UsageError as error:
            said_below.append(f"Refused: {error}")
            print(said_below[-1], flush=True)
            continue
        read = time.process_time() - begun
        if read > _LONG_READING:
            said_below.append(f"Reading {model.name} takes {read:.1f} CPU seconds beside its cells'.")
        for column, value in zip(ORDER, values, strict=True):
            found = cell(model, column, h, discount, asked.seconds)
            found["known"] = value
            allowed = ROUNDED if model.name == "fire-fighting" else TOLERANCE
            if value is not None and not found["lower"] - allowed <= value <= found["upper"] + allowed:
                found["stopped"] += ", KNOWN VALUE NOT BETWEEN"
            cells.append(found)
            print(line(found), flush=True)
            if asked.out is not None:
                lines = [
                    HEAD,
                    "|" + " --- |" * (HEAD.count("|") - 1),
                    *map(line, cells),
                    *(f"\n{text}" for text in said_below),
                ]
                asked.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
                asked.out.with_suffix(".json").write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
