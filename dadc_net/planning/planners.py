"""Exact planners by task name: the optimum that everything is measured against, and what a rule is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream
from dadc_net.planning import evaluation, multi_access_broadcast
from dadc_net.planning.broadcast_grid import BroadcastGrid
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.demand_response_plan import SYMMETRIC, DemandResponsePlan
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.policy_text import describe_belief, describe_policy
from dadc_net.planning.value_iteration import Solution, solve
from dadc_net.schema import closest
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.tasks import MENU

Valuer = Callable[[PrescriptionFamily, Rule, int, Stream], Estimate]
"""(what theta means, rule, trajectories where it samples, stream) -> J of the rule"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A solved task."""

    value: float
    menu: str
    start: str
    method: str
    residual: float
    """Bound on the dynamic program's own error; beliefs closer than ``model.rounding`` were merged."""
    random: float
    """Value of the uniformly random coordinator."""
    round_robin: float | None
    """Value of blind round-robin over the first two prescriptions, better phase; None where there is no such thing."""
    text: str
    """The optimal rule in words."""
    estimate: Valuer
    estimator: str
    """How ``estimate`` finds a rule's value."""
    model: CoordinatedModel | None = None
    """Where the planner enumerates beliefs and a menu."""
    solution: Solution | None = None
    best_constant: float | None = None
    """Value of the best prescription that is played at every step; None where it is unknown."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name."""


def has_planner(task: str, prescriptions: str = MENU) -> bool:
    """Whether ``plan`` can solve the task with these prescriptions."""
    return task in _PLANNERS and (task != "demand-response" or prescriptions in SYMMETRIC)


def plan(task: str, parameters: Any, menu: str, discount: float, prescriptions: str = MENU) -> Plan:
    """Solve a task exactly; ``prescriptions`` as in the configuration, ``menu`` where they are one.

    Raises:
        UsageError: if there is no planner for it.
    """
    if task not in _PLANNERS:
        raise UsageError(
            f"there is no exact planner for the task {task!r}. {closest(task, _PLANNERS)} Its optimum is unknown here; "
            "choose a built-in task."
        )
    return _PLANNERS[task](parameters, menu, discount, prescriptions)


def _plan_broadcast(parameters: Any, menu: str, discount: float, prescriptions: str) -> Plan:
    randomised = prescriptions != MENU
    # Private randomisation is worth nothing beyond the corners of the box (planning.broadcast_grid says why).
    menu = "all" if randomised else menu
    model = multi_access_broadcast.build_model(parameters, menu)
    solution = solve(model, discount)
    value = float(solution.value[model.start])
    round_robin = evaluation.round_robin_value(model, discount)
    random = evaluation.random_value(model, discount)
    start = describe_belief(model, model.start)
    told_apart = f"told apart to {model.rounding:.0e}"
    method = f"value iteration on {len(model.beliefs)} reachable common-information beliefs, {told_apart}"
    used = f"prescriptions {prescriptions}, whose optimum is that of menu {menu}" if randomised else f"menu {menu}"
    text = (
        f"task mabc, {used}, discount {discount}\n"
        f"start: {start}\n"
        f"optimum V* = {value:.6f} ({method}, residual {solution.residual:.1e})\n"
        f"blind round-robin {round_robin:.6f}, uniformly random coordinator {random:.6f}\n"
        f"{describe_policy(model, solution, discount)}"
    )
    estimate: Valuer
    if randomised:
        grid: list[BroadcastGrid] = []

        def estimate(family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
            if not grid:
                grid.append(BroadcastGrid(parameters, discount))
            return grid[0].estimate(family, rule, trajectories, stream)
    else:

        def estimate(family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
            return evaluation.performance_difference(model, solution, discount, rule, trajectories, stream)

    kind = "performance-difference"
    residual = solution.residual
    return Plan(
        value=value,
        menu=menu,
        start=start,
        method=method,
        residual=residual,
        random=random,
        round_robin=round_robin,
        text=text,
        estimate=estimate,
        estimator=kind,
        model=model,
        solution=solution,
    )


def _plan_demand_response(parameters: Any, _: str, discount: float, prescriptions: str) -> Plan:
    found = DemandResponsePlan(parameters, discount, prescriptions)
    best = found.solution
    extra = {"infinite_population": found.limit, "doing_nothing": found.idle}
    return Plan(
        value=best.start_value,
        menu="",
        start=found.start,
        method=found.method,
        residual=best.residual,
        random=found.random,
        round_robin=None,
        text=found.text(),
        estimate=found.estimate,
        estimator="exact linear solve",
        extra=extra,
    )


_PLANNERS: dict[str, Callable[[Any, str, float, str], Plan]] = {
    "mabc": _plan_broadcast,
    "demand-response": _plan_demand_response,
}
