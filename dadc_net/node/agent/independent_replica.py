"""The baseline of Section 7: an agent that learns alone, from what it knows itself.

Its learner is an ordinary coordinator, but what is "common" to it is the pair (z_t, o_t^k), and what it chooses is not a
prescription for the team but the agent's own part of one. Parameters and random numbers are its own. To each agent the
others are then a part of the environment that changes as they learn: the non-stationarity that a virtual coordinator
avoids.

Learners differ by construction, so their digests say nothing about one another. What all agents must still share is
the common log; the step digest therefore covers the chain head alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import ConfigError, InvariantError
from dadc_net.exact.digest import derive_key
from dadc_net.node.agent.replica import Replica
from dadc_net.node.record import unpack_common, unpack_observation
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace, Space, space_from_plain


def own_settings(settings: CoordinatorSettings, observation_space: Space) -> CoordinatorSettings:
    """The settings of an agent's own learner: the team's, but (z_t, o_t^k) stands where z_t stood.

    Raises:
        ConfigError: if common or private observations are not finite.
    """
    sizes = _finite(space_from_plain(settings.common_space)).sizes + _finite(observation_space).sizes
    return replace(settings, common_space=FiniteSpace(sizes).to_plain())


def own_seed(shared_seed: bytes, agent: int) -> bytes:
    """Seed of agent ``agent``'s learner; no two agents draw the same numbers."""
    return derive_key(f"independent learner {agent}", shared_seed)


def joint_snapshot(snapshots: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The learners of agents 1 .. K in one mapping of named arrays."""
    return {f"agent-{k}/{name}": array for k, own in enumerate(snapshots, start=1) for name, array in own.items()}


def own_snapshot(snapshot: Mapping[str, NDArray[Any]], agent: int) -> dict[str, NDArray[Any]]:
    """Agent ``agent``'s learner out of ``joint_snapshot``."""
    prefix = f"agent-{agent}/"
    return {name.removeprefix(prefix): array for name, array in snapshot.items() if name.startswith(prefix)}


class IndependentReplica(Replica):
    """Agent ``agent``'s own learner; satisfies what an agent needs of a replica."""

    def __init__(
        self, settings: CoordinatorSettings, shared_seed: bytes, agent: int, observation_space: FiniteSpace
    ) -> None:
        super().__init__(own_settings(settings, observation_space), own_seed(shared_seed, agent))
        self.settings = settings
        self._key = derive_key("step digest", shared_seed)
        self._common = _finite(space_from_plain(settings.common_space))
        self._observation_space = observation_space
        self._private: tuple[int, bytes] | None = None

    def show(self, step: int, private: bytes) -> None:
        """What agent k alone observes at record ``step``; before ``receive`` of that record."""
        self._private = step, private

    def _read(self, step: int, common: bytes) -> CommonRecord:
        if self._private is None or self._private[0] != step:
            raise InvariantError(f"an independent learner was given record {step} without the observation of that step")
        copies = self.settings.learner.num_envs
        record = unpack_common(common, step, copies, self._common)
        observation = unpack_observation(self._private[1], step, copies, self._observation_space)
        return record._replace(common=np.concatenate((record.common, observation), axis=1))

    def _compared(self, *digests: bytes) -> tuple[bytes, ...]:
        return ()


def _finite(space: Space) -> FiniteSpace:
    if not isinstance(space, FiniteSpace):
        raise ConfigError(
            f"learning is 'independent', but an observation has the space {space}, which is not finite. An independent "
            "learner joins common and private observations as one finite value. Use learning = \"shared\"."
        )
    return space
