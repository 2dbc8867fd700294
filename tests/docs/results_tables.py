"""Tables that pages have from committed results of sweeps and of ``dadc bench``.

They stand between ``<!-- table of FILE -->`` and ``<!-- end of table -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.experiment.bench_figure import read_tables
from dadc_net.experiment.sweep.collection import read_results
from dadc_net.experiment.sweep.summary import Quartiles, summarise
from tests.docs.console import ROOT

_PLACE = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_HEAD = (
    *("problem", "structure", "algorithm", "V*", "random", "best constant", "value", "of random to V*"),
    *("of constant to V*", "seeds", "steps", "CPU s"),
)
_BENCH_HEAD = (
    *("agents", "copies", "lock-steps/s", "raw loop", "ratio of rates [least, most]"),
    *("CPU ms", "raw loop, CPU ms", "its share", "env steps/s", "start, s"),
)
_DIGITS = 3


def with_tables(text: str) -> str:
    """The page with its tables as the results say them now."""
    return _PLACE.sub(lambda found: f"{found[1]}{table(ROOT / found[2])}\n{found[3]}", text)


def table(path: Path) -> str:
    """One row for each curve of a collection of results, or for each of a table of ``dadc bench``."""
    measured = read_tables([path])
    return _bench_table(measured) if measured else _curves_table(path)


def _bench_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [_row(_BENCH_HEAD), _row(("---",) * len(_BENCH_HEAD))]
    for row in rows:
        ratios = sorted(full / raw for full, raw in zip(row["full_rounds"], row["raw_rounds"], strict=True))
        costs = ((row["cpu_full"], 1e3), (row["cpu_raw"], 1e3), (row["cpu_ratio"], 1.0))
        lines.append(
            _row(
                (
                    *(str(row["num_agents"]), str(row["num_envs"])),
                    *(f"{row['full']:.0f}", f"{row['raw']:.0f}"),
                    f"{row['ratio']:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]",
                    *("-" if value is None else f"{unit * value:.2f}" for value, unit in costs),
                    *(f"{row['env_steps']:,.0f}", f"{row['start_s']:.1f}"),
                )
            )
        )
    return "\n".join(lines)


def _curves_table(path: Path) -> str:
    curves = {curve["curve"]: curve for curve in json.loads(path.read_text(encoding="utf-8"))["curves"]}
    lines = [_row(_HEAD), _row(("---",) * len(_HEAD))]
    for found in summarise(read_results([path])):
        curve = curves[found.curve]
        known = (found.optimum, curve["random"], curve["best_constant"])
        lines.append(
            _row(
                (
                    *(found.panel, _structure(curve["configuration"]), f"`{curve['algorithm']}`"),
                    *("-" if value is None else f"{value:.{_DIGITS}f}" for value in known),
                    *(_shown(found.value, 1.0, _DIGITS), _shown(found.normalised_gap, 100.0, 1, " %")),
                    *(_shown(found.blind_gap, 100.0, 0, " %"), str(found.seeds), f"{found.env_steps:,}"),
                    _shown(found.cpu_s, 1.0, 0),
                )
            )
        )
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _structure(configuration: Mapping[str, Any]) -> str:
    """The structure and its numbers, and the horizon where there is one."""
    structure = configuration["structure"]
    numbers = "".join(f", {key.replace('_', ' ')} {value}" for key, value in structure.items() if key != "name" and value)
    horizon = configuration["env"].get("horizon", 0)
    return f"{structure['name']}{numbers}" + (f"; {horizon} decisions" if horizon else "")


def _shown(found: Quartiles | None, factor: float, digits: int, unit: str = "") -> str:
    """Median and, where they differ, quartiles."""
    if found is None:
        return "-"
    first, median, third = (f"{factor * value:.{digits}f}" for value in (found.first, found.median, found.third))
    return f"{median}{unit}" + ("" if first == third else f" [{first}, {third}]")
