"""The planner of ``mabc``: optimum, references, the rule in words, and what a learned rule is worth."""

from __future__ import annotations

from dadc_net.exact.streams import Stream
from dadc_net.planning import evaluation
from dadc_net.planning.broadcast_grid import BroadcastGrid
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.multi_access_broadcast import build_model
from dadc_net.planning.planners import Plan, PlanProblem, Valuer
from dadc_net.planning.policy_text import describe_belief, describe_policy
from dadc_net.planning.value_iteration import solve
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcast
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import MENU


def solve_broadcast(problem: PlanProblem) -> Plan:
    """The optimum by value iteration on beliefs, and rules valued by performance differences.

    Raises:
        NoPlan: if environment, menus or information structure are not those of ``mabc``.
    """
    task, parameters, discount, prescriptions = problem.task, problem.parameters, problem.discount, problem.prescriptions
    same = task.make is MultiAccessBroadcast and task.menus is MENUS and task.structure.name == ControlSharing.name
    problem.require(same, "multi-access broadcast under control sharing, with its own menus")
    randomised = prescriptions != MENU
    # Private randomisation is worth nothing beyond the corners of the box (planning.broadcast_grid says why).
    menu = "all" if randomised else problem.menu
    model = build_model(parameters, menu)
    solution = solve(model, discount)
    value = float(solution.value[model.start])
    round_robin = evaluation.round_robin_value(model, discount)
    random = evaluation.random_value(model, discount)
    start = describe_belief(model, model.start)
    told_apart = f"told apart to {model.rounding:.0e}"
    method = f"value iteration on {len(model.beliefs)} reachable common-information beliefs, {told_apart}"
    used = f"menu {menu}"
    if randomised:
        used = f"prescriptions {prescriptions}, whose optimum with a table for each is that of menu {menu}"
    text = (
        f"task {task.name}, {used}, discount {discount}\n"
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

    return Plan(
        value=value,
        menu=menu,
        start=start,
        method=method,
        residual=solution.residual,
        random=random,
        round_robin=round_robin,
        text=text,
        estimate=estimate,
        estimator="performance-difference",
        model=model,
        solution=solution,
    )
