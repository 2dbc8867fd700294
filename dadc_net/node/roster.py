"""Who takes part: joining, what must be equal, and what happens when an id is claimed twice.

A joining agent is compared with the server (its settings digest, where it insists on one) and with the agents that are
already there (seed commitment and self-test digest, which the server can compare but not check). One that does not fit
is refused with the reason and the right exit code; the others go on waiting.

An id that is taken is not given away lightly: the process that holds it is probed. If it answers, the newcomer is
refused (exit 14). If the transport says it has gone, or it stays silent for ``PROBE_SECONDS``, the newcomer takes over.
"""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.errors import AuthenticationError, DadcError, DuplicateAgentError, MismatchError, UsageError
from dadc_net.node.messages import Join

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Member:
    """An agent that has joined: its connection and what it said."""

    peer: bytes
    join: Join


@dataclass(frozen=True)
class Claim:
    """A second process that claims an id, while the first is being probed."""

    member: Member
    deadline: float
    """Monotonic seconds at which silence counts as gone."""


class Roster:
    """Members by agent id, 1..K."""

    def __init__(self, num_agents: int, settings_digest: bytes) -> None:
        self.num_agents = num_agents
        self._settings_digest = settings_digest
        self.members: dict[int, Member] = {}
        self.claims: dict[int, Claim] = {}
        self._agents: dict[bytes, int] = {}

    @property
    def complete(self) -> bool:
        """Whether all K agents have joined and none is disputed."""
        return len(self.members) == self.num_agents and not self.claims

    @property
    def missing(self) -> list[int]:
        """Ids that nobody has joined under."""
        return [agent for agent in range(1, self.num_agents + 1) if agent not in self.members]

    def agent_of(self, peer: bytes) -> int | None:
        """The id under which ``peer`` takes part."""
        return self._agents.get(peer)

    def check(self, join: Join, key_agent: int | None) -> DadcError | None:
        """Why this agent cannot take part, or None; ``key_agent`` is the owner of the key it authenticated with."""
        agent = join.agent
        if not 1 <= agent <= self.num_agents:
            return UsageError(
                f"agent id {agent} is out of range: this run has {self.num_agents} agents, numbered from 1 to "
                f"{self.num_agents}. Nothing was started under this id. Start dadc-agent with another --id."
            )
        if key_agent is not None and key_agent != agent:
            return AuthenticationError(
                f"a process with the key of agent {key_agent} asked to join as agent {agent}. An agent is who its key "
                f"says. Use --id {key_agent}, or give it the key of agent {agent}."
            )
        if join.settings_digest and join.settings_digest != self._settings_digest:
            return MismatchError(
                f"agent {agent} insists on settings with digest {join.settings_digest.hex()[:16]}, the server's have "
                f"{self._settings_digest.hex()[:16]}. No step was taken. Give both the same task and options, or start "
                "the agent without --config."
            )
        return self._compare_with_members(join)

    def _compare_with_members(self, join: Join) -> DadcError | None:
        others = [member for agent, member in self.members.items() if agent != join.agent]
        for other in others:
            if other.join.selftest != join.selftest:
                return MismatchError(
                    f"agent {join.agent}'s host computes {_differing(join, other.join)} otherwise: its self-test digest is "
                    f"{join.selftest.hex()[:16]}, agent {other.join.agent}'s is {other.join.selftest.hex()[:16]}. No step "
                    "was taken. Run dadc selftest on both hosts and install the same version of dadc-net."
                )
            if other.join.commitment != join.commitment:
                return MismatchError(
                    f"agent {join.agent}'s shared seed differs from agent {other.join.agent}'s: commitments "
                    f"{join.commitment.hex()[:16]} and {other.join.commitment.hex()[:16]}. No step was taken. Start "
                    "every agent with the same --seed or --seed-file."
                )
        return None

    def seat(self, member: Member) -> None:
        """Give ``member`` its place."""
        former = self.members.get(member.join.agent)
        if former is not None:
            self._agents.pop(former.peer, None)
        self.members[member.join.agent] = member
        self._agents[member.peer] = member.join.agent

    def leave(self, agent: int) -> None:
        """Forget the process that joined as ``agent``."""
        member = self.members.pop(agent, None)
        if member is not None:
            self._agents.pop(member.peer, None)

    @staticmethod
    def duplicate(claim: Claim, holder: Member) -> DuplicateAgentError:
        """The refusal of a second process under a live id."""
        host = holder.join.host
        where = f"host {host.get('hostname', 'unknown')}, process {host.get('pid', 'unknown')}"
        agent = claim.member.join.agent
        return DuplicateAgentError(
            f"agent {agent} is already running on {where}, and it answers. This second process was refused; the first "
            "goes on undisturbed. Stop the first one, or start this one with another --id."
        )


def _differing(one: Join, other: Join) -> str:
    """The primitives that two agents answer differently, or that one of them does not know; "something" if unknown."""
    names = [*one.answers, *(name for name in other.answers if name not in one.answers)]
    return ", ".join(name for name in names if one.answers.get(name) != other.answers.get(name)) or "something"
