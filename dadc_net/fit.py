"""Does what a configuration puts together fit: environment, information structure, prescriptions, number of copies?"""

from __future__ import annotations

from dadc_net.errors import ConfigError
from dadc_net.schema import shown
from dadc_net.team.environment import Environment, EnvironmentSpec
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace, Space, space_text, value_bytes
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.wire.limits import ACTIONS_BYTES_MAX, COMMON_BYTES_MAX, OBSERVATION_BYTES_MAX

_BYTES_BESIDE = 10
"""Of a copy, beside what is common: reward, begin, ended."""


def spec_of(environment: Environment) -> EnvironmentSpec:
    """What an environment says of itself.

    Raises:
        ConfigError: if that is no specification, or has agents that cannot be told what to do or see.
    """
    spec = getattr(environment, "spec", None)
    if not isinstance(spec, EnvironmentSpec):
        raise ConfigError(
            f"the environment {type(environment).__name__} has {shown(spec)} as spec instead of an EnvironmentSpec. No "
            "process was started. Give it a property spec; dadc conform finds more."
        )
    if spec.num_agents < 1:
        raise ConfigError(f"{spec.name} has no agents. A team has at least one. Name them in its EnvironmentSpec.")
    for number, agent in enumerate(spec.agents, start=1):
        actions = agent.action_space
        if not isinstance(actions, FiniteSpace) or actions.columns != 1:
            said = space_text(actions) if isinstance(actions, Space) else shown(actions)
            raise ConfigError(
                f"agent {number} of {spec.name} has the actions {said}. An action is one number of a finite set, as "
                "prescriptions are distributions over them. Give FiniteSpace((n,)): of several parts, or of a box, n "
                "combinations or levels."
            )
    spaces = [(f"the observation of agent {number}", agent.observation_space) for number, agent in enumerate(spec.agents, 1)]
    for what, space in [*spaces, ("what is public", spec.public_space)]:
        if not isinstance(space, Space):
            raise ConfigError(
                f"{what} in {spec.name} has {shown(space)} as its space. Spaces are FiniteSpace, BoxSpace or a product of "
                "them. Correct the EnvironmentSpec."
            )
    return spec


def check_fit(structure: InformationStructure, spec: EnvironmentSpec, family: PrescriptionFamily, copies: int) -> None:
    """Refuse before a run what its first record would show: local information without a place, messages without room.

    Raises:
        UsageError: if the prescriptions cannot be given an agent's local information.
        ConfigError: if a record of so many copies is larger than a message.
    """
    for agent in dict.fromkeys(spec.agents):
        family.require_local(structure.local_space(agent.observation_space, agent.action_space), structure.name)
    parts = [("what is common", structure.common_space(spec), COMMON_BYTES_MAX)]
    for number, agent in enumerate(spec.agents, start=1):
        parts.append((f"the observation of agent {number}", agent.observation_space, OBSERVATION_BYTES_MAX))
        parts.append((f"the action of agent {number}", agent.action_space, ACTIONS_BYTES_MAX))
    for what, space, limit in parts:
        size = copies * (value_bytes(space) + _BYTES_BESIDE)
        if size > limit:
            raise ConfigError(
                f"learner.num_envs is {copies}, and {what} of {spec.name} would take {size} bytes a record, but a message "
                f"carries {limit}. No process was started. Lower learner.num_envs, or give the environment smaller spaces."
            )


def check_discount(discount: float, spec: EnvironmentSpec) -> None:
    """Raises ConfigError for sums of rewards without a bound."""
    if discount == 1.0 and spec.horizon == 0:
        raise ConfigError(
            f"discount is 1, but episodes of {spec.name} do not end by themselves. Their sums of rewards have no bound. "
            "Give a number strictly between 0 and 1, or, where the task has env.horizon, a horizon."
        )
