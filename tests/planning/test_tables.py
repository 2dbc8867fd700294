"""The kept tables of plans: known values lie between the bounds, bounds keep the orders that must hold, the page says so."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.planning.table import page_rows, verdict

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "launch" / "results"
LESS_AND_MORE = [
    ("none", "delay2"),
    ("delay2", "delay1"),
    ("delay1", "periodic-a2"),
    ("periodic-a2", "full"),
    ("none", "control"),
    ("control", "delay1"),
]
Bounds = dict[str, dict[str, Any]]


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def rows(name: str) -> dict[tuple[str, int | None, float], Bounds]:
    found: defaultdict[tuple[str, int | None, float], Bounds] = defaultdict(dict)
    for cell in cells(name):
        found[cell["model"], cell["horizon"], cell["discount"]][cell["structure"]] = cell
    return found


@pytest.mark.parametrize("name", ["planning", "planning-files"])
def test_who_knows_more_is_not_bounded_below_who_knows_less(name: str) -> None:
    for key, by_structure in rows(name).items():
        for less, more in LESS_AND_MORE:
            if less in by_structure and more in by_structure:
                allowed = 1e-4 + 1e-6 * abs(by_structure[more]["upper"])
                assert by_structure[less]["lower"] <= by_structure[more]["upper"] + allowed, (key, less, more)


def test_no_known_value_is_missed_and_most_are_met() -> None:
    said = [cell["verdict"] for cell in cells("planning") if cell["verdict"]]
    assert "MISSED" not in said
    assert said.count("met") >= 0.95 * len(said)


def test_a_known_value_is_missed_only_by_more_than_it_is_known_to() -> None:
    found = {"model": "dec-tiger", "horizon": 10, "structure": "none", "known": 15.184, "lower": 15.184379, "upper": 15.459}
    assert verdict(found) == "contained"
    assert verdict(found | {"structure": "control"}) == "MISSED"
    assert verdict(found | {"lower": 15.1846}) == "MISSED"
    assert verdict(found | {"known": 15.184379, "upper": 15.18438}) == "met"


def test_the_page_has_the_tables_rows() -> None:
    page = (ROOT / "dadc_net" / "docs" / "planning.md").read_text(encoding="utf-8")
    for row in page_rows(cells("planning")):
        assert row in page
