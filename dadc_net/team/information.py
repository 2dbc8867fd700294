"""Information structures: who knows what, and when (paper, Sections 2 and 3).

A structure is two pure functions. ``common`` gives the increment z_t of the common information; it runs at the
environment server, which sees everything. ``local`` gives agent k's next local information from its own past; it runs at
the agent. The signature of ``local`` has no common information in it: that is property (L1), partial history sharing. The
local space is finite and the same at every t: that is (L2).

Index choice: the paper defines Z_t as C_{t+1} minus C_t yet feeds Z_t into X_t. Here z_t is what is common *on arrival
at* step t, so that C_t = z_0 .. z_t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.schema import closest
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.spaces import FiniteSpace, Space


class JointStep(NamedTuple):
    """All that happened on the way to one record."""

    observations: NDArray[np.int64]
    """[E, K, O] O_t"""
    public: NDArray[np.int64]
    """[E, P]"""
    joint_action_tm1: NDArray[np.int64]
    """[E, K] A_{t-1}; zeros where a copy begins"""
    begin: NDArray[np.bool_]
    """[E]"""


class InformationStructure(ABC):
    """Who knows what."""

    name: str
    history_steps: int = 1
    """How many joint steps, up to the present, ``common`` may look at."""

    @abstractmethod
    def common_space(self, spec: EnvironmentSpec) -> Space:
        """The space of z_t."""

    @abstractmethod
    def common(self, history: Sequence[JointStep]) -> NDArray[np.int64]:
        """z_t [E, Z] from the last ``history_steps`` joint steps; ``history[-1]`` is the present."""

    @abstractmethod
    def local_space(self, observation_space: FiniteSpace) -> FiniteSpace:
        """The space of L_t^k, the same at every t: (L2)."""

    @abstractmethod
    def local(
        self,
        local: NDArray[np.int64],
        action: NDArray[np.int64],
        observation_next: NDArray[np.int64],
        begin: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """L_{t+1}^k [E, L] from L_t^k [E, L], A_t^k [E] and O_{t+1}^k [E, O]; where a copy begins, from O alone: (L1)."""


class ControlSharing(InformationStructure):
    """Actions are seen by everyone, and so is what the environment makes public; local is the present observation.

    I_t^k = {O_{0:t}^k, A_{0:t-1}, public_{0:t}} with past private observations shed, which is what makes (L1) and (L2)
    hold (paper, Section 3; Mahajan 2013). The increment is z_t = (A_{t-1}, public_t).
    """

    name = "control-sharing"

    def common_space(self, spec: EnvironmentSpec) -> FiniteSpace:
        """Actions of all agents, then the public columns."""
        if not isinstance(spec.public_space, FiniteSpace):
            raise UsageError(
                f"the environment {spec.name} has a public space that is not finite. Control sharing makes it common "
                "together with the actions. Give the environment a finite public space."
            )
        return FiniteSpace(spec.action_space.sizes * spec.num_agents + spec.public_space.sizes)

    def common(self, history: Sequence[JointStep]) -> NDArray[np.int64]:
        """(A_{t-1}, public_t)."""
        now = history[-1]
        return np.concatenate((now.joint_action_tm1, now.public), axis=1)

    def local_space(self, observation_space: FiniteSpace) -> FiniteSpace:
        """The observation's."""
        return observation_space

    def local(
        self,
        local: NDArray[np.int64],
        action: NDArray[np.int64],
        observation_next: NDArray[np.int64],
        begin: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """The present observation."""
        return observation_next


class MeanFieldSharing(InformationStructure):
    """How many agents are in which state is seen by everyone; local is the present observation.

    I_t^k = {S_{0:t}^k, A_{0:t-1}^k, M_{0:t}} with past states and actions shed (paper, Section 3; Arabneydi and Mahajan
    2014). The increment z_t holds the numbers of agents whose observation is 1, 2, ..; what is left over is 0.
    """

    name = "mean-field-sharing"

    def __init__(self, observation_values: int = 2) -> None:
        """``observation_values``: of the environment's only observation column."""
        self._values = observation_values

    def common_space(self, spec: EnvironmentSpec) -> FiniteSpace:
        """Counts 0 .. K, one for each observation but 0."""
        if spec.observation_space != FiniteSpace((self._values,)):
            raise UsageError(
                f"the environment {spec.name} has the observation space {spec.observation_space}, but this mean field "
                f"counts {self._values} values of one column. They do not fit. Give MeanFieldSharing the number of values."
            )
        return FiniteSpace((spec.num_agents + 1,) * (self._values - 1), ordered=True)

    def common(self, history: Sequence[JointStep]) -> NDArray[np.int64]:
        """Counts of the present observations."""
        seen = history[-1].observations[:, :, 0]
        return np.stack([(seen == value).sum(axis=1) for value in range(1, self._values)], axis=1).astype(np.int64)

    def local_space(self, observation_space: FiniteSpace) -> FiniteSpace:
        """The observation's."""
        return observation_space

    def local(
        self,
        local: NDArray[np.int64],
        action: NDArray[np.int64],
        observation_next: NDArray[np.int64],
        begin: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """The present observation."""
        return observation_next


_BUILT_IN: dict[str, type[InformationStructure]] = {
    ControlSharing.name: ControlSharing,
    MeanFieldSharing.name: MeanFieldSharing,
}


def is_built_in(structure: InformationStructure) -> bool:
    """Whether agents know the structure by its name alone."""
    return _BUILT_IN.get(structure.name) is type(structure)


def structure_by_name(name: str) -> InformationStructure:
    """A built-in structure. Nothing is ever imported for a name that came over the network.

    Raises:
        UsageError: for a name that is not built in.
    """
    if name not in _BUILT_IN:
        raise UsageError(
            f"there is no built-in information structure {name!r}. {closest(name, _BUILT_IN)} An agent loads a user's "
            "structure only from its own --structure MODULE:NAME."
        )
    return _BUILT_IN[name]()
