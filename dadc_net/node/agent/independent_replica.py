"""The baseline of Section 7: an agent that learns alone, from what it knows itself.

Its learner is an ordinary coordinator, but what is "common" to it is the pair (z_t, o_t^k), and what it chooses is not a
prescription for the team but the agent's own part of one. Parameters and random numbers are its own. To each agent the
others are then a part of the environment that changes as they learn: the non-stationarity that a virtual coordinator
avoids.

Learners differ by construction, so their digests say nothing about one another. What all agents must still share is
the common log; the step digest therefore covers the chain head alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import InvariantError
from dadc_net.exact.digest import KeyedDigest, derive_key
from dadc_net.node.agent.replica import Replica
from dadc_net.node.agent.starting_rule import StartingRule, start_of
from dadc_net.node.record import CommonLayout, ObservationLayout, Record
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace, Space, product, space_from_plain


def own_settings(settings: CoordinatorSettings, observation_space: Space) -> CoordinatorSettings:
    """The settings of an agent's own learner: the team's, but (z_t, o_t^k) stands where z_t stood."""
    common = space_from_plain(settings.common_space)
    joint: Space = product(common, observation_space)
    if isinstance(common, FiniteSpace) and isinstance(observation_space, FiniteSpace):
        joint = FiniteSpace(common.sizes + observation_space.sizes)  # Which of the two is ordered is forgotten.
    return replace(settings, common_space=joint.to_plain())


def own_seed(shared_seed: bytes, agent: int) -> bytes:
    """Seed of agent ``agent``'s learner; no two agents draw the same numbers."""
    return derive_key(f"independent learner {agent}", shared_seed)


class IndependentReplica(Replica):
    """Agent ``agent``'s own learner; satisfies what an agent needs of a replica."""

    compares_learners = False

    def __init__(
        self,
        settings: CoordinatorSettings,
        shared_seed: bytes,
        agent: int,
        observation_space: Space,
        start: Snapshot | None = None,
    ) -> None:
        super().__init__(own_settings(settings, observation_space), own_seed(shared_seed, agent), start)
        copies = settings.learner.num_envs
        self.settings = settings
        self._keyed = KeyedDigest(derive_key("step digest", shared_seed))
        self._layout = CommonLayout(space_from_plain(settings.common_space), copies)
        self._own_layout = ObservationLayout(observation_space, copies)
        self._shown: tuple[int, bytes] | None = None

    def show(self, step: int, observation: bytes) -> None:
        """What agent k alone observes at record ``step``; before ``receive`` of that record."""
        self._shown = step, observation

    def _read(self, record: Record) -> CommonRecord:
        step = record.step
        if self._shown is None or self._shown[0] != step:
            raise InvariantError(f"an independent learner was given record {step} without the observation of that step")
        told = self._layout.unpack(record)
        observation = self._own_layout.read(self._shown[1], step)
        return told._replace(common=np.concatenate((told.common, observation), axis=1))


def replica_of(
    settings: CoordinatorSettings,
    shared_seed: bytes,
    agent: int,
    observation_space: Space,
    rule: StartingRule | None = None,
) -> Replica:
    """What agent ``agent`` learns with: a replica of the one learner, or its own.

    Raises:
        MismatchError: if the settings name another learned rule than ``rule``, or it does not fit.
    """
    start = start_of(settings, rule, agent)
    if settings.mode.one_learner:
        return Replica(settings, shared_seed, start)
    return IndependentReplica(settings, shared_seed, agent, observation_space, start)
