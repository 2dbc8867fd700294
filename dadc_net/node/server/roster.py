"""Who takes part: joining, what must be equal, and what happens when an id is claimed twice.

A joining agent is compared with the server (its settings digest, where it insists on one) and with the agents that are
already there (seed commitment and self-test digest, which the server can compare but not check). One that does not fit
is refused with the reason and the right exit code; the others go on waiting.

An id that is taken is not given away lightly: the process that holds it is probed. If it answers, the newcomer is
refused (exit 14). If the transport says it has gone, or it stays silent for ``PROBE_SECONDS`` while it owes no answer to a
record (one that computes may be silent for longer), the newcomer takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    probe: int
    """Number of the question that the holder was asked because of it."""


class Credentials(NamedTuple):
    """What must be equal for all agents of a run."""

    commitment: bytes
    selftest: bytes
    answers: Mapping[str, str]
    """As in ``Join``; names what differs and decides nothing."""

    @classmethod
    def of(cls, join: Join) -> Credentials:
        """What a joining agent says."""
        return cls(join.commitment, join.selftest, join.answers)

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Credentials:
        """The inverse of ``to_plain``."""
        return cls(bytes.fromhex(record["commitment"]), bytes.fromhex(record["selftest"]), record["answers"])

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return {
            "commitment": self.commitment.hex(),
            "selftest": self.selftest.hex(),
            "answers": dict(self.answers),
        }


class Roster:
    """Members by agent id, 1..K."""

    def __init__(
        self, num_agents: int, settings_digest: bytes, known: Credentials | None = None, rule: str = ""
    ) -> None:
        """Args:
        known: what the agents of this run said when it began, if it has begun before.
        rule: digest, in hexadecimal, of the learned rule that the run begins with; empty: with none.
        """
        self._rule = rule
        self.known = known
        self.num_agents = num_agents
        self._settings_digest = settings_digest
        self.members: dict[int, Member] = {}
        self.claims: dict[int, Claim] = {}
        self.agents: dict[bytes, int] = {}
        """Connection -> the id under which it takes part."""
        self._left: dict[int, bytes] = {}
        """Agent -> the connection of who had its place last, where it is free again."""
        self._probes = 0

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
        return self.agents.get(peer)

    def left(self, peer: bytes) -> int | None:
        """The id under which ``peer`` took part last, if nobody has its place by now: what it said may be read late."""
        return next((agent for agent, connection in self._left.items() if connection == peer), None)

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
        if join.rule.hex() != self._rule:
            return MismatchError(
                f"agent {agent} would begin with {_named_rule(join.rule.hex())}, this run begins with "
                f"{_named_rule(self._rule)}. No step was taken. Start every agent with --from and the same file, made by "
                "dadc export, and dadc-env with --from and that file or its digest."
            )
        return self._compare_with_members(join)

    def _compare_with_members(self, join: Join) -> DadcError | None:
        others = {
            f"agent {agent}": Credentials.of(member.join)
            for agent, member in self.members.items()
            if agent != join.agent
        }
        if self.known is not None:
            others["the team of this run"] = self.known
        for name, other in others.items():
            if other.selftest != join.selftest:
                return MismatchError(
                    f"agent {join.agent}'s host computes {_differing(join.answers, other.answers)} otherwise: its self-test "
                    f"digest is {join.selftest.hex()[:16]}, that of {name} is {other.selftest.hex()[:16]}. No step was "
                    "taken. Run dadc selftest on both hosts and install the same version of dadc-net."
                )
            if other.commitment != join.commitment:
                return MismatchError(
                    f"agent {join.agent}'s shared seed differs from that of {name}: its commitment is "
                    f"{join.commitment.hex()[:16]}, and theirs, by which a short seed could be found, is not shown to it. "
                    "No step was taken. Start every agent with the same --seed or --seed-file."
                )
        return None

    def claim(self, member: Member, now: float) -> None:
        """A second process claims a taken id; ``claims`` has the number of the question that its holder must answer.

        One that claims again keeps its first deadline and question, or it would wait for ever.
        """
        agent = member.join.agent
        former = self.claims.get(agent)
        if former is None:
            self._probes += 1
            self.claims[agent] = Claim(member, now + PROBE_SECONDS, self._probes)
        else:
            self.claims[agent] = Claim(member, former.deadline, former.probe)

    def postpone(self, seconds: float) -> None:
        """For ``seconds`` nobody could be heard."""
        self.claims = {
            agent: Claim(claim.member, claim.deadline + seconds, claim.probe) for agent, claim in self.claims.items()
        }

    def seat(self, member: Member) -> None:
        """Give ``member`` its place."""
        former = self.members.get(member.join.agent)
        if former is not None:
            self.agents.pop(former.peer, None)
        self._left.pop(member.join.agent, None)
        self.members[member.join.agent] = member
        self.agents[member.peer] = member.join.agent

    def leave(self, agent: int) -> None:
        """Forget the process that joined as ``agent``."""
        member = self.members.pop(agent, None)
        if member is not None:
            self.agents.pop(member.peer, None)
            self._left[agent] = member.peer

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


def _named_rule(rule: str) -> str:
    return f"the learned rule {rule[:16]}" if rule else "no learned rule"


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """The primitives that two agents answer differently, or that one of them does not know; "something" if unknown."""
    names = [*one, *(name for name in other if name not in one)]
    return ", ".join(name for name in names if one.get(name) != other.get(name)) or "something"
