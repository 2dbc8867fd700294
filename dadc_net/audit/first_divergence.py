"""Where journals part first, who is to blame as far as that can be told, and on which hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

REFEREE = "referee"
"""Name of the fresh learner among the parties."""


@dataclass(frozen=True)
class FirstDivergence:
    """The first value that is not the same everywhere."""

    step: int
    phase: str
    """log, update, act or delivery."""
    component: str
    tensor: str
    agents: list[int]
    """Whom the referee or a majority finds wrong; all where neither can tell. 0 is the server."""
    digests: dict[str, str]
    """party -> digest (hex)"""
    decided_by: str = ""
    """referee, majority, or empty: nobody can tell who is wrong."""
    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    """agent -> host name and what of its host facts is not the same on all hosts"""

    def text(self) -> str:
        """One sentence for people, and one line for each host."""
        shown = ", ".join(f"{party} {value[:16]}" for party, value in self.digests.items())
        names = " and ".join("the server" if agent == 0 else f"agent {agent}" for agent in self.agents)
        one = len(self.agents) == 1
        if self.decided_by:
            blame = f"{names} {'is' if one else 'are'} wrong, says the {self.decided_by}"
        else:
            blame = f"{names} differ{'s' if one else ''}"
        where = [f"  {party}: {', '.join(f'{k} {v}' for k, v in facts.items())}" for party, facts in self.hosts.items()]
        sentence = (
            f"first divergence at step {self.step}, phase {self.phase}, component {self.component}, tensor "
            f"{self.tensor}: {shown}; {blame}"
        )
        return "\n".join([sentence, *where])


def differing_facts(hosts: Mapping[str, Mapping[str, str]], always: Sequence[str] = ("hostname",)) -> dict[str, Any]:
    """party -> what is not the same on all hosts, and ``always``; process ids differ everywhere and say nothing."""
    names = list(dict.fromkeys(name for facts in hosts.values() for name in facts if name != "pid"))
    kept = [name for name in names if name in always or len({facts.get(name) for facts in hosts.values()}) > 1]
    return {party: {name: facts.get(name, "") for name in kept} for party, facts in hosts.items()}
