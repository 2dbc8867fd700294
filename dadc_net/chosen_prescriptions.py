"""Which prescriptions a run uses: those that its task declares, or made ones where they do not fit its structure.

A task declares prescriptions for the local information that agents have under its own structure. Under another one that
information may be something else, even where its space is of the same size; then prescriptions are made from the numbers of
local values and actions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dadc_net.coordinator.settings.learning import INDEPENDENT
from dadc_net.errors import ConfigError, UsageError
from dadc_net.schema import closest
from dadc_net.team.any_task import (
    ALL,
    ANY_TASK,
    FACTORED,
    GIBBS,
    LINEAR,
    VECTORS,
    choices,
    local_values,
    number_of_prescriptions,
    vector_family,
)
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.menus import LARGEST_MENU
from dadc_net.team.menu import OWN, PrescriptionMenu, own_actions, own_parts
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import FiniteSpace, space_text
from dadc_net.team.structures.by_name import is_built_in
from dadc_net.team.structures.structure import InformationStructure, describe
from dadc_net.team.tasks import MENU, Task


@dataclass(frozen=True, kw_only=True)
class PrescriptionChoice:
    """What a configuration says of prescriptions; None: nothing."""

    prescriptions: str | None
    menu: str | None
    default: str
    """Prescriptions where none are asked for and those that the task declares fit."""
    learning: str
    thetas: Sequence[str]
    """Kinds that the algorithm can learn: menu, box."""


class ChosenPrescriptions(NamedTuple):
    """Of a run."""

    prescriptions: str
    menu: str
    """Name of the menu; empty where there is none."""
    family: PrescriptionFamily


def keeps_declared(task: Task, structure: InformationStructure, spec: EnvironmentSpec) -> bool:
    """Whether agents have the local information under ``structure`` that the task's prescriptions are declared for."""
    own = task.structure
    if structure == own:
        return True
    # Equal spaces need not mean the same: the last two observations, an observation and an action. The present observation
    # alone is one thing everywhere.
    return is_built_in(own) and all(
        one.local_space(agent.observation_space, agent.action_space) == agent.observation_space
        for one in (own, structure)
        for agent in spec.agents
    )


def choose_prescriptions(
    task: Task, structure: InformationStructure, spec: EnvironmentSpec, theta: ThetaSettings, choice: PrescriptionChoice
) -> ChosenPrescriptions:
    """The prescriptions of a run under ``structure``.

    Raises:
        ConfigError, UsageError: if what was asked for does not exist or does not fit.
    """
    independent = choice.learning == INDEPENDENT.name
    if independent:
        _require_finite(task, structure, spec)
    if not keeps_declared(task, structure, spec):
        return _made(task, structure, spec, theta, choice)
    prescriptions, menu = _declared(task, choice)
    if not independent:
        return ChosenPrescriptions(prescriptions, menu, task.family(prescriptions, menu, spec, theta))
    return ChosenPrescriptions(prescriptions, menu, _own(task.menus[menu] if menu else None, structure, spec))


def _declared(task: Task, choice: PrescriptionChoice) -> tuple[str, str]:
    """Prescriptions and menu among those of the task; independent learners choose their own parts."""
    known, menus, default = task.prescriptions, list(dict.fromkeys((*task.menus, ALL))), choice.default
    if choice.learning == INDEPENDENT.name:
        known, menus, default = [OWN], list(task.menus), OWN
    prescriptions = _among(choice.prescriptions or default, known, task)
    usual = task.default_menu or (ALL if prescriptions == MENU else "")
    menu = usual if choice.menu is None else choice.menu
    if menu not in (*menus, usual):
        raise ConfigError(
            f"menu is {menu!r}, which the task {task.name} does not have. {closest(menu, menus)} "
            f"Choose one of {', '.join(menus) or 'its prescriptions: ' + ', '.join(known)}."
        )
    return prescriptions, menu


def _made(
    task: Task, structure: InformationStructure, spec: EnvironmentSpec, theta: ThetaSettings, choice: PrescriptionChoice
) -> ChosenPrescriptions:
    """Prescriptions that are made for a structure whose local information the task declares none for."""
    if choice.learning == INDEPENDENT.name:
        prescriptions = _among(choice.prescriptions or OWN, [OWN], task)
        _check_menu(task, structure, choice.menu)
        return ChosenPrescriptions(prescriptions, "", _own(None, structure, spec))
    local = [structure.local_space(agent.observation_space, agent.action_space) for agent in spec.agents]
    asked, made = choice.prescriptions, [MENU, FACTORED, GIBBS, *VECTORS]
    if asked is None and not all(isinstance(space, FiniteSpace) for space in local):
        asked = LINEAR
    if asked in task.families and asked not in made:
        raise UsageError(
            f"prescriptions is {asked!r}, which the task {task.name} declares for the local information under "
            f"{describe(task.structure)}; under {describe(structure)} agents have another one. They do not fit. Choose "
            f"one of {', '.join(made)}, or leave the key out."
        )
    if asked in VECTORS:
        return ChosenPrescriptions(asked, "", vector_family(asked, structure, spec, theta))
    allowed = choices(structure, spec, {}, theta.shared)
    small = number_of_prescriptions(allowed) <= LARGEST_MENU
    prescriptions = _among(asked or (MENU if small and "menu" in choice.thetas else GIBBS), made, task)
    if prescriptions == MENU:
        _check_menu(task, structure, choice.menu)
    family = ANY_TASK[prescriptions](allowed, theta, task.action_names)
    return ChosenPrescriptions(prescriptions, ALL if prescriptions == MENU else "", family)


def _check_menu(task: Task, structure: InformationStructure, menu: str | None) -> None:
    """Raise UsageError for a declared menu, or one that does not exist: only that of all prescriptions is made."""
    if menu in (None, ALL):
        return
    whose = f"declares for the local information under {describe(task.structure)}" if menu in task.menus else "does not have"
    raise UsageError(
        f"menu is {menu!r}, which the task {task.name} {whose}. Under {describe(structure)} agents have another local "
        f"information, for which the menu {ALL!r} is made where it is small enough. Set menu={ALL}, or leave the key out."
    )


def _among(prescriptions: str, known: Sequence[str], task: Task) -> str:
    if prescriptions not in known:
        raise ConfigError(
            f"prescriptions is {prescriptions!r}, which the task {task.name} does not have. {closest(prescriptions, known)} "
            f"Choose one of {', '.join(known)}."
        )
    return prescriptions


def _require_finite(task: Task, structure: InformationStructure, spec: EnvironmentSpec) -> None:
    """Raise ConfigError unless independent learners can join what is common and what is their own."""
    observations = [structure.common_space(spec), *(agent.observation_space for agent in spec.agents)]
    if not all(isinstance(space, FiniteSpace) for space in observations):
        raise ConfigError(
            f"learning is 'independent', but the task {task.name} has the observations "
            f"{list(map(space_text, observations))}. An independent learner joins common and private ones, and all "
            'must be finite. Use learning = "shared".'
        )


def _own(menu: PrescriptionMenu | None, structure: InformationStructure, spec: EnvironmentSpec) -> PrescriptionMenu:
    """What independent learners choose from."""
    if menu is not None:
        return own_parts(menu)
    actions = [agent.action_space.num_values for agent in spec.agents]
    return own_actions(actions if len(set(actions)) > 1 else actions[:1], max(local_values(structure, spec)))
