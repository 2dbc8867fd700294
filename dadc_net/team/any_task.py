"""Prescriptions that every task has, made from its numbers of local values and actions.

    menu       all joint deterministic prescriptions, while there are at most 4,096
    factored   a choice for each agent and local value
    gibbs      logits for each agent and local value
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from dadc_net.errors import UsageError
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.factored import Allowed, FactoredFamily
from dadc_net.team.finite.menus import LARGEST_MENU, deterministic_menu, menu_size
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import InformationStructure, describe

ALL = "all"
"""Name of the menu of all joint deterministic prescriptions."""


GIBBS, FACTORED = "gibbs", "factored"
"""Names of the families of logits and of choices."""
MOST_LOGITS = 4096
"""All of them are inputs of the learner's encoder, which adds up 8,192 at most; what is common needs some of these."""


def choices(
    structure: InformationStructure, spec: EnvironmentSpec, useful: Mapping[int, Sequence[int]], shared: bool
) -> Allowed:
    """Which actions each agent has to choose from at each of its local values.

    Args:
        useful: observation -> actions that make sense there; used where local information is the observation.
        shared: one table for all agents.

    Raises:
        UsageError: where local information is not finite, or agents that differ are to share one table.
    """
    own = []
    for number, agent in enumerate(spec.agents, start=1):
        local = structure.local_space(agent.observation_space, agent.action_space)
        if not isinstance(local, FiniteSpace):
            raise UsageError(
                f"under {structure.name} agent {number} of {spec.name} has the local information {local.to_plain()}, which "
                "is not finite. Tables of actions need finitely many local values. Choose other prescriptions, or another "
                "information structure."
            )
        everything = tuple(range(agent.action_space.num_values))
        masks = useful if local == agent.observation_space else {}
        own.append(tuple(tuple(masks.get(value, everything)) for value in range(local.num_values)))
    if not shared:
        return tuple(own)
    other = next((number for number, table in enumerate(own, start=1) if table != own[0]), None)
    if other is not None:
        raise UsageError(
            f"theta.shared is true, but agents 1 and {other} of {spec.name} have {len(own[0])} and {len(own[other - 1])} "
            "local values, or different actions at them. One table does not fit both. Set theta.shared=false."
        )
    return (own[0],)


def _menu(allowed: Allowed, theta: ThetaSettings) -> PrescriptionFamily:
    count = math.prod(len(actions) for own in allowed for actions in own)
    if count > LARGEST_MENU:
        many = f"{count:,}" if count < 10**12 else f"more than 10^{len(str(count)) - 1}"
        raise UsageError(
            f"there are {many} joint deterministic prescriptions, and a menu has at most {LARGEST_MENU:,}. They are made "
            f"from {len(allowed)} tables of up to {max(map(len, allowed))} local values. Set prescriptions=factored, which "
            "chooses them in parts, or prescriptions=gibbs, or theta.shared=true where agents are alike."
        )
    widest = max(map(len, allowed))
    maps = [list(itertools.product(*own)) for own in allowed]
    joint = list(itertools.product(*maps))
    words = tuple(", ".join("/".join(map(str, own)) for own in entry) for entry in joint)
    padded = tuple(tuple(own + (own[-1],) * (widest - len(own)) for own in entry) for entry in joint)
    return PrescriptionMenu(ALL, words, padded)


def _factored(allowed: Allowed, theta: ThetaSettings) -> PrescriptionFamily:
    return FactoredFamily(name="factored", allowed=allowed)


def _gibbs(allowed: Allowed, theta: ThetaSettings) -> PrescriptionFamily:
    counts = [1 + max(action for actions in own for action in actions) for own in allowed]
    return GibbsFamily(
        name="gibbs",
        tables=len(allowed),
        local_values=max(map(len, allowed)),
        num_actions=max(counts),
        bound=theta.bound,
        own_actions=tuple(counts) if len(set(counts)) > 1 else (),
    )


ANY_TASK: dict[str, Callable[[Allowed, ThetaSettings], PrescriptionFamily]] = {
    "menu": _menu,
    "factored": _factored,
    "gibbs": _gibbs,
}
"""Name in the configuration -> how they are made from what may be chosen."""


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
