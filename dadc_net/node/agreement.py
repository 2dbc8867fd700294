"""Agreement: are the digests that K agents reported for one record equal, and if not, who differs?

The server compares and reports; it never sends a digest to an agent, and no digest enters learning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Divergence:
    """The first record whose digests differ."""

    step: int
    phase: str
    """``act``: parameters, AIS or prescription of this step; ``update``: learner state after the update."""
    update: int | None
    digests: dict[int, bytes]
    """agent -> digest"""
    suspects: tuple[int, ...]
    """The minority where there is a strict majority; otherwise every agent."""

    def text(self) -> str:
        """Three sentences for people."""
        shown = ", ".join(f"agent {agent}: {value.hex()[:16]}" for agent, value in sorted(self.digests.items()))
        where = (
            "parameters, AIS and prescription" if self.phase == "act" else f"learner state after update {self.update}"
        )
        names = " and ".join(f"agent {agent}" for agent in self.suspects)
        everyone = len(self.suspects) == len(self.digests)
        blame = f"{names} differ and neither has a majority" if everyone else f"{names} is in the minority"
        return (
            f"the replicas diverged: digests of the {where} are {shown}. It happened at step {self.step}, and all agents "
            f"received the same common information up to it; {blame}. Run dadc selftest on each host, and dadc check on "
            "the run's folders to see the tensor."
        )


def find_suspects(digests: Mapping[int, bytes]) -> tuple[int, ...]:
    """Agents outside a strict majority of equal digests, or all agents when there is none."""
    (value, votes), *_ = Counter(digests.values()).most_common(1)
    if 2 * votes > len(digests):
        return tuple(sorted(agent for agent, digest in digests.items() if digest != value))
    return tuple(sorted(digests))


def compare(
    step: int, update: int | None, step_digests: Mapping[int, bytes], update_digests: Mapping[int, bytes]
) -> Divergence | None:
    """The divergence in one record's answers, if any.

    At a record that closed a batch the update came first, so its digest is compared first.

    Args:
        update: index of the update that this record closed, None if it closed none.
        step_digests, update_digests: agent -> digest.
    """
    if update is not None and len(set(update_digests.values())) > 1:
        return Divergence(step, "update", update, dict(update_digests), find_suspects(update_digests))
    if len(set(step_digests.values())) > 1:
        return Divergence(step, "act", update, dict(step_digests), find_suspects(step_digests))
    return None
