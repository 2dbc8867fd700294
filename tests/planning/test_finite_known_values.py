"""Optimal values of the field's problems under every structure, from a program that shares no code with this one.

126 published values are among those that it met (Dec-Tiger, recycling robots, meeting grids, box pushing and fire fighting
without sharing: Oliehoek et al. and MADP; Q_BG is one-step delay, Q_POMDP full sharing).
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest

from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED

EXACTLY = Limits(gap=1e-9, memory_bytes=1 << 31, is_late=lambda: False)
COLUMNS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("no-sharing", {}),
    "control": ("control-sharing", {}),
    "delay2": ("delayed-sharing", {"delay_steps": 2}),
    "delay1": ("delayed-sharing", {"delay_steps": 1}),
    "periodic-a2": ("periodic-sharing", {"period_steps": 2}),
    "full": ("full-sharing", {}),
}
ORDER = tuple(COLUMNS)
TABLE: dict[tuple[str, int], tuple[float | None, ...]] = {
    ("dec-tiger", 2): (-4.0, -4.0, -4.0, -4.0, -4.0, 10.815),
    ("dec-tiger", 3): (5.190813, 5.190813, 5.190813, 8.815, 13.015488, 13.015488),
    ("dec-tiger", 4): (4.802755, 6.465092, 9.668657, 11.015488, 11.015487, 22.701124),
    ("dec-tiger", 5): (7.026451, 7.026451, 10.107011, 10.676063, 24.240193, 26.810325),
    ("dec-tiger", 6): (10.381625, 10.594535, 10.802847, 19.124571, 22.240193, 35.073970),
    ("recycling", 2): (7.0, 7.0, 7.0, 7.0, 7.0, 7.29),
    ("recycling", 3): (10.660125, 10.775, 10.660125, 10.775, 11.1225, 11.1225),
    ("recycling", 4): (13.38, 13.51625, 13.38, 13.51625, 13.61075, 14.069625),
    ("recycling", 5): (16.486, 16.805512, 16.486, 16.805512, 17.477946, 17.530856),
    ("recycling", 6): (19.5542, 19.807681, 19.5542, 19.807681, 20.075007, 20.694337),
    ("recycling", 10): (31.863889, 32.242580, 31.863889, 32.242580, 32.932047, 33.820805),
    ("broadcast-channel", 3): (2.99,) * 6,
    ("broadcast-channel", 4): (3.89,) * 6,
    ("broadcast-channel", 5): (4.79,) * 6,
    ("broadcast-channel", 10): (9.29,) * 6,
    ("meeting-grid", 2): (0.91, 0.91, 0.91, 0.91, 0.91, 0.9498),
    ("meeting-grid", 3): (1.550444, 1.555824, 1.550444, 1.555824, 1.576034, 1.629370),
    ("meeting-grid", 4): (2.241577, 2.249681, 2.241577, 2.250522, 2.283744, 2.353725),
    ("meeting-grid", 5): (2.970496, 2.980144, 2.970496, 2.980144, 3.024891, 3.104247),
    ("box-pushing", 2): (17.6, 17.6, 17.6, 17.6, None, 17.6),
    ("box-pushing", 3): (66.081, 66.081, 66.081, 66.081, None, 66.81),
    ("box-pushing", 4): (98.593613, 98.626418, 98.593613, 98.666918, None, 99.556298),
    ("meeting-corners", 3): (0.1332, 0.1332, 0.1332, 0.1332, None, 0.1332),
    ("meeting-corners", 4): (0.4329, 0.4329, 0.4329, 0.4329, None, 0.44586),
    ("meeting-corners", 5): (0.895656, 0.895656, None, 0.897109, None, 0.943907),
    ("fire-fighting", 2): (-4.383496, None, None, -4.383496, None, -4.382530),
    ("fire-fighting", 3): (-5.736969, None, None, -5.735973, None, -5.722851),
    ("fire-fighting", 4): (-6.578834, None, None, -6.565366, None, -6.518586),
    # Without sharing alone: published, and what good planners reach.
    ("dec-tiger", 8): (12.217263, None, None, None, None, None),
    ("dec-tiger", 9): (15.572437, None, None, None, None, None),
    ("dec-tiger", 10): (15.184, None, None, None, None, None),
    ("box-pushing", 5): (107.729851, None, None, None, None, None),
}
LONG = {
    ("dec-tiger", 6),
    ("meeting-grid", 4),
    ("meeting-grid", 5),
    ("meeting-corners", 5),
    ("fire-fighting", 3),
    ("fire-fighting", 4),
    ("box-pushing", 5),
    ("dec-tiger", 8),
    ("dec-tiger", 9),
}
OPEN = {("dec-tiger", 10)}
"""Too large to be closed in a test; ``table --known`` says how near the bounds come."""
ALLOWED = {"fire-fighting": 1e-3}
"""The table has six digits, one of them cut off instead of rounded. The field's file of fire fighting, which the table was
made from, holds rounded probabilities; ours are exact."""
CELLS = [
    (task, horizon, column)
    for (task, horizon), row in TABLE.items()
    for column, v in zip(ORDER, row, strict=True)
    if v is not None and (task, horizon) not in OPEN
]


@cache
def model(task: str) -> FiniteModel:
    return SHIPPED[task]()


def solved(task: str, column: str, horizon: int | None, discount: float = 1.0, gap: float = 1e-9) -> TeamPlan:
    name, parameters = COLUMNS[column]
    limits = Limits(gap=gap, memory_bytes=1 << 31, is_late=lambda: False)
    return plan_team(model(task), Sharing.from_record(name, parameters), horizon=horizon, discount=discount, limits=limits)


def check(task: str, horizon: int, column: str) -> None:
    known = TABLE[task, horizon][ORDER.index(column)]
    assert known is not None
    plan = solved(task, column, horizon)
    assert plan.upper - plan.lower < 1e-6 + 2 * plan.merging_error
    allowed = ALLOWED.get(task, 1.1e-6)
    assert plan.lower - allowed <= known <= plan.upper + allowed


@pytest.mark.parametrize(("task", "horizon", "column"), [cell for cell in CELLS if cell[:2] not in LONG])
def test_known_value(task: str, horizon: int, column: str) -> None:
    check(task, horizon, column)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("task", "horizon", "column"), [cell for cell in CELLS if cell[:2] in LONG])
def test_known_value_of_larger_problems(task: str, horizon: int, column: str) -> None:
    check(task, horizon, column)


@pytest.mark.parametrize(
    ("task", "column", "known"),
    [
        ("dec-tiger", "delay1", 32.772269),
        ("dec-tiger", "full", 59.817420),
        ("recycling", "delay1", 32.211392),
        ("recycling", "full", 33.847871),
    ],
)
def test_known_value_without_end(task: str, column: str, known: float) -> None:
    plan = solved(task, column, None, 0.9, gap=1e-4)
    assert plan.lower - 1e-6 <= known <= plan.upper + 1e-6
    assert plan.upper - plan.lower <= 1e-4 + plan.merging_error * 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("task", "column", "known"),
    [
        ("dec-tiger", "delay2", 18.338389),
        ("recycling", "delay2", 31.929128),
        ("broadcast-channel", "delay1", 9.271013),
        ("broadcast-channel", "full", 9.271013),
        ("broadcast-channel", "delay2", 9.271005),
        ("meeting-corners", "full", 5.947212),
    ],
)
def test_known_value_of_larger_problems_without_end(task: str, column: str, known: float) -> None:
    plan = solved(task, column, None, 0.9, gap=5e-3)
    assert plan.lower - 2e-5 <= known <= plan.upper + 2e-5


def test_a_memory_of_one_observation_is_far_below_control_sharing() -> None:
    sharing = Sharing.from_record("control-sharing", {"memory_steps": 0})
    plan = plan_team(model("dec-tiger"), sharing, horizon=3, discount=1.0, limits=EXACTLY)
    assert plan.lower == pytest.approx(-2.405, abs=1e-6)


@pytest.mark.parametrize("horizon", [2, 3, 4])
@pytest.mark.parametrize("task", ["dec-tiger", "recycling"])
def test_more_information_is_never_worth_less(task: str, horizon: int) -> None:
    def value(name: str, **parameters: object) -> float:
        sharing = Sharing.from_record(name, parameters)
        return plan_team(model(task), sharing, horizon=horizon, discount=1.0, limits=EXACTLY).lower

    chains = [
        ("no-sharing", {}),
        ("delayed-sharing", {"delay_steps": 3}),
        ("delayed-sharing", {"delay_steps": 2}),
        ("periodic-sharing", {"reading": "c"}),
        ("delayed-sharing", {"delay_steps": 1}),
        ("periodic-sharing", {}),
        ("full-sharing", {}),
    ]
    values = [value(name, **parameters) for name, parameters in chains]
    assert all(less <= more + 1e-8 for less, more in itertools.pairwise(values)), values
    none, delay1 = values[0], values[4]
    memory = [value("control-sharing", memory_steps=m) for m in (0, 1)] + [value("control-sharing"), delay1]
    assert all(less <= more + 1e-8 for less, more in itertools.pairwise(memory)), memory
    assert none <= memory[2] + 1e-8
    forgetful = [value("no-sharing", memory_steps=m) for m in (0, 1)] + [none]
    assert all(less <= more + 1e-8 for less, more in itertools.pairwise(forgetful)), forgetful


def test_merging_whole_memories_is_wrong_under_a_delay_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert solved("dec-tiger", "delay2", 5).lower == pytest.approx(10.107011, abs=1e-5)
    monkeypatch.setattr(TeamBeliefs, "_told_apart", lambda self, memories, agent: memories * 0)
    # Another problem is solved then: a part of the merged memory that becomes common is not what was observed.
    assert abs(solved("dec-tiger", "delay2", 5).lower - 10.107011) > 0.1
