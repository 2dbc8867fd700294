"""The harness that measures others: what it steps is the problem that is planned, and what it writes down is what happened.

None of this needs the others; what does stands in ``test_peers_installed``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.experiment.baselines import ConstantRule
from dadc_net.planning.evaluation import Estimate, mean_estimate
from tests.bench.peers import course
from tests.bench.peers.course import LOOKS, Course
from tests.bench.peers.order import BUDGETS, LIBRARY, OWN, RUNS, SPEEDS, YARDSTICK
from tests.bench.peers.problems import Copies, Problem
from tests.bench.peers.table import markdown


@pytest.fixture(scope="module")
def mabc() -> Problem:
    return Problem("mabc")


def _returns(problem: Problem, entry: int, copies: int = 3000, steps: int = 110) -> Estimate:
    """Of the constant rule, by playing it."""
    played, discount = Copies(problem, copies, seed=5), problem.config.settings.discount
    played.begin()
    total = np.zeros(copies)
    for step in range(steps):
        _, rewards, _ = played.advance(np.full(copies, entry))
        total += discount**step * rewards
    return mean_estimate(total)


def test_what_is_stepped_is_what_is_planned(mabc: Problem) -> None:
    """Returns of playing are the value that the planner gives the same rule, and not that of another rule."""
    value = {entry: mabc.value(ConstantRule(np.array([entry])), 2000).value for entry in (0, 1, 2)}
    for entry, other in ((0, 1), (1, 2), (2, 0)):
        played = _returns(mabc, entry)
        assert abs(played.value - value[entry]) < 4.0 * played.stderr
        assert abs(played.value - value[other]) > 8.0 * played.stderr


def test_an_episode_is_cut_and_begins_again(mabc: Problem) -> None:
    copies = Copies(mabc, 3, seed=1)
    first = copies.begin()
    lasts = [copies.advance(np.zeros(3, dtype=np.int64))[2] for _ in range(300)]
    assert lasts == [False] * 299 + [True]
    np.testing.assert_array_equal(copies.begin(), first)


class _Rule:
    """A rule that has learned for so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


def _values(monkeypatch: pytest.MonkeyPatch, problem: Problem, shares: dict[int, float]) -> None:
    """Rules are worth what the table says for the steps they have learned; looking at one takes a thousand seconds."""
    now = iter(range(10**6))

    def value(rule: Any, trajectories: int) -> Estimate:
        for _ in range(1000):
            next(now)
        random = problem.plan.random
        assert random is not None
        return Estimate(random + shares[rule.steps] * (problem.plan.value - random), 0.0)

    monkeypatch.setattr(problem, "value", value)
    monkeypatch.setattr(course.time, "process_time", lambda: float(next(now)))
    monkeypatch.setattr(course.time, "monotonic", lambda: float(next(now)))


def test_levels_are_the_first_looks_that_reach_them_and_looking_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("mabc")
    _values(monkeypatch, problem, {10: 0.5, 20: 0.96, 30: 0.94, 40: 0.985})
    run = Course(problem, 10 * LOOKS)
    for steps in (10, 15, 20, 30):
        run.look(steps, lambda steps=steps: _Rule(steps))
    kept = run.end(40, lambda: _Rule(40))
    assert [point.env_steps for point in kept["curve"]] == [10, 20, 30, 40]  # At 15 it was too early.
    assert kept["levels"]["0.95"]["env_steps"] == 20
    assert kept["levels"]["0.98"]["env_steps"] == 40
    assert kept["levels"]["0.99"] is None
    assert kept["wall_s"] < 100.0  # Four looks, each of a thousand ticks.
    assert kept["cpu_s"] < 100.0


def test_the_table_says_who_did_not_get_there() -> None:
    there, nowhere = {"env_steps": 500, "cpu_s": 2.0, "wall_s": 3.0}, None
    run = {"env_steps": 1000, "cpu_s": 4.0, "gap": 0.25}
    found = {
        "learn / mabc / dadc ppo / 0": {**run, "levels": {"0.95": there, "0.98": nowhere, "0.99": nowhere}},
        "learn / mabc / dadc ppo / 1": {**run, "levels": {"0.95": there, "0.98": there, "0.99": nowhere}},
    }
    lines = markdown(found).splitlines()
    assert sum(line.startswith("|") for line in lines) == 7  # Three heads of two lines, and one line.
    (line,) = [line for line in lines if "dadc ppo" in line]
    assert line == "| mabc, dadc ppo | 1,000, 2 | 250 | 2.0, 3.0, 500 | 2.0, 3.0, 500 (1 of 2) | not reached | 25.0 % |"


def test_the_quickest_contender_all_of_whose_runs_got_there_stands_beside_a_library() -> None:
    def run(*cpu_s: float | None) -> dict[str, Any]:
        levels = [None if own is None else {"env_steps": 1, "cpu_s": own, "wall_s": own} for own in cpu_s]
        return {"env_steps": 1, "cpu_s": 1.0, "gap": 0.0, "levels": dict(zip(("0.95", "0.98", "0.99"), levels, strict=True))}

    found = {
        "learn / mabc / dadc ppo / 0": run(0.1, 0.1, None),
        "learn / mabc / dadc ppo / 1": run(0.1, None, None),
        "learn / mabc / dadc actor-critic / 0": run(0.2, 0.4, None),
        "learn / mabc / dadc actor-critic / 1": run(0.2, 0.6, None),
        "learn / dec-tiger / dadc ppo / 0": run(0.01, 0.01, 0.01),
        "learn / mabc / sb3 trpo / 0": run(3.0, 5.0, 7.0),
        "learn / mabc / sb3 trpo / 1": run(None, None, None),
        "learn / mabc / jax actor-critic / 0": run(1.0, 1.0, 1.0),
    }
    lines = [line for line in markdown(found).splitlines() if line.startswith("| mabc, sb3 trpo |")]
    assert lines[1:] == [
        "| mabc, sb3 trpo | 95 % | 3.0 | dadc ppo | 0.100 | 30.0 |",
        "| mabc, sb3 trpo | 98 % | 5.0 | dadc actor-critic | 0.500 | 10.0 |",
        "| mabc, sb3 trpo | 99 % | 7.0 | none |  |  |",
    ]


def test_the_table_has_the_median_ratio_of_rounds_in_turn() -> None:
    found = {SPEEDS[1].name: {"dadc": [10.0, 20.0, 30.0], "jax": [100.0, 100.0, 100.0]}}
    assert markdown(found).splitlines()[-1] == "| 16 | 20 | 100 | 0.200 [0.100, 0.300] |"


def test_every_run_has_a_name_and_a_budget() -> None:
    assert len({run.name for run in RUNS}) == len(RUNS)
    assert {(run.problem, run.contender) for run in RUNS if run.kind == "learn"} == set(BUDGETS)
    assert {name for _, name in BUDGETS if not name.startswith((OWN, LIBRARY))} == {YARDSTICK}


def test_a_problem_of_several_choices_at_once_is_refused() -> None:
    """What would be measured wrongly is not measured."""
    problem = Problem("mabc")
    told = {"preset": "general"}
    problem.config = resolve("dec-tiger", ["structure=delayed-sharing", "prescriptions=factored"], told)
    with pytest.raises(ValueError, match="one choice at a time"):
        Copies(problem, 2, 0)
