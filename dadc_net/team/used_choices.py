"""Which of a factored prescription's choices were really used, where common information tells it later (paper, Section 7).

A factored theta chooses an action for each agent and each local value, and at a step every agent has one local value only.
Under delayed, periodic or full sharing these values become common some steps later, so that the coordinator learns, from
what is common alone, which choices acted. A choice that did not act says nothing of the reward: leaving its score out takes
noise from the policy gradient.

    sum_f w_f grad log p_f(theta_f | x, theta_1 .. theta_{f-1})     w_f 1 where choice f acted or nobody knows, else 0

Where factors are independent this is exact: given what is used, the score of an unused choice has mean zero. Where later
factors see earlier ones it is biased: an unused choice has changed the law of a used one that looked at it, and that part of
the gradient is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.exact.array import Array
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.factored import FactoredFamily
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace, Space, space_from_plain, space_text
from dadc_net.team.structures.by_name import is_built_in, structure_from_plain
from dadc_net.team.structures.structure import InformationStructure, describe


def credit_record(
    section: Mapping[str, Any],
    shared_learning: bool,
    structure: InformationStructure,
    spec: EnvironmentSpec,
    family: PrescriptionFamily,
) -> dict[str, Any]:
    """What a learner must be told to know which choices were used, as plain data; empty where it does not ask.

    Args:
        section: ``factored`` of a configuration.
        shared_learning: whether all agents learn one rule.

    Raises:
        ConfigError: where nobody ever knows, or a learner could not find out.
    """
    if section.get("credit") != "used":
        return {}
    if not shared_learning:
        raise ConfigError(
            "factored.credit is 'used', but learning is independent: such a learner chooses for one local value, which "
            "always acts. Nothing was started. Set factored.credit=all."
        )
    if not isinstance(family, FactoredFamily) or len(family.space.sizes) < 2:
        raise ConfigError(
            f"factored.credit is 'used', but the prescriptions are {family.kind}, of {len(family.space.parts)} factors. "
            "Only choices that are made one by one can be used or not. Set prescriptions=factored, or factored.credit=all."
        )
    if structure.revealed_steps == 0 or not is_built_in(structure):
        raise ConfigError(
            f"factored.credit is 'used', but under {describe(structure)} nobody learns which choices acted. Local values "
            "become common under delayed-sharing, periodic-sharing and full-sharing. Choose one of these, or set "
            "factored.credit=all."
        )
    return {
        "structure": structure.to_plain(),
        "family": family.to_plain(),
        "public_space": spec.public_space.to_plain(),
        "agents": [[one.observation_space.to_plain(), one.action_space.to_plain()] for one in spec.agents],
    }


class UsedChoices:
    """From z to the choices that acted; made from a ``credit_record``."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._structure = structure_from_plain(record["structure"])
        agents = tuple(_agent(*spaces) for spaces in record["agents"])
        public = space_from_plain(record["public_space"])
        self._spec = EnvironmentSpec(name="", agents=agents, public_space=public, draws_per_step=0)
        self._places = FactoredFamily.from_plain(record["family"]).places(len(agents))
        self.steps = self._structure.revealed_steps
        """How many z, up to the present, tell it."""

    def _local_space(self, agent: AgentSpec) -> FiniteSpace:
        space: Space = self._structure.local_space(agent.observation_space, agent.action_space)
        if not isinstance(space, FiniteSpace):
            raise ConfigError(
                f"factored.credit is 'used', but an agent's local information is {space_text(space)}. A table has a choice "
                "for each of finitely many values. Set factored.credit=all."
            )
        return space

    def weights(self, commons: NDArray[Any], steps: NDArray[np.int64], factors: int) -> Array:
        """w [T, E, F] of the prescriptions of records 0 .. T-1.

        Args:
            commons: [T+1, E, C] z_t.
            steps: [T+1, E] the step in the episode of each record.
            factors: F.
        """
        lock_steps, copies = len(commons) - 1, commons.shape[1]
        found = np.ones((lock_steps, copies, factors))
        for t in range(1, lock_steps + 1):
            window = list(commons[max(0, t + 1 - self.steps) : t + 1])
            revealed = self._structure.revealed(self._spec, window, steps[t])
            for g, lag in enumerate(revealed.lags):
                at, known = t - lag, revealed.known[:, g]
                if 0 <= at < lock_steps and known.any():
                    found[at, known] = self._used([own[known, g] for own in revealed.local], factors)
        return found

    def _used(self, local: Sequence[NDArray[Any]], factors: int) -> Array:
        """1.0 at the choices of the agents' local values [n, L] each: [n, F]."""
        used = np.zeros((len(local[0]), factors + 1))
        rows = np.arange(len(used))
        for own, agent, places in zip(local, self._spec.agents, self._places, strict=True):
            used[rows, places[self._local_space(agent).index(own.astype(np.int64))]] = 1.0
        weights: Array = used[:, :factors]  # The last column stands for values without a choice.
        return weights


def _agent(observation_space: Mapping[str, Any], action_space: Mapping[str, Any]) -> AgentSpec:
    actions = space_from_plain(action_space)
    if not isinstance(actions, FiniteSpace):
        raise ConfigError(f"an action space is said to be {dict(action_space)!r}, which is not finite. Correct the record.")
    return AgentSpec(space_from_plain(observation_space), actions)
