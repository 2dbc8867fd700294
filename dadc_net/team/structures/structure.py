"""What an information structure is: two pure functions, and a record of its name and parameters.

    common    z_t, what becomes common on arriving at step t, from the last joint steps; runs at the environment server
    local     L_t^k, from the agent's own past; runs at agent k. Common information is no argument of it: (L1). Its space
              is bounded and the same at every step: (L2)

The step in the episode is common knowledge and an argument of both: 0 where a copy begins. What does not exist yet, such as
the observation two steps ago at step 1, is 0 everywhere; boxes that it stands in for are made to hold it (``with_zero``).

Where local values become common later, ``revealed`` says which they were, from common information alone.

Axis letters: E copies, K agents, O_k observation columns of agent k, O of all agents side by side, P public ones, Z columns
of z_t, L of local information, G lags.
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
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product

Integers = NDArray[np.int64]
Values = NDArray[Any]
"""int64, or float64 where a box is among the spaces."""
MOST_LOCAL_VALUES = 65_536
"""A prescription is a table over local values, or a function that must tell them apart."""


class JointStep(NamedTuple):
    """All that happened on the way to one record."""

    observations: Values
    """[E, O] O_t of all agents side by side; ``EnvironmentSpec.observation_places`` says whose each column is"""
    public: Values
    """[E, P]"""
    joint_action_tm1: Integers
    """[E, K] A_{t-1}; zeros where a copy begins"""
    begin: NDArray[np.bool_]
    """[E]"""


class Revealed(NamedTuple):
    """Local values that have become common on arriving at step t."""

    lags: tuple[int, ...]
    """[G] they are those of steps t - lag"""
    local: tuple[Values, ...]
    """[E, G, L] of agent 1 .. K"""
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
    def common_space(self, spec: EnvironmentSpec) -> Space:
        """The space of z_t. Raises UsageError where the structure does not fit the environment."""

    @abstractmethod
    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        """z_t [E, Z] from the last ``history_steps`` joint steps, fewer at first; ``history[-1]`` is that of step t [E]."""

    @abstractmethod
    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        """The space of L_t^k of an agent with these spaces, the same at every t: (L2)."""

    @abstractmethod
    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        """L_t^k [E, L] from L_{t-1}^k [E, L], A_{t-1}^k [E] and O_t^k [E, O_k]; the step is t [E], at 0 only O counts."""

    def recurring_step(self, step: int) -> int:
        """The least step that ``common`` and ``local`` treat as they treat ``step``, and its successors as the successors;
        ``step`` itself where none is known. What is computed for one such step holds for all."""
        return step

    @property
    def revealed_steps(self) -> int:
        """How many z, up to the present, ``revealed`` looks at; 0: local values never become common."""
        return 0

    def revealed(self, spec: EnvironmentSpec, commons: Sequence[Values], step_in_episode: Integers) -> Revealed:
        """The local values that are common from now on, from the last ``revealed_steps`` z [E, Z]; fewer at first."""
        copies = len(step_in_episode)
        nothing = np.zeros((copies, 0), dtype=np.bool_)
        return Revealed((), (np.zeros((copies, 0, 1), dtype=np.int64),) * spec.num_agents, nothing)

    def to_plain(self) -> dict[str, Any]:
        """Plain data: the name, and the parameters."""
        return {"name": self.name, "parameters": dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}}


def with_zero(space: Space) -> Space:
    """The smallest space around ``space`` in which 0 can stand for what does not exist yet."""
    parts = []
    for part in space.parts:
        if isinstance(part, BoxSpace):
            part = BoxSpace(tuple(min(0.0, low) for low in part.low), tuple(max(0.0, high) for high in part.high))
        parts.append(part)
    return product(*parts)


def shared_spaces(spec: EnvironmentSpec) -> tuple[Space, FiniteSpace]:
    """Of all agents' observations [O] and actions [K], where 0 stands for what does not exist yet."""
    return with_zero(spec.joint_observation_space), spec.joint_action_space


def bounded(space: Space, structure: InformationStructure) -> Space:
    """A local space. Raises UsageError for too many values."""
    if isinstance(space, FiniteSpace) and space.num_values > MOST_LOCAL_VALUES:
        raise UsageError(
            f"under {describe(structure)} an agent has {space.num_values} local values. A prescription says an action for "
            f"each, and there may be {MOST_LOCAL_VALUES}. Choose a structure that keeps less."
        )
    return space


def describe(structure: InformationStructure) -> str:
    """Name and parameters, as a user wrote them."""
    parameters: Mapping[str, Any] = structure.to_plain()["parameters"]
    return structure.name + "".join(f", {key}={value}" for key, value in parameters.items())


def past_observations(history: Sequence[JointStep], lag: int, step: Integers) -> Values:
    """O_{t-lag} of all agents, side by side [E, O]; 0 where there was no such step in the episode."""
    if lag >= len(history):
        return np.zeros_like(history[-1].observations)
    return np.where(step[:, None] >= lag, history[-1 - lag].observations, 0)


def past_actions(history: Sequence[JointStep], lag: int, step: Integers) -> Integers:
    """A_{t-lag} of all agents [E, K], lag at least 1; 0 where there was no such step in the episode."""
    now = history[-1].joint_action_tm1
    if lag > len(history):
        return np.zeros(now.shape, dtype=np.int64)
    return np.where(step[:, None] >= lag, history[-lag].joint_action_tm1, 0)
