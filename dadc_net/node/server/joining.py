"""Places in the team: who asks for one, who holds one, who claims one that is taken, and who is asked for a sign of life.

    asks for a free place       compared with the team and with the log; seated, or refused with the reason
    asks for a taken one        waits, while its holder is asked whether it lives
    the holder answers          the other one is refused
    the holder goes, is silent  the other one is compared again, because the log has gone on, and seated

What an agent that is seated is sent is not decided here.
"""

from __future__ import annotations

from typing import NamedTuple

from dadc_net.errors import DadcError
from dadc_net.node.messages import Alive, Fault, Probe
from dadc_net.node.server.admission import check_past
from dadc_net.node.server.probing import Probing
from dadc_net.node.server.roster import Claim, Credentials, Member, Roster
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.terms import Delivery


class Seating(NamedTuple):
    """What came of a wish, or of a place that has become free."""

    deliveries: list[Delivery]
    seated: int | None = None
    """The agent that has its place now."""


class Joining:
    """The places of one run."""

    def __init__(self, log: ServerLog, roster: Roster, run_id: bytes, epoch: int) -> None:
        self.roster = roster
        self._log = log
        self._run_id = run_id
        self._epoch = epoch
        self._probing = Probing()
        self.unanswered = self._probing.unanswered
        """Members that were asked whether they live, and have said nothing since."""

    def ask(self, member: Member, key_agent: int | None, barred: DadcError | None, now: float) -> Seating:
        """``member`` wants its place, with the key of ``key_agent``; ``barred``: why nobody gets one at present.

        Raises:
            CorruptStateError: if the log that it must be compared with cannot be read.
        """
        refusal = barred or self.roster.check(member.join, key_agent) or self._check_past(member)
        if refusal is not None:
            return Seating([refuse(member.peer, refusal)])
        agent = member.join.agent
        holder = self.roster.members.get(agent)
        if holder is not None and holder.peer != member.peer:
            self.roster.claim(member, now)
            return Seating(self.probe(agent, now))
        return self._seat(member)

    def _check_past(self, member: Member) -> DadcError | None:
        return check_past(member.join, self._run_id, self._epoch, self._log)

    def _seat(self, member: Member) -> Seating:
        join = member.join
        self.leave(join.agent)
        self.roster.seat(member)
        self._log.witness(join.agent, join.next_step - 1, join.head)
        return Seating([], join.agent)

    def leave(self, agent: int) -> None:
        """Forget the process that has the place of ``agent``."""
        self.roster.leave(agent)
        self._probing.forget(agent)

    def hand_over(self, agent: int) -> Seating:
        """The holder has gone; whoever claims its place gets it, if it still fits. Raises like ``ask``."""
        claim: Claim | None = self.roster.claims.pop(agent, None)
        self.leave(agent)
        if claim is None:
            return Seating([])
        refusal = self._check_past(claim.member)  # The log may have gone on since the claim was made.
        return self._seat(claim.member) if refusal is None else Seating([refuse(claim.member.peer, refusal)])

    def note_team(self) -> None:
        """All places are taken for the first time: what all agents said then is kept."""
        if self.roster.known is None:
            self.roster.known = Credentials.of(self.roster.members[1].join)
            self._log.journal.note("team", self.roster.known.to_plain())

    # --- signs of life ------------------------------------------------------------------------------------------

    def heard(self, agent: int) -> None:
        """``agent`` said something."""
        self._probing.heard(agent)

    def probe(self, agent: int, now: float) -> list[Delivery]:
        """Ask a member whether it lives, unless it was asked a moment ago; with the question of a claim, if there is one."""
        if not self._probing.ask(agent, now):
            return []
        claim = self.roster.claims.get(agent)
        return [Delivery(self.roster.members[agent].peer, Probe(agent, 0 if claim is None else claim.probe))]

    def alive(self, agent: int, alive: Alive) -> list[Delivery]:
        """``agent`` lives; whoever claims its place is refused, if that was what it was asked for."""
        claim = self.roster.claims.get(agent)
        if claim is None or alive.number != claim.probe:
            return []  # Said before the question was asked, perhaps by a process that has died since.
        del self.roster.claims[agent]
        return [refuse(claim.member.peer, Roster.duplicate(claim, self.roster.members[agent]))]

    def silent(self, now: float) -> list[int]:
        """Agents whose place is claimed, and that were asked long enough ago."""
        return [agent for agent, claim in self.roster.claims.items() if now >= claim.deadline]

    def refuse_claims(self, error: DadcError) -> list[Delivery]:
        """The run has failed: tell those who wait for a place."""
        return [refuse(claim.member.peer, error) for claim in self.roster.claims.values()]


def refuse(peer: bytes, error: DadcError) -> Delivery:
    """Tell ``peer`` why it cannot take part."""
    return Delivery(peer, Fault(error.exit_code, str(error)))
