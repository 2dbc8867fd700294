"""A finite task's run is valued beside bounds of the optimum and beside blind prescriptions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.cli.progress import optimum_text
from dadc_net.config import RunConfig, resolve
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.baselines import baselines
from dadc_net.experiment.evaluation import Evaluator, Exact
from dadc_net.experiment.finite_plan import PlanRequest, plan_finite
from dadc_net.experiment.finite_valuation import finite_plan
from dadc_net.planning.finite import best_constant

STREAM = Stream("test", seed_bytes(1))


class Always:
    """One entry of the menu, whatever happens."""

    is_memoryless = True

    def __init__(self, entry: int) -> None:
        self._entry = entry

    def begin(self, copies: int) -> None:
        pass

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        return np.full(len(common), self._entry)


def two_decisions(task: str, **more: Any) -> RunConfig:
    return resolve(task, (), {"env.horizon": 2, "discount": 1.0, "evaluation.plan_seconds": 10.0, **more})


@pytest.mark.parametrize(("task", "optimum"), [("dec-tiger", -4.0), ("recycling", 7.0)])
def test_known_optima_stand_beside_a_run(task: str, optimum: float) -> None:
    config = two_decisions(task)
    plan = Evaluator(config).plan
    assert plan is not None
    assert plan.value == pytest.approx(optimum, abs=1e-6)
    assert plan.random is not None
    assert plan.best_constant is not None
    assert plan.random < plan.best_constant <= optimum + 1e-9
    # The best constant entry, played as a rule, is worth what is said of it.
    entries = len(config.task.menus[config.menu].entries)
    worth = [plan.estimate(config.family, Always(entry), 2, STREAM) for entry in range(entries)]
    assert max(estimate.value for estimate in worth) == pytest.approx(plan.best_constant, abs=1e-9)
    assert {estimate.stderr for estimate in worth} == {0.0}
    assert min(estimate.value for estimate in worth) < optimum - 1.0


def test_the_optimal_rule_of_two_decisions_with_the_tiger_has_no_gap() -> None:
    # Listening twice is optimal (published: -4).
    config = two_decisions("dec-tiger")
    plan = Evaluator(config).plan
    assert plan is not None
    assert plan.best_constant == pytest.approx(plan.value, abs=1e-6)


def test_blind_prescriptions_are_worth_the_same_however_they_are_chosen() -> None:
    whole = Evaluator(two_decisions("recycling")).plan
    parts = Evaluator(two_decisions("recycling", prescriptions="factored")).plan
    assert whole is not None
    assert parts is not None
    assert parts.best_constant == whole.best_constant
    assert parts.random == pytest.approx(whole.random, abs=1e-9)
    assert parts.value == whole.value


@pytest.mark.parametrize(("task", "prescriptions"), [("broadcast-channel", "menu"), ("recycling", "factored")])
def test_prescriptions_made_for_another_structure_stand_beside_its_optimum(
    task: str, prescriptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between the times of sharing agents have six local values: the task's own tables, of two, do not fit.
    # Half a million prescriptions in parts are searched then.
    monkeypatch.setattr(best_constant, "_MOST_WORK", 1_000_000)
    config = two_decisions(task, structure="periodic-sharing", prescriptions=prescriptions)
    assert config.family is not config.task.menus["all"]
    plan = Evaluator(config).plan
    assert plan is not None
    assert plan.random is not None
    assert plan.random < plan.value
    assert plan.every_constant_tried == (task != "recycling")
    assert plan.best_constant is not None
    assert plan.random < plan.best_constant <= plan.value + 1e-9
    said = baselines(config, plan, 2).prescription
    assert said.endswith("; the best that was found, of too many to try each") == (task == "recycling")


def test_no_time_to_plan_is_no_optimum() -> None:
    assert Evaluator(two_decisions("dec-tiger", **{"evaluation.plan_seconds": 0.0})).plan is None


def exact(optimum: float, residual: float, value: float) -> Exact:
    return Exact(
        value=value,
        stderr=0.0,
        optimum=optimum,
        gap=(optimum - value) / abs(optimum),
        round_robin=None,
        round_robin_share=None,
        method="by hand",
        residual=residual,
    )


def test_bounds_that_are_apart_give_an_interval() -> None:
    found = exact(10.0, 2.0, 6.0)
    assert found.gaps == pytest.approx((0.25, 0.5))
    assert optimum_text(found) == "optimum V*     8.0000 to 12.0000  gap 25.00 to 50.00 %"
    assert exact(3.0, 1.0, -10.0).gaps == pytest.approx((3.5, 6.0))
    known = exact(10.0, 1e-9, 6.0)
    assert optimum_text(known).endswith("gap 40.00 %")
    assert "to" not in optimum_text(known).replace("optimum", "")


def test_bounds_around_zero_give_no_relative_gap() -> None:
    found = exact(1.0, 2.0, -1.0)
    assert found.gaps is None
    assert "V* may be 0" in optimum_text(found)


def test_beside_independent_learners_stand_the_references_of_the_team() -> None:
    team = Evaluator(two_decisions("recycling")).plan
    own = Evaluator(two_decisions("recycling", learning="independent")).plan
    assert team is not None
    assert own is not None
    assert (own.random, own.best_constant) == (team.random, team.best_constant)


def test_the_optimum_is_never_shown_below_the_best_constant() -> None:
    config = resolve("recycling", (), {"evaluation.plan_seconds": 1e-6})
    plan = finite_plan(config)
    assert plan.best_constant is not None
    assert plan.value - plan.residual >= plan.best_constant - 1e-9
    # The search alone, which has no time here, knows no more than repeating one joint action.
    found, _ = plan_finite(config, PlanRequest(parameters={}, seconds=1e-6))
    assert found.lower < plan.best_constant - 0.1
    assert plan.value + plan.residual == pytest.approx(found.upper)
