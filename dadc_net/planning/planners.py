"""Exact planners by task name: the optimum that everything is measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.planning import evaluation, multi_access_broadcast
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.policy_text import describe_belief, describe_policy
from dadc_net.planning.value_iteration import Solution, solve
from dadc_net.sections import closest

_BUILDERS: dict[str, Callable[[Any, str], CoordinatedModel]] = {"mabc": multi_access_broadcast.build_model}


@dataclass(frozen=True)
class Plan:
    """A solved task."""

    value: float
    menu: str
    start: str
    method: str
    residual: float
    """Bound on the dynamic program's own error; beliefs closer than ``model.rounding`` were merged."""
    model: CoordinatedModel
    solution: Solution
    round_robin: float
    """Value of blind round-robin over the first two prescriptions, better phase."""
    random: float
    """Value of the uniformly random coordinator."""
    text: str
    """The optimal rule in words."""


def has_planner(task: str) -> bool:
    """Whether ``plan`` can solve the task."""
    return task in _BUILDERS


def plan(task: str, parameters: Any, menu: str, discount: float) -> Plan:
    """Solve a task exactly.

    Raises:
        UsageError: if there is no planner for it.
    """
    if task not in _BUILDERS:
        raise UsageError(
            f"there is no exact planner for the task {task!r}. {closest(task, _BUILDERS)} Its optimum is unknown here; "
            "choose a built-in task."
        )
    model = _BUILDERS[task](parameters, menu)
    solution = solve(model, discount)
    value = float(solution.value[model.start])
    round_robin = evaluation.round_robin_value(model, discount)
    random = evaluation.random_value(model, discount)
    start = describe_belief(model, model.start)
    told_apart = f"told apart to {model.rounding:.0e}"
    method = f"value iteration on {len(model.beliefs)} reachable common-information beliefs, {told_apart}"
    text = (
        f"task {task}, menu {menu}, discount {discount}\n"
        f"start: {start}\n"
        f"optimum V* = {value:.6f} ({method}, residual {solution.residual:.1e})\n"
        f"blind round-robin {round_robin:.6f}, uniformly random coordinator {random:.6f}\n"
        f"{describe_policy(model, solution, discount)}"
    )
    return Plan(value, menu, start, method, solution.residual, model, solution, round_robin, random, text)
