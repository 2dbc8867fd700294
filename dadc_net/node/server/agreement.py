"""Agreement: are the digests that K agents reported for one record equal, and if not, who differs?

The server compares and reports; it never sends a digest to an agent, and no digest enters learning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dadc_net.exact.digest import digest
from dadc_net.node.messages import Act
from dadc_net.node.rows import Answers


@dataclass(frozen=True)
class Divergence:
    """The first record whose digests differ."""

    step: int
    phase: str
    """``act``: parameters, AIS or prescription of this step; ``update``: learner state after the update; ``action``."""
    update: int | None
    digests: dict[int, bytes]
    """agent -> digest"""
    suspects: tuple[int, ...]
    """The minority where there is a strict majority; otherwise every agent."""
    again: bool = False
    """The suspect went through an old record again and answered it otherwise than it did before."""
    component: str = ""
    """Part of the learner that differs first; empty before the agents were asked."""
    tensor: str = ""
    hosts: tuple[str, ...] = ()
    """Agents with their hosts and what these run."""

    def text(self) -> str:
        """Three sentences for people."""
        shown = ", ".join(f"agent {agent}: {value.hex()[:16]}" for agent, value in sorted(self.digests.items()))
        where = {
            "act": "parameters, AIS and prescription",
            "update": f"learner state after update {self.update}",
            "action": "actions",
        }[self.phase]
        names = " and ".join(f"agent {agent}" for agent in self.suspects)
        everyone = len(self.suspects) == len(self.digests)
        blame = f"{names} differ and neither has a majority" if everyone else f"{names} is in the minority"
        if self.again:
            blame = f"{names} answered this record otherwise when it first met it"
        place = f"step {self.step}, phase {self.phase}"
        if self.component:
            place += f", component {self.component}, tensor {self.tensor}"
        hosts = f" Hosts: {'; '.join(self.hosts)}." if self.hosts else ""
        return (
            f"the replicas diverged: digests of the {where} are {shown}. It happened at {place}, and all agents "
            f"received the same common information up to it; {blame}.{hosts} Run dadc selftest on each host, and dadc check "
            "on the run's folders."
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


def compare_again(before: Answers, agent: int, act: Act, update: int | None) -> Divergence | None:
    """Does an agent that goes through an old record again answer it as it did ``before``?"""
    now = (act.update_digest, act.digest, act.actions)
    kept = (before.update_digests, before.digests, before.actions)
    for phase, value, columns in zip(("update", "act", "action"), now, kept, strict=True):
        if value != columns[agent - 1]:
            shown = {k: digest(column) if phase == "action" else column for k, column in enumerate(columns, start=1)}
            shown[agent] = digest(value) if phase == "action" else value
            return Divergence(act.sequence, phase, update, shown, (agent,), again=True)
    return None
