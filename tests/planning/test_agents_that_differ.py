"""Optimum values of a team whose agents differ, ordered as theory orders them: ``launch/examples/lookout.dpomdp``."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadc_net.finite_files import load_dpomdp
from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.sharing import Sharing
from tests.planning.test_finite_known_values import COLUMNS, EXACTLY

LOOKOUT = Path(__file__).parents[2] / "launch/examples/lookout.dpomdp"


def test_what_each_structure_is_worth_to_a_lookout_and_a_boatman() -> None:
    model = load_dpomdp(LOOKOUT).model
    assert [len(own) for own in model.actions] == [2, 3]
    assert [len(own) for own in model.observations] == [3, 2]

    def value(column: str) -> float:
        name, parameters = COLUMNS[column]
        return plan_team(model, Sharing.from_record(name, parameters), horizon=3, discount=1.0, limits=EXACTLY).lower

    # What the lookout does is a signal where actions are seen: control sharing is not ordered beside a delay of two steps.
    found = {column: value(column) for column in COLUMNS}
    known = {"none": 0.685, "delay2": 0.685, "control": 2.3775, "delay1": 2.3775, "periodic-a2": 3.7495, "full": 7.0}
    assert found == pytest.approx(known, abs=1e-6)
    assert list(known.values()) == sorted(known.values())
