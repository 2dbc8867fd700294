"""Tasks: an environment with its parameters, information structure and prescriptions, under one name.

A user's own task is a function without arguments that returns a ``Task``; it is named ``package.module:function``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.schema import closest
from dadc_net.team.demand_response import DETERMINISTIC, DemandResponse, DemandResponseParameters
from dadc_net.team.environment import Environment, EnvironmentSpec
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.information import ControlSharing, InformationStructure, MeanFieldSharing
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.opportunity import OpportunityFamily
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings

FamilyMaker = Callable[[EnvironmentSpec, ThetaSettings], PrescriptionFamily]
"""How a family is made for an environment."""
MENU = "menu"
"""The prescriptions that are an entry of one of the task's menus."""


@dataclass(frozen=True)
class Task:
    """A team problem."""

    name: str
    parameters_type: type[Any]
    """Frozen dataclass: the keys of the ``env`` section, with defaults. ``restart_steps`` is read by the clock."""
    make: Callable[[Any, int], Environment]
    """(parameters, E) -> environment"""
    structure: InformationStructure
    menus: Mapping[str, PrescriptionMenu]
    default_menu: str
    """Which of the menus; empty if there is none."""
    default_discount: float
    families: Mapping[str, FamilyMaker] = field(default_factory=dict)
    """Further families of prescriptions by name."""
    default_prescriptions: str = MENU
    """``menu``, or the name of a family."""
    default_algorithm: str = "actor-critic"
    planner: str | Callable[[Any], Any] = ""
    """Finds the optimum and values rules: a function of a ``planning.planners.PlanProblem`` that gives a ``Plan``, or where
    it is, ``package.module:function``; empty: there is none."""

    def family(self, prescriptions: str, menu: str, spec: EnvironmentSpec, theta: ThetaSettings) -> PrescriptionFamily:
        """The prescriptions of these names."""
        return self.menus[menu] if prescriptions == MENU else self.families[prescriptions](spec, theta)


TASKS: dict[str, Task] = {
    "mabc": Task(
        name="mabc",
        parameters_type=MultiAccessBroadcastParameters,
        make=MultiAccessBroadcast,
        structure=ControlSharing(),
        menus=MENUS,
        default_menu="paper",
        default_discount=0.9,
        planner="dadc_net.planning.broadcast_plan:solve_broadcast",
        families={
            "opportunity": lambda spec, _: OpportunityFamily("opportunity", spec.num_agents),
            "gibbs": lambda spec, theta: GibbsFamily("gibbs", spec.num_agents, 2, 2, theta.bound),
        },
    ),
    "demand-response": Task(
        name="demand-response",
        parameters_type=DemandResponseParameters,
        make=DemandResponse,
        structure=MeanFieldSharing(),
        menus={},
        default_menu="",
        default_discount=0.9,
        planner="dadc_net.planning.demand_response_plan:solve_demand_response",
        families={
            "randomised": lambda _, theta: GibbsFamily("randomised", 1, 2, 3, theta.bound),
            "deterministic": lambda *_: DETERMINISTIC,
            "one-each": lambda spec, theta: GibbsFamily("one-each", spec.num_agents, 2, 3, theta.bound),
        },
        default_prescriptions="randomised",
        default_algorithm="ppo",
    ),
}


def find_task(name: str) -> Task:
    """A built-in task. Raises UsageError with a suggestion for an unknown name."""
    if name not in TASKS:
        raise UsageError(
            f"there is no task {name!r}. {closest(name, TASKS)} A TASK is a built-in name, a TOML file or "
            "package.module:factory."
        )
    return TASKS[name]
