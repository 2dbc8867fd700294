"""Everything an agent is told about its task: the settings of the virtual coordinator.

They travel from the environment server to every agent when a run begins, and their digest is part of what must be
equal. They hold spaces, counts, the discount and the learner's settings; never a parameter of the environment, which
agents do not know (paper, Section 5: the model is unknown).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dadc_net.coordinator.compatibility import check_compatibility
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.algorithms import (
    GaussianSettings,
    NafSettings,
    PlanningSettings,
    PpoSettings,
    QActorCriticSettings,
    TrpoSettings,
)
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.coordinator.settings.schedule import ScheduleSettings
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.schema import from_plain, require, require_word, to_plain
from dadc_net.team.spaces import BoxSpace, FiniteSpace, space_from_plain

LEARNING = ("shared", "independent")
ALGORITHMS = ("actor-critic", "ppo", "trpo", "q-actor-critic", "ais-planning", "naf-dqn")


@dataclass(frozen=True)
class CoordinatorSettings:
    """All that determines the learner besides the shared seed and the common information."""

    num_agents: int
    updates: int
    """Updates of the whole run; the schedules of learning rate and entropy end with it."""
    discount: float
    algorithm: str
    common_space: dict[str, Any]
    """Record of the space of z_t."""
    theta_space: dict[str, Any]
    """Record of the space of prescription parameters: one finite factor for a menu, or a box."""
    learning: str = "shared"
    """shared: all agents are replicas of one coordinator. independent: each learns alone from what it knows itself, the
    baseline of Section 7."""
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    ais: AisSettings = field(default_factory=AisSettings)
    ppo: PpoSettings = field(default_factory=PpoSettings)
    trpo: TrpoSettings = field(default_factory=TrpoSettings)
    q: QActorCriticSettings = field(default_factory=QActorCriticSettings)
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    gaussian: GaussianSettings = field(default_factory=GaussianSettings)
    naf: NafSettings = field(default_factory=NafSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)

    def __post_init__(self) -> None:
        require(1 <= self.num_agents <= 32767, "agents", self.num_agents, "Give 1 to 32767.")
        require(1 <= self.updates <= 10**9, "updates", self.updates, "Give at least 1.")
        require(0 < self.discount <= 1, "discount", self.discount, "Give a number above 0 and at most 1.")
        require_word("algorithm", self.algorithm, ALGORITHMS)
        require_word("learning", self.learning, LEARNING)
        corners = self.theta_dimensions if self.plays_corners else 0
        check_compatibility(self.algorithm, self.num_prescriptions, corners, self.ais)

    @property
    def num_prescriptions(self) -> int:
        """M, entries of the prescription menu; 0 where theta is continuous."""
        space = space_from_plain(self.theta_space)
        return space.num_values if isinstance(space, FiniteSpace) else 0

    @property
    def theta_dimensions(self) -> int:
        """D, dimensions of a continuous theta; 0 for a menu."""
        space = space_from_plain(self.theta_space)
        return len(space.low) if isinstance(space, BoxSpace) else 0

    @property
    def plays_corners(self) -> bool:
        """Whether only the corners of the box of theta are played."""
        return self.algorithm == "naf-dqn" and self.naf.plays == "corners"

    @property
    def is_shared(self) -> bool:
        """Whether all agents are replicas of one learner, so that everything they compute must be equal."""
        return self.learning == "shared"

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire and for files."""
        return to_plain(self)

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> CoordinatorSettings:
        """The inverse of ``to_plain``. Raises ConfigError for anything else."""
        return from_plain(cls, record, "")

    def digest(self) -> bytes:
        """32 bytes that are equal exactly when two agents have the same settings."""
        return digest(b"dadc-net settings", canonical.encode(self.to_plain()))
