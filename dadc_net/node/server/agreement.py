"""Agreement: are the digests that K agents reported for one record equal, and if not, who differs?

The server compares and reports; it never sends a digest to an agent, and no digest enters learning. What it reports is
read by every agent, so a report names only digests that each of them could compute itself: those of what all agents
share. Of an agent's actions it names none: there are so few that whoever is told a hash of them finds them by trying.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dadc_net.node.messages import Act
from dadc_net.node.rows import Answers


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first record whose digests differ."""

    step: int
    phase: str
    """``act``: parameters, AIS or prescription of this step; ``update``: learner state after the update; ``action``."""
    update: int | None
    digests: dict[int, bytes]
    """agent -> digest; empty where a digest would tell of what not every agent knows"""
    suspects: tuple[int, ...]
    """The minority where there is a strict majority; otherwise every agent."""
    again: bool = False
    """The suspect went through an old record again and answered it otherwise than it did before."""
    before: bytes = b""
    """With ``again``: the digest that the suspect gave then."""
    component: str = ""
    """Part of the learner that differs first; empty before the agents were asked."""
    tensor: str = ""
    hosts: tuple[str, ...] = ()
    """Agents with their hosts and what these run."""

    def text(self) -> str:
        """Three sentences for people."""
        where = {
            "act": "parameters, AIS and prescription",
            "update": f"learner state after update {self.update}",
            "action": "actions",
        }[self.phase]
        shown = ", ".join(f"agent {agent}: {value.hex()[:16]}" for agent, value in sorted(self.digests.items()))
        shown += f", and {self.before.hex()[:16]} when it first met this record" if self.before else ""
        found = f"digests of the {where} are {shown}" if shown else f"{where} are not shown, because they are private"
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
            f"the replicas diverged: {found}. It happened at {place}, and all agents "
            f"received the same common information up to it; {blame}.{hosts} Run dadc selftest on each host, and dadc check "
            "on the run's folders."
        )


def find_suspects(digests: Mapping[int, bytes]) -> tuple[int, ...]:
    """Agents outside a strict majority of equal digests, or all agents when there is none."""
    (value, votes), *_ = Counter(digests.values()).most_common(1)
    if 2 * votes > len(digests):
        return tuple(sorted(agent for agent, digest in digests.items() if digest != value))
    return tuple(sorted(digests))


def compare(answers: Answers, update: int | None) -> Divergence | None:
    """The divergence in all agents' answers to one record, if any.

    At a record that closed a batch the update came first, so its digest is compared first.

    Args:
        update: index of the update that this record closed and whose digests must be equal; None if there is none.
    """
    by_phase = {"act": answers.step_digests}
    if update is not None:
        by_phase = {"update": answers.learner_digests, **by_phase}
    for phase, column in by_phase.items():
        if column.count(column[0]) < len(column):
            digests = dict(enumerate(column, start=1))
            suspects = find_suspects(digests)
            return Divergence(step=answers.step, phase=phase, update=update, digests=digests, suspects=suspects)
    return None


def compare_again(before: Answers, agent: int, act: Act, update: int | None, shared: bool) -> Divergence | None:
    """Does an agent that goes through an old record again answer it as it did ``before``?

    ``shared``: all agents have one learner; otherwise its digest is the agent's own and is not shown.
    """
    now = (act.learner_digest, act.step_digest, act.actions)
    kept = (before.learner_digests, before.step_digests, before.actions)
    for phase, value, columns in zip(("update", "act", "action"), now, kept, strict=True):
        then = columns[agent - 1]
        if value == then:
            continue
        shown = shared and phase != "action"
        return Divergence(
            step=act.step,
            phase=phase,
            update=update,
            digests={agent: value} if shown else {},
            suspects=(agent,),
            again=True,
            before=then if shown else b"",
        )
    return None
