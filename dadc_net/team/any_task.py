"""Prescriptions that every task has where local information is finite, made from numbers of local values and actions.

    menu "all"   all joint deterministic prescriptions, while there are at most 4,096
    gibbs        logits for each agent and local value
"""

from __future__ import annotations

from collections.abc import Sequence

from dadc_net.errors import UsageError
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.finite.menus import LARGEST_MENU, deterministic_menu, menu_size
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import ThetaSettings
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import InformationStructure, describe

ALL = "all"
"""Name of the menu of all joint deterministic prescriptions."""
GIBBS = "gibbs"
"""Name of the family of logits."""
MOST_LOGITS = 4096
"""All of them are inputs of the learner's encoder, which adds up 8,192 at most; what is common needs some of these."""


def local_values(structure: InformationStructure, spec: EnvironmentSpec) -> tuple[int, ...]:
    """How many local values each agent has: [K].

    Raises:
        UsageError: where local information is not finite.
    """
    found: list[int] = []
    for number, agent in enumerate(spec.agents, start=1):
        space = structure.local_space(agent.observation_space, agent.action_space)
        if not isinstance(space, FiniteSpace):
            raise UsageError(
                f"under {describe(structure)} agent {number} of {spec.name} has the local information {space.to_plain()}, "
                "which is not finite. The task declares no prescriptions for it, and tables need finitely many local "
                "values. Choose another structure."
            )
        found.append(space.num_values)
    return tuple(found)


def number_of_actions(spec: EnvironmentSpec) -> tuple[int, ...]:
    """[K]"""
    return tuple(agent.action_space.num_values for agent in spec.agents)


def has_menu(spec: EnvironmentSpec, values: Sequence[int]) -> bool:
    """Whether the joint deterministic prescriptions over so many local values [K] are few enough for a menu."""
    return menu_size(number_of_actions(spec), values) <= LARGEST_MENU


def menu_of_all(spec: EnvironmentSpec, values: Sequence[int], names: Sequence[Sequence[str]] = ()) -> PrescriptionMenu:
    """The menu "all".

    Args:
        values: [K] numbers of local values.
        names: of the actions [K][A^k]; empty: their numbers.
    """
    words = names or [tuple(map(str, range(count))) for count in number_of_actions(spec)]
    return deterministic_menu(ALL, words, values)


def gibbs_for(
    structure: InformationStructure, spec: EnvironmentSpec, values: Sequence[int], theta: ThetaSettings
) -> GibbsFamily:
    """A table of logits for each agent over so many local values [K].

    Raises:
        UsageError: if they are too many.
    """
    actions = number_of_actions(spec)
    size = len(actions) * max(values) * max(actions)
    if size > MOST_LOGITS:
        raise UsageError(
            f"under {describe(structure)} an agent of {spec.name} has up to {max(values)} local values, and the "
            f"prescriptions {GIBBS} of {len(actions)} agents would have {size} logits. A learner remembers them all at "
            f"every step, and {MOST_LOGITS} are the most. Choose a structure that keeps less."
        )
    return GibbsFamily(
        name=GIBBS,
        tables=len(actions),
        local_values=max(values),
        num_actions=max(actions),
        bound=theta.bound,
        own_actions=actions if len(set(actions)) > 1 else (),
    )
