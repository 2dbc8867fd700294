"""Everything an agent is told about its task: the settings of the virtual coordinator.

They travel from the environment server to every agent when a run begins, and their digest is part of what must be
equal. They hold spaces, counts, the discount and the learner's settings; never a parameter of the environment, which
agents do not know (paper, Section 5: the model is unknown).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.algorithms.spec import AlgorithmSpec, Situation, kind_of
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.factored import FactoredSettings
from dadc_net.coordinator.settings.gaussian import GaussianSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.coordinator.settings.learning import MODES, SHARED, LearningMode
from dadc_net.coordinator.settings.schedule import ScheduleSettings
from dadc_net.coordinator.settings.size import check_size
from dadc_net.coordinator.settings.start import StartSettings
from dadc_net.errors import ConfigError
from dadc_net.exact import canonical
from dadc_net.exact.digest import digest
from dadc_net.schema import Checked, convert, from_plain, require, require_word, to_plain
from dadc_net.team.spaces import FiniteSpace, space_from_plain

OWN_SECTIONS = {spec.settings.section: spec.settings for spec in ALGORITHMS.values() if spec.settings is not None}
"""Sections of single algorithms: name -> defaults."""
Section = TypeVar("Section", bound=Checked)


@dataclass(frozen=True, kw_only=True)
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
    """Record of the space of prescription parameters: one finite factor for a menu, several, or a box."""
    learning: str = SHARED.name
    """Name of the mode of learning."""
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    ais: AisSettings = field(default_factory=AisSettings)
    gaussian: GaussianSettings = field(default_factory=GaussianSettings)
    factored: FactoredSettings = field(default_factory=FactoredSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    start: StartSettings = field(default_factory=StartSettings)
    revealed: dict[str, Any] = field(default_factory=dict)
    """What tells which choices acted, where factored.credit is used: ``team.used_choices.credit_record``; else empty."""
    own: dict[str, Any] = field(default_factory=dict)
    """Settings of single algorithms by section; a section that is left out has its defaults."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", {**OWN_SECTIONS, **self.own})
        require(1 <= self.num_agents <= 32767, "agents", self.num_agents, "Give 1 to 32767.")
        require(1 <= self.updates <= 10**9, "updates", self.updates, "Give at least 1.")
        require(0 < self.discount <= 1, "discount", self.discount, "Give a number above 0 and at most 1.")
        require_word("algorithm", self.algorithm, tuple(ALGORITHMS))
        require_word("learning", self.learning, tuple(MODES))
        common = space_from_plain(self.common_space)
        theta = space_from_plain(self.theta_space)
        able = [name for name, spec in ALGORITHMS.items() if kind_of(theta) in spec.thetas]
        self.spec.check(Situation(self.own_section, self.ais, common, theta), able)
        self._check_credit()
        self._check_imitation()
        check_size(self.learner, self.ais, self.own_section, common, theta)

    def _check_credit(self) -> None:
        if (self.factored.credit == "used") != bool(self.revealed):
            raise ConfigError(
                f"factored.credit is {self.factored.credit!r}, but revealed is {self.revealed!r}. One comes with the other. "
                "Give both or none."
            )
        able = [name for name, spec in ALGORITHMS.items() if spec.credits_used]
        if self.revealed and not self.spec.credits_used:
            raise ConfigError(
                f"factored.credit is 'used', but the algorithm {self.algorithm} gives credit to all choices. Nothing was "
                f"started. Set factored.credit=all, or choose an algorithm that can: {', '.join(able)}."
            )

    def _check_imitation(self) -> None:
        if self.learner.imitation_weight > 0.0 and not self.spec.imitates:
            able = [name for name, spec in ALGORITHMS.items() if spec.imitates]
            raise ConfigError(
                f"learner.imitation_weight is {self.learner.imitation_weight}, but the algorithm {self.algorithm} follows "
                "nothing again. Nothing was started. Set learner.imitation_weight=0, or choose an algorithm that can: "
                f"{', '.join(able)}."
            )

    @property
    def spec(self) -> AlgorithmSpec:
        """What the algorithm is."""
        return ALGORITHMS[self.algorithm]

    @property
    def own_section(self) -> Any:
        """Settings of the algorithm that is used; None where it has none."""
        return None if self.spec.settings is None else self.own[self.spec.settings.section]

    def section(self, kind: type[Section]) -> Section:
        """The settings of one algorithm, by their class."""
        found: Section = self.own[kind.section]
        return found

    @property
    def num_prescriptions(self) -> int:
        """M, entries of the prescription menu; 0 where theta is something else."""
        space = space_from_plain(self.theta_space)
        return space.num_values if isinstance(space, FiniteSpace) and len(space.sizes) == 1 else 0

    @property
    def plays_corners(self) -> bool:
        """Whether only the corners of the box of theta are played."""
        return self.spec.plays_corners(self.own_section)

    def is_uniform(self, update: int) -> bool:
        """Whether prescriptions are drawn uniformly after ``update`` updates; the batch that follows is not the rule's."""
        return update < self.learner.uniform_share * self.updates

    @property
    def mode(self) -> LearningMode:
        """Who learns: what is compared between agents, valued and kept."""
        return MODES[self.learning]

    @property
    def learners(self) -> list[list[int]]:
        """The agents that are replicas of each learner."""
        return self.mode.learners(self.num_agents)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire and for files; the sections of single algorithms stand beside the others."""
        plain = to_plain(self)
        own: dict[str, Any] = plain.pop("own")
        return {**plain, **own}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> CoordinatorSettings:
        """The inverse of ``to_plain``. Raises ConfigError for anything else."""
        shared = {key: value for key, value in record.items() if key not in OWN_SECTIONS}
        if "own" in shared:
            raise ConfigError("There is no key own. It is not part of a configuration. Remove it.")
        given = {name: convert(dict, record[name], name) for name in OWN_SECTIONS if name in record}
        own = {name: from_plain(type(OWN_SECTIONS[name]), section, f"{name}.") for name, section in given.items()}
        return from_plain(cls, {**shared, "own": own}, "")

    def digest(self) -> bytes:
        """32 bytes that are equal exactly when two agents have the same settings."""
        return digest(b"dadc-net settings", canonical.encode(self.to_plain()))
