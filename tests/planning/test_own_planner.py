"""A task brings its planner: a user's own is asked like a built-in one, and none is asked about another's problem."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.config import resolve
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator, plan_of
from dadc_net.experiment.simulation import Simulation
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.planners import NoPlan, Plan, PlanProblem, plan
from dadc_net.team.demand_response import DemandResponseParameters
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.tasks import TASKS, Task
from tests.user_task import FewCopies, Overheard

MAKER = "tests.planning.test_own_planner:make_task"


class Louder(MultiAccessBroadcast):
    """An environment that no planner of ours knows."""


def solve(problem: PlanProblem) -> Plan:
    """A planner that is good enough to be asked."""
    problem.require(problem.task.make is Louder, "the louder radios")

    def estimate(family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        return Estimate(1.5, 0.25)

    return Plan(
        value=2.0,
        menu=problem.menu,
        start="in silence",
        method="by hand",
        residual=0.0,
        random=None,
        round_robin=None,
        text=f"optimum 2 at discount {problem.discount}",
        estimate=estimate,
        estimator="by hand as well",
    )


def make_task() -> Task:
    """With a planner by name, so that this module is all that a user writes."""
    return replace(TASKS["mabc"], name="loud", make=Louder, planner="tests.planning.test_own_planner:solve")


def test_a_users_planner_is_asked_by_every_command_that_plans() -> None:
    config = resolve(MAKER, ["learner.num_envs=2", "learner.batch_steps=10"], {"updates": 1})
    evaluator = Evaluator(config)
    snapshot = Simulation(config, seed_bytes(7), seed_bytes(1)).snapshot()
    found = evaluator.exact(snapshot, 10)
    assert found is not None
    assert (found.value, found.stderr, found.optimum, found.gap, found.method) == (1.5, 0.25, 2.0, 0.25, "by hand as well")
    assert (found.random, found.normalised_gap, found.round_robin_share) == (None, None, None)
    assert evaluator.certificate(snapshot) is None
    shown = CliRunner().invoke(dadc, ["plan", MAKER, "--json"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.output.splitlines()[-1])
    assert (told["task"], told["value"], told["method"], told["random"]) == ("loud", 2.0, "by hand", None)


def test_a_planner_may_be_a_function_or_a_name() -> None:
    task = replace(make_task(), planner=solve)
    assert plan(task, MultiAccessBroadcastParameters(), "paper", 0.5).text == "optimum 2 at discount 0.5"
    for wrong, why in (("tests.planning.test_own_planner:nothing", "no attribute"), ("no.such.module:f", "No module")):
        with pytest.raises(UsageError, match=why) as caught:
            plan(replace(task, planner=wrong), MultiAccessBroadcastParameters(), "paper", 0.5)
        assert not isinstance(caught.value, NoPlan), "a planner that is missing must not look like none"


@pytest.mark.parametrize(
    "changed",
    [
        replace(TASKS["mabc"], make=FewCopies),
        replace(TASKS["mabc"], structure=Overheard()),
        replace(TASKS["mabc"], menus=dict(TASKS["mabc"].menus)),
    ],
    ids=["environment", "structure", "menus"],
)
def test_a_task_made_out_of_another_is_not_planned_as_the_other(changed: Task) -> None:
    assert plan(TASKS["mabc"], MultiAccessBroadcastParameters(), "paper", 0.9).value > 0
    with pytest.raises(NoPlan, match="this is another problem"):
        plan(changed, MultiAccessBroadcastParameters(), "paper", 0.9)


def test_demand_response_is_not_planned_for_another_environment() -> None:
    changed = replace(TASKS["demand-response"], make=FewCopies)
    with pytest.raises(NoPlan, match="this is another problem"):
        plan(changed, DemandResponseParameters(), "", 0.9, "deterministic")


def test_a_task_without_a_planner_has_no_value_beside_plain_returns() -> None:
    config = resolve("mabc", ["learner.num_envs=2", "learner.batch_steps=10"], {"updates": 1})
    without = replace(config, task=replace(config.task, planner=""))
    with pytest.raises(NoPlan, match="brings no exact planner"):
        plan_of(without)
    assert Evaluator(without).plan is None
    assert Evaluator(config).plan is not None
