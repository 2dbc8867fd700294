"""After a divergence: which component, which tensor, which agents, on which hosts?

The step digests only say that replicas differ. Before the server stops the run it asks every agent for the digests of the
record by component; they are keyed with the shared seed like the step digest, so the server can compare them and learn
nothing else. Agents hold them for every record in their journals. The first name that differs, causes before effects, is
the answer; an agent that does not answer in time is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dadc_net.errors import NAME_MAX, DivergenceError, foreign_words
from dadc_net.node.messages import Account
from dadc_net.node.server.agreement import Divergence, find_suspects

PATIENCE_SECONDS = 10.0
_ALL_PARAMETERS = "act/parameters/all"
_HOST_FACTS = ("machine", "cpu", "python", "numpy", "torch", "kernels", "blas")


class Inquiry:
    """Collects the agents' accounts of one record."""

    def __init__(self, divergence: Divergence, asked: set[int], now: float) -> None:
        self.divergence = divergence
        self.deadline = now + PATIENCE_SECONDS
        self._asked = asked
        self._accounts: dict[int, Account] = {}

    def add(self, account: Account) -> None:
        """One agent's account; one of another record is ignored."""
        if account.step == self.divergence.step:
            self._accounts[account.agent] = account

    def over(self, now: float, present: set[int]) -> bool:
        """Whether nobody who is still there has yet to answer, or time is up."""
        return now >= self.deadline or not (self._asked & present) - set(self._accounts)

    def verdict(self, hosts: Mapping[int, Mapping[str, str]]) -> Divergence:
        """The divergence with what the accounts say."""
        told = tuple(f"agent {agent} on {_host_text(facts)}" for agent, facts in sorted(hosts.items()))
        found = replace(self.divergence, hosts=told)
        name = self._first_difference("update/") or self._first_difference("act/")
        if name == _ALL_PARAMETERS:
            name = self._first_difference("state/") or name
        if not name:
            return found
        _, component, tensor = name.split("/", 2)
        values = self._values(name)
        whole = len(values) == len(found.digests) and not found.again
        return replace(
            found, component=component, tensor=tensor, suspects=find_suspects(values) if whole else found.suspects
        )

    def _values(self, name: str) -> dict[int, bytes]:
        return {agent: account.digests[name] for agent, account in self._accounts.items() if name in account.digests}

    def _first_difference(self, prefix: str) -> str:
        names = next(iter(self._accounts.values())).digests if self._accounts else {}
        for name in names:
            if name.startswith(prefix) and len(set(self._values(name).values())) > 1:
                return name
        return ""


def _host_text(facts: Mapping[str, str]) -> str:
    known = (f"{name} {foreign_words(facts[name], NAME_MAX)}" for name in _HOST_FACTS if name in facts)
    return ", ".join([foreign_words(facts.get("hostname", "an unnamed host"), NAME_MAX), *known])


def error_of(divergence: Divergence) -> DivergenceError:
    """What every party exits with."""
    return DivergenceError(divergence.text())
