"""Prescriptions that every task has, made from its local information and its numbers of actions.

    menu       all joint deterministic prescriptions, while there are at most 4,096
    factored   a choice for each agent and local value
    gibbs      logits for each agent and local value
    linear     for each agent a linear map of local information as a vector, finite or not
    neural     for each agent a small network of it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from dadc_net.errors import UsageError
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.factored import Allowed, FactoredFamily
from dadc_net.team.finite.menus import LARGEST_MENU, menu_of
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.linear import LinearFamily
from dadc_net.team.neural import NeuralFamily
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.spaces import FiniteSpace, space_text
from dadc_net.team.structures.structure import InformationStructure, describe
from dadc_net.team.vectors import VectorFamily, own_actions

ALL = "all"
"""Name of the menu of all joint deterministic prescriptions."""
GIBBS, FACTORED = "gibbs", "factored"
"""Names of the families of logits and of choices."""
LINEAR, NEURAL = "linear", "neural"
"""Names of the families of maps of vectors."""
MOST_NUMBERS = 4096
"""In the code of theta: a replay memory keeps them for every step, and choices see one another through their square."""

Names = Sequence[Sequence[str]]
"""Of actions [K][A^k]; empty: their numbers."""


def _local_spaces(structure: InformationStructure, spec: EnvironmentSpec) -> list[FiniteSpace]:
    """Of each agent's local information. Raises UsageError where it is not finite."""
    found = []
    for number, agent in enumerate(spec.agents, start=1):
        space = structure.local_space(agent.observation_space, agent.action_space)
        if not isinstance(space, FiniteSpace):
            raise UsageError(
                f"under {describe(structure)} agent {number} of {spec.name} has the local information {space_text(space)}, "
                "which is not finite. Tables of actions need finitely many local values. Set prescriptions=linear or "
                "prescriptions=neural, or choose another information structure."
            )
        found.append(space)
    return found


def local_values(structure: InformationStructure, spec: EnvironmentSpec) -> tuple[int, ...]:
    """How many local values each agent has: [K].

    Raises:
        UsageError: where local information is not finite.
    """
    return tuple(space.num_values for space in _local_spaces(structure, spec))


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
    for agent, local in zip(spec.agents, _local_spaces(structure, spec), strict=True):
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


def number_of_prescriptions(allowed: Allowed) -> int:
    """Joint deterministic ones."""
    return math.prod(len(actions) for own in allowed for actions in own)


def _menu(allowed: Allowed, theta: ThetaSettings, names: Names) -> PrescriptionFamily:
    count = number_of_prescriptions(allowed)
    if count > LARGEST_MENU:
        many = f"{count:,}" if count < 10**12 else f"more than 10^{int(math.log10(count))}"
        raise UsageError(
            f"there are {many} joint deterministic prescriptions, and a menu has at most {LARGEST_MENU:,}. They are made "
            f"from {len(allowed)} tables of up to {max(map(len, allowed))} local values. Set prescriptions=factored, which "
            "chooses them in parts, or prescriptions=gibbs, or theta.shared=true where agents are alike."
        )
    return menu_of(ALL, allowed, names or [tuple(map(str, range(count))) for count in _actions(allowed)])


def _factored(allowed: Allowed, theta: ThetaSettings, names: Names) -> PrescriptionFamily:
    _check_size(FACTORED, sum(len(actions) for own in allowed for actions in own), allowed)
    return FactoredFamily(name=FACTORED, allowed=allowed)


def _gibbs(allowed: Allowed, theta: ThetaSettings, names: Names) -> PrescriptionFamily:
    counts, widest = _actions(allowed), max(map(len, allowed))
    _check_size(GIBBS, len(allowed) * widest * max(counts), allowed)
    return GibbsFamily(
        name=GIBBS,
        tables=len(allowed),
        local_values=widest,
        num_actions=max(counts),
        bound=theta.bound,
        own_actions=counts if len(set(counts)) > 1 else (),
    )


def _actions(allowed: Allowed) -> tuple[int, ...]:
    """How many actions each table uses."""
    return tuple(1 + max(action for actions in own for action in actions) for own in allowed)


def _check_size(name: str, numbers: int, allowed: Allowed) -> None:
    if numbers > MOST_NUMBERS:
        raise UsageError(
            f"the prescriptions {name} would be {numbers:,} numbers, from {len(allowed)} tables of up to "
            f"{max(map(len, allowed)):,} local values, and {MOST_NUMBERS:,} are the most. A learner remembers them all at "
            "every step. Choose a structure that keeps less, or theta.shared=true where agents are alike."
        )


def vector_family(
    name: str, structure: InformationStructure, spec: EnvironmentSpec, theta: ThetaSettings
) -> PrescriptionFamily:
    """The prescriptions ``linear`` or ``neural`` for local information under ``structure``.

    Raises:
        UsageError: if they would be too many numbers, or agents that differ are to share one map.
    """
    local = [structure.local_space(agent.observation_space, agent.action_space) for agent in spec.agents]
    most, own = own_actions(spec)
    pairs = list(zip(local, (agent.action_space for agent in spec.agents), strict=True))
    other = next((number for number, pair in enumerate(pairs, start=1) if pair != pairs[0]), None)
    if theta.shared and other is not None:
        raise UsageError(
            f"theta.shared is true, but agents 1 and {other} of {spec.name} differ: their local information is "
            f"{space_text(local[0])} and {space_text(local[other - 1])}, and they have {pairs[0][1].num_values} and "
            f"{pairs[other - 1][1].num_values} actions. One map does not fit both. Set theta.shared=false."
        )
    tables = 1 if theta.shared else spec.num_agents
    widest = max(space.feature_size for space in local)
    family: VectorFamily
    if name == LINEAR:
        family = LinearFamily(
            name=name, tables=tables, features=widest, num_actions=most, bound=theta.bound, own_actions=own
        )
    else:
        family = NeuralFamily(
            name=name,
            tables=tables,
            features=widest,
            num_actions=most,
            bound=theta.bound,
            own_actions=own,
            units=theta.units,
        )
    numbers = family.tables * family.map_size
    if numbers > MOST_NUMBERS:
        raise UsageError(
            f"the prescriptions {name} would be {numbers:,} numbers, from {tables} maps of {widest:,} numbers to {most} "
            f"actions, and {MOST_NUMBERS:,} are the most. A learner remembers them all at every step. Choose a structure "
            "that keeps less, fewer theta.units, or theta.shared=true where agents are alike."
        )
    return family


VECTORS = (LINEAR, NEURAL)
ANY_TASK: dict[str, Callable[[Allowed, ThetaSettings, Names], PrescriptionFamily]] = {
    "menu": _menu,
    FACTORED: _factored,
    GIBBS: _gibbs,
}
"""Name in the configuration -> how they are made from what may be chosen."""
