"""Exact planners by task name: the optimum that everything is measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.planning import multi_access_broadcast
from dadc_net.planning.coordinated_model import Array, CoordinatedModel
from dadc_net.planning.evaluation import blind_value, horizon, random_value
from dadc_net.planning.value_iteration import Solution, solve
from dadc_net.sections import closest

_BUILDERS: dict[str, Callable[[Any, str], CoordinatedModel]] = {"mabc": multi_access_broadcast.build_model}
_SHOWN_BELIEFS = 12


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
    round_robin = max(blind_value(model, discount, (0, 1)), blind_value(model, discount, (1, 0)))
    random = random_value(model, discount)
    start = _describe(model, model.start)
    method = f"value iteration on {len(model.beliefs)} reachable common-information beliefs"
    text = (
        f"task {task}, menu {menu}, discount {discount}\n"
        f"start: {start}\n"
        f"optimum V* = {value:.6f} ({method}, residual {solution.residual:.1e})\n"
        f"blind round-robin {round_robin:.6f}, uniformly random coordinator {random:.6f}\n"
        f"{describe_policy(model, solution, discount)}"
    )
    return Plan(value, menu, start, method, solution.residual, model, solution, round_robin, random, text)


def _describe(model: CoordinatedModel, belief: int) -> str:
    pairs = zip(model.columns, model.beliefs[belief], strict=True)
    return ", ".join(f"{name} = {value:.3f}" for name, value in pairs)


def visit_shares(model: CoordinatedModel, solution: Solution, discount: float) -> Array:
    """Discounted share of time that the optimal rule spends at each belief: [N], summing to 1."""
    best = solution.best()
    everyone = np.arange(len(best))
    probability, following = model.probability[everyone, best], model.next_belief[everyone, best]
    weight: Array = np.zeros(len(best))
    weight[model.start] = 1.0 - discount
    shares: Array = np.zeros(len(best))
    for _ in range(horizon(discount, 1e-9)):
        shares += weight
        moved = discount * weight[:, None] * probability
        weight = np.bincount(following.reshape(-1), weights=moved.reshape(-1), minlength=len(best)).astype(np.float64)
    return shares


def describe_policy(model: CoordinatedModel, solution: Solution, discount: float) -> str:
    """The optimal rule at the beliefs where it spends most time, and what the second best would cost there."""
    shares = visit_shares(model, solution, discount)
    best = solution.best()
    lines = ["optimal rule where it spends most of its (discounted) time:"]
    for belief in np.argsort(-shares, kind="stable")[:_SHOWN_BELIEFS].tolist():
        if shares[belief] <= 0.0:
            break
        order = np.argsort(-solution.q[belief], kind="stable")
        line = f"{100 * shares[belief]:5.1f} %  {_describe(model, belief)}: {model.prescriptions[best[belief]]}"
        if len(order) > 1:
            loss = solution.q[belief, order[0]] - solution.q[belief, order[1]]
            line += f" (next best: {model.prescriptions[order[1]]}, {loss:.4f} worse)"
        lines.append(line)
    return "\n".join(lines)
