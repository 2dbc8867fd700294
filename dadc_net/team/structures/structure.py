"""What an information structure is: two pure functions, and a record of its name and parameters.

    common    z_t, what becomes common on arriving at step t, from the last joint steps; runs at the environment server
    local     L_t^k, from the agent's own past; runs at agent k. Common information is no argument of it: (L1). Its space
              is finite and the same at every step: (L2)

The step in the episode is common knowledge and an argument of both: 0 where a copy begins. What does not exist yet, such as
the observation two steps ago at step 1, is 0 everywhere.

Where local values become common later, ``revealed`` says which they were, from common information alone.

Axis letters: E copies, K agents, O observation columns, P public ones, Z columns of z_t, L of local information, G lags.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.information import JointStep
from dadc_net.team.spaces import FiniteSpace, Space

Integers = NDArray[np.int64]
MOST_LOCAL_VALUES = 65_536
"""A prescription is a table over local values, or a function that must tell them apart."""


class Revealed(NamedTuple):
    """Local values that have become common on arriving at step t."""

    lags: tuple[int, ...]
    """[G] they are those of steps t - lag"""
    local: Integers
    """[E, G, K, L]"""
    known: NDArray[np.bool_]
    """[E, G] whether there was such a step and it is revealed now"""


class InformationStructure(ABC):
    """Who knows what. Concrete ones are frozen dataclasses; their fields are the parameters."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def history_steps(self) -> int:
        """How many joint steps, up to the present, ``common`` looks at."""

    @abstractmethod
    def common_space(self, spec: EnvironmentSpec) -> FiniteSpace:
        """The space of z_t. Raises UsageError where the structure does not fit the environment."""

    @abstractmethod
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Integers:
        """z_t [E, Z] from the last ``history_steps`` joint steps, fewer at first; ``history[-1]`` is that of step t [E]."""

    @abstractmethod
    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> FiniteSpace:
        """The space of L_t^k of an agent with these spaces, the same at every t: (L2)."""

    @abstractmethod
    def local(self, local: Integers, action: Integers, observation_next: Integers, step_in_episode: Integers) -> Integers:
        """L_t^k [E, L] from L_{t-1}^k [E, L], A_{t-1}^k [E] and O_t^k [E, O]; the step is t [E], and at 0 only O counts."""

    @property
    def revealed_steps(self) -> int:
        """How many z, up to the present, ``revealed`` looks at; 0: local values never become common."""
        return 0

    def revealed(self, spec: EnvironmentSpec, commons: Sequence[Integers], step_in_episode: Integers) -> Revealed:
        """The local values that are common from now on, from the last ``revealed_steps`` z [E, Z]; fewer at first."""
        copies = len(step_in_episode)
        nothing = np.zeros((copies, 0), dtype=np.bool_)
        return Revealed((), np.zeros((copies, 0, spec.num_agents, 1), dtype=np.int64), nothing)

    def to_plain(self) -> dict[str, Any]:
        """Plain data: the name, and the parameters."""
        return {"name": self.name, "parameters": dataclasses.asdict(self)}  # type: ignore[call-overload]


def finite(space: Space, structure: InformationStructure, what: str) -> tuple[int, ...]:
    """The sizes of a space that must be finite. Raises UsageError if it is not."""
    if not isinstance(space, FiniteSpace):
        raise UsageError(
            f"{what} is {space.to_plain()}, which is not finite. The structure {structure.name} keeps or shares its values "
            "one by one. Choose a structure that does not, or give the environment finite observations."
        )
    return space.sizes


def shared_sizes(
    spec: EnvironmentSpec, structure: InformationStructure
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Sizes of the columns of all agents' actions [K], of all their observations [K O], and of what is public [P]."""
    observation = finite(spec.observation_space, structure, f"the observation of {spec.name}")
    public = finite(spec.public_space, structure, f"what is public in {spec.name}")
    return spec.action_space.sizes * spec.num_agents, observation * spec.num_agents, public


def bounded(sizes: tuple[int, ...], structure: InformationStructure) -> FiniteSpace:
    """A local space; nothing local is one value. Raises UsageError for too many values."""
    space = FiniteSpace(sizes or (1,))
    if space.num_values > MOST_LOCAL_VALUES:
        raise UsageError(
            f"under {describe(structure)} an agent has {space.num_values} local values. A prescription says an action for "
            f"each, and there may be {MOST_LOCAL_VALUES}. Choose a structure that keeps less."
        )
    return space


def describe(structure: InformationStructure) -> str:
    """Name and parameters, as a user wrote them."""
    parameters: Mapping[str, Any] = structure.to_plain()["parameters"]
    return structure.name + "".join(f", {key}={value}" for key, value in parameters.items())


def past_observations(history: Sequence[JointStep], lag: int, step: Integers) -> Integers:
    """O_{t-lag} of all agents, side by side [E, K O]; 0 where there was no such step in the episode."""
    now = history[-1].observations
    if lag >= len(history):
        return np.zeros((len(now), now.shape[1] * now.shape[2]), dtype=np.int64)
    seen = history[-1 - lag].observations.reshape(len(now), -1)
    return np.where(step[:, None] >= lag, seen, 0)


def past_actions(history: Sequence[JointStep], lag: int, step: Integers) -> Integers:
    """A_{t-lag} of all agents [E, K], lag at least 1; 0 where there was no such step in the episode."""
    now = history[-1].joint_action_tm1
    if lag > len(history):
        return np.zeros(now.shape, dtype=np.int64)
    return np.where(step[:, None] >= lag, history[-lag].joint_action_tm1, 0)
