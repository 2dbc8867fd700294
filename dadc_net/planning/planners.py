"""What a task's own planner is asked and answers: the optimum that everything is measured against, and what a rule is worth.

A planner is a function of a ``PlanProblem``. A task names it (``team.tasks.Task.planner``), so that nothing here knows which
tasks there are, and it is loaded when it is first asked.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream
from dadc_net.planning.certificate import ExactBeliefs
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.value_iteration import Solution
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.tasks import MENU, Task

Valuer = Callable[[PrescriptionFamily, Rule, int, Stream], Estimate]
"""(what theta means, rule, trajectories where it samples, stream) -> J of the rule"""


def _unknown() -> float | None:
    return None


class NoPlan(UsageError):
    """There is no planner for this problem."""


@dataclass(frozen=True, kw_only=True)
class PlanProblem:
    """What is to be solved."""

    task: Task
    parameters: Any
    """Of the environment."""
    prescriptions: str
    """``menu``, or the name of one of the task's families."""
    menu: str
    """Which menu, where prescriptions are one."""
    discount: float

    def require(self, is_solved: bool, what: str) -> None:
        """Raise NoPlan unless ``is_solved``: a task made out of another has its planner, but may be another problem.

        ``what``: the planner's own problem.
        """
        if not is_solved:
            raise NoPlan(
                f"the planner of the task {self.task.name} solves {what}, and this is another problem. Its optimum is "
                "unknown here. Give the task a planner of its own, or none."
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A solved problem."""

    value: float
    menu: str
    start: str
    """How an episode begins, in words."""
    method: str
    """How the optimum was found, in words."""
    residual: float
    """Bound on the dynamic program's own error; beliefs closer than ``model.rounding`` were merged."""
    random: float | None
    """Value of the uniformly random coordinator; None where it is unknown."""
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
    """Value of the best prescription that is played at every step, or of the best found; None where it is unknown."""
    best_theta: Theta | None = None
    """[], [F] or [D] that prescription, where it is known."""
    every_constant_tried: bool = False
    """Whether none can be better."""
    looked_for_constant: bool = False
    """Whether the planner has looked for it, so that nobody else has to, found or not."""
    beliefs: ExactBeliefs | None = None
    """Exact beliefs for Theorem 5's constants, where the planner enumerates none; None also where they cannot be made."""
    best_memoryless: Callable[[], float | None] = _unknown
    """Looks for the best rule that plays by the present common observation alone; its value, None where it is unknown."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name."""


def plan(task: Task, parameters: Any, menu: str, discount: float, prescriptions: str = MENU) -> Plan:
    """Solve a task exactly by its own planner; ``prescriptions`` as in the configuration, ``menu`` where they are one.

    Raises:
        NoPlan: if it has none, or none for these prescriptions.
        UsageError: if its planner cannot be loaded.
    """
    if not task.planner:
        raise NoPlan(
            f"the task {task.name} brings no exact planner. Its optimum is unknown here. Choose a task that has one, or "
            "give this one a planner."
        )
    planner = _load(task.planner) if isinstance(task.planner, str) else task.planner
    found: Plan = planner(
        PlanProblem(task=task, parameters=parameters, prescriptions=prescriptions, menu=menu, discount=discount)
    )
    return found


def _load(name: str) -> Callable[[PlanProblem], Plan]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[PlanProblem], Plan] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the planner {name} cannot be loaded: {error}. It is read as package.module:function. Check that the module "
            "can be imported from here and has that function."
        ) from error
    return found
