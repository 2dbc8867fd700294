"""Tasks: an environment with its parameters, information structure and prescriptions, under one name.

A user's own task is a function without arguments that returns a ``Task``; it is named ``package.module:function``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dadc_net.errors import UsageError
from dadc_net.schema import closest
from dadc_net.team.any_task import ALL, ANY_TASK, GIBBS, VECTORS, choices, vector_family
from dadc_net.team.demand_response import DETERMINISTIC, DemandResponse, DemandResponseParameters
from dadc_net.team.environment import Environment, EnvironmentSpec
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters
from dadc_net.team.finite.menus import LARGEST_MENU, deterministic_menu, menu_size
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models import box_pushing, broadcast_channel, dec_tiger, fire_fighting, meeting_grid, recycling
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.opportunity import OpportunityFamily
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.structures.own_memory import ControlSharing, MeanFieldSharing
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.user_code import blame_owner

FamilyMaker = Callable[[EnvironmentSpec, ThetaSettings], PrescriptionFamily]
"""How a family is made for an environment."""
MENU = "menu"
"""The prescriptions that are an entry of a menu: one of the task's, or that of all joint deterministic ones."""


@dataclass(frozen=True, kw_only=True)
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
    """``menu``, ``factored``, ``gibbs``, ``linear``, ``neural``, or the name of a family."""
    useful_actions: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Observation -> the actions that make sense there, for the prescriptions that every task has; others: all."""
    default_algorithm: str = "actor-critic"
    presets: str | Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Preset -> algorithm -> what a run of it uses when nobody says otherwise, in the form of a configuration; or where a
    TOML file with such tables lies, as ``package:file``."""
    evaluation: Mapping[str, int] = field(default_factory=dict)
    """Keys of the section ``evaluation``, where copies or steps of the environment are costly; they go before presets."""
    notes: tuple[str, ...] = ()
    """What a user should be told before a run."""
    finite_model: Callable[[], FiniteModel] | None = None
    """Makes the model where every number of it is known; then it can be planned for."""
    planner: str | Callable[[Any], Any] = ""
    """Finds the optimum and values rules: a function of a ``planning.planners.PlanProblem`` that gives a ``Plan``, or where
    it is, ``package.module:function``; empty: there is none."""
    action_names: Sequence[Sequence[str]] = ()
    """[K][A^k], for menus that are made; where there are none, actions are numbers."""

    def environment(self, parameters: Any, copies: int) -> Environment:
        """A fresh environment of E = ``copies``. Raises UserCodeError if ``make`` is a user's and fails."""
        try:
            return self.make(parameters, copies)
        except (Exception, SystemExit) as error:
            blame_owner("making the environment", self.make, error)
            raise

    def family(self, prescriptions: str, menu: str, spec: EnvironmentSpec, theta: ThetaSettings) -> PrescriptionFamily:
        """The prescriptions of these names: the task's own, or those that every task has.

        Raises:
            UsageError: if there would be too many, or local information is not finite.
            UserCodeError: if a user makes them and fails.
        """
        maker = self.families.get(prescriptions)
        if maker is not None:
            try:
                return maker(spec, theta)
            except (Exception, SystemExit) as error:
                blame_owner("making the prescriptions", maker, error)
                raise
        if prescriptions == MENU and menu in self.menus:
            return self.menus[menu]
        if prescriptions in VECTORS:
            return vector_family(prescriptions, self.structure, spec, theta)
        allowed = choices(self.structure, spec, self.useful_actions, theta.shared)
        return ANY_TASK[prescriptions](allowed, theta, self.action_names)

    @property
    def prescriptions(self) -> list[str]:
        """All that can be chosen."""
        return list(dict.fromkeys((MENU, *self.families, *ANY_TASK, *VECTORS)))


def finite_task(
    name: str,
    make_model: Callable[[], FiniteModel],
    actions: Sequence[Sequence[str]],
    observations: Sequence[Sequence[str]],
    discount: float,
) -> Task:
    """The task of a finite model under control sharing, with all deterministic prescriptions where they are few.

    Args:
        make_model: makes the model when it is first needed.
        actions, observations: the model's names.
        discount: used where nobody says otherwise.
    """
    made = cache(make_model)
    small = menu_size([len(own) for own in actions], [len(own) for own in observations]) <= LARGEST_MENU
    return Task(
        name=name,
        parameters_type=FiniteParameters,
        make=lambda parameters, copies: FiniteEnvironment(made(), parameters, copies),
        structure=ControlSharing(),
        menus={ALL: deterministic_menu(ALL, actions, tuple(map(len, observations)))} if small else {},
        default_menu=ALL if small else "",
        default_discount=discount,
        default_prescriptions=MENU if small else GIBBS,
        default_algorithm="actor-critic" if small else "ppo",
        finite_model=made,
        action_names=actions,
    )


USUAL_DISCOUNT = 0.9
"""Of a finite model that says none, or 1, which needs a horizon."""


def model_task(model: FiniteModel, name: str = "") -> Task:
    """The task of a model that is there, under its own name or another."""
    discount = model.discount if 0.0 < model.discount < 1.0 else USUAL_DISCOUNT
    return finite_task(name or model.name, lambda: model, model.actions, model.observations, discount)


TASKS: dict[str, Task] = {
    "mabc": Task(
        name="mabc",
        parameters_type=MultiAccessBroadcastParameters,
        make=MultiAccessBroadcast,
        structure=ControlSharing(),
        menus=MENUS,
        default_menu="paper",
        default_discount=0.9,
        useful_actions={0: (0,)},
        action_names=(("wait", "transmit"),) * 2,
        presets="dadc_net.team:presets/mabc.toml",
        planner="dadc_net.planning.broadcast_plan:solve_broadcast",
        families={
            "opportunity": lambda spec, _: OpportunityFamily("opportunity", spec.num_agents),
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
        presets="dadc_net.team:presets/demand-response.toml",
        planner="dadc_net.planning.demand_response_plan:solve_demand_response",
        families={
            "randomised": lambda _, theta: GibbsFamily(
                name="randomised", tables=1, local_values=2, num_actions=3, bound=theta.bound
            ),
            "deterministic": lambda *_: DETERMINISTIC,
            "one-each": lambda spec, theta: GibbsFamily(
                name="one-each", tables=spec.num_agents, local_values=2, num_actions=3, bound=theta.bound
            ),
        },
        default_prescriptions="randomised",
        default_algorithm="ppo",
    ),
    **{
        name: finite_task(name, SHIPPED[name], (actions,) * 2, (observations,) * 2, 0.9)
        for name, actions, observations in (
            ("dec-tiger", dec_tiger.ACTIONS, dec_tiger.OBSERVATIONS),
            ("recycling", recycling.ACTIONS, recycling.OBSERVATIONS),
            ("broadcast-channel", broadcast_channel.ACTIONS, broadcast_channel.OBSERVATIONS),
            ("meeting-grid", meeting_grid.ACTIONS, meeting_grid.COLUMNS),
            ("meeting-corners", meeting_grid.ACTIONS, meeting_grid.CELLS),
            ("box-pushing", box_pushing.ACTIONS, box_pushing.OBSERVATIONS),
            ("fire-fighting", fire_fighting.ACTIONS, fire_fighting.OBSERVATIONS),
        )
    },
}


def find_task(name: str) -> Task:
    """A built-in task. Raises UsageError with a suggestion for an unknown name."""
    if name not in TASKS:
        raise UsageError(
            f"there is no task {name!r}. {closest(name, TASKS)} A TASK is a built-in name, a TOML or .dpomdp "
            "file, FILE.py:factory or package.module:factory."
        )
    return TASKS[name]
