"""The modes of learning: who learns, and so what is compared between agents, valued and kept.

    shared        all agents are replicas of one coordinator (the paper)
    independent   each agent learns alone from what it knows itself, the baseline of Section 7
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Snapshot = Mapping[str, NDArray[Any]]
"""A learner's state, or several learners', by name."""


@dataclass(frozen=True)
class LearningMode:
    """One of the modes."""

    name: str
    one_learner: bool
    """Whether all agents are replicas of one learner: then all that they compute must be equal, the common log alone gives
    it again, and its value can be followed during the run. Several learners differ by construction; of a step only the
    common log is compared, and they are valued together, at the end."""

    def learners(self, num_agents: int) -> list[list[int]]:
        """The agents that are replicas of each learner; the learner is kept once, by the first of them."""
        everybody = list(range(1, num_agents + 1))
        return [everybody] if self.one_learner else [[agent] for agent in everybody]

    def joined(self, snapshots: Sequence[Snapshot]) -> Snapshot:
        """All that was learned, from the snapshot of each learner."""
        if self.one_learner:
            return snapshots[0]
        return {f"agent-{k}/{name}": array for k, own in enumerate(snapshots, start=1) for name, array in own.items()}

    def part(self, joined: Snapshot, agent: int) -> Snapshot:
        """The learner that ``agent`` is a replica of, out of ``joined``."""
        if self.one_learner:
            return joined
        prefix = f"agent-{agent}/"
        return {name.removeprefix(prefix): array for name, array in joined.items() if name.startswith(prefix)}


SHARED = LearningMode("shared", one_learner=True)
INDEPENDENT = LearningMode("independent", one_learner=False)
MODES = {mode.name: mode for mode in (SHARED, INDEPENDENT)}
"""Name in the configuration -> mode."""
