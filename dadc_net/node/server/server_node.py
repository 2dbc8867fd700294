"""The environment server without I/O: a message in, messages for peers out; time and the journal are inputs.

    JOINING   until all K agents have joined; refuses those that do not fit
    RUNNING   lock-step: one record to every agent, one answer from every agent, compare digests, step
    EXAMINING after a divergence; until the agents have said which tensor it is in
    FINISHED  after the last answers; until every agent has said that it kept the result
    FAILED    after a divergence, a straggler or a request to stop; ``error`` says why

Where an agent stands is its own affair: it says at joining which record it waits for, and is sent that record, or the
newest if it is ahead. One that lags, because it was killed or starts with an empty folder, is led through the log by
the same Step and Act as everybody else, and what it answers is compared with what it answered before. One that is ahead
of a server whose disk has lost something answers from its journal. So there is one way to catch up, to rejoin, to resume
and to start. Agents that have gone are waited for.

The barrier takes answers in any order and sorts them by agent, so the order of arrival cannot matter. This file never
imports the coordinator: the server learns neither the shared seed nor parameters nor prescriptions.
"""

from __future__ import annotations

from dadc_net.errors import (
    DadcError,
    DivergenceError,
    InvariantError,
    NumericError,
    ProtocolError,
    UserCodeError,
    error_told_by,
)
from dadc_net.node.messages import Account, Act, Alive, Begin, Bye, End, Fault, Join, Message, Probe, Query, Step, Who
from dadc_net.node.server.admission import check_past, unpack_answer
from dadc_net.node.server.agreement import Divergence, compare, compare_again
from dadc_net.node.server.ending import RunEnding
from dadc_net.node.server.inquiry import Inquiry, error_of
from dadc_net.node.server.probing import Probing
from dadc_net.node.server.resending import Outstanding
from dadc_net.node.server.roster import Credentials, Member, Roster
from dadc_net.node.server.server_log import Answer, ServerLog
from dadc_net.node.server.terms import ClosedStep, Delivery, RunTerms, ServerPhase

_FATAL = (DivergenceError, ProtocolError, NumericError, UserCodeError, InvariantError)
"""What an agent may report that ends the run: the others would meet it too, or could not trust it."""


class EnvironmentServerNode:
    """The server's role in the protocol."""

    def __init__(
        self, log: ServerLog, terms: RunTerms, run_id: bytes, epoch: int = 1, team: Credentials | None = None
    ) -> None:
        """Args:
        log: new, or as ``recover`` gave it back.
        epoch: higher than at any start before.
        team: what the agents said when the run began, if it has begun before.
        """
        self.log = log
        self.terms = terms
        self.run_id = run_id
        self.epoch = epoch
        self.phase = ServerPhase.JOINING
        self.roster = Roster(log.world.num_agents, terms.settings_digest, team)
        self.answers: dict[int, Answer] = {}
        self._ending = RunEnding(terms.last_step, log.world.num_agents)
        self._outstanding = Outstanding()
        self._probing = Probing()
        self._closed: ClosedStep | None = None
        self._inquiry: Inquiry | None = None
        self.learner_digests: dict[int, bytes] = {}
        """By agent, after the last update that all agents agreed on."""
        self.divergence: Divergence | None = None
        self.error: DadcError | None = None
        self.deadline: float | None = None
        """Monotonic seconds until which some agent must answer a record; None before the first tick. Joining again does not
        count: an agent that dies at the same record whenever it is started would hold the team for ever."""

    @property
    def last_step(self) -> int:
        """Index of the run's last record."""
        return self.terms.last_step

    @property
    def num_agents(self) -> int:
        """K."""
        return self.log.world.num_agents

    @property
    def waiting_for(self) -> list[int]:
        """Agents whose answer to the newest record has not come."""
        return [agent for agent in range(1, self.num_agents + 1) if agent not in self.answers]

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do for anybody."""
        return (self.phase is ServerPhase.FINISHED and self._ending.over) or self.phase is ServerPhase.FAILED

    def receive(self, peer: bytes, key_agent: int | None, message: Message, now: float) -> list[Delivery]:
        """React to one message from ``peer``, who authenticated with the key of ``key_agent`` (None: no keys)."""
        try:
            return self._react(peer, key_agent, message, now)
        except DadcError as error:
            return self._fail(error)

    def _react(self, peer: bytes, key_agent: int | None, message: Message, now: float) -> list[Delivery]:
        if isinstance(message, Join):
            return self._join(Member(peer, message), key_agent, now)
        agent = self.roster.agent_of(peer)
        if agent is not None:
            self._probing.heard(agent)
        if agent is None and isinstance(message, Act | Alive | Bye):
            return [] if self.phase is ServerPhase.FAILED else [Delivery(peer, Who())]
        match message:
            case Alive() if agent is not None:
                return self._alive(agent, message, now)
            case Act() if agent is not None:
                return self._act(agent, peer, message, now)
            case Bye() if agent is not None:
                return self._bye(agent, message)
            case Account() if agent is not None and message.agent == agent and self._inquiry is not None:
                self._inquiry.add(message)
                return self._conclude(now)
            case Account():
                return []
            case Fault():
                return [] if agent is None else self._agent_fault(agent, message, now)
            case _:
                text = f"a {type(message).__name__} message may only come from a server. Connect with dadc-agent."
                return [_refuse(peer, ProtocolError(text))]

    # --- joining ------------------------------------------------------------------------------------------------

    def _join(self, member: Member, key_agent: int | None, now: float) -> list[Delivery]:
        join = member.join
        refusal = self.roster.check(join, key_agent)
        if refusal is None:
            refusal = check_past(join, self.run_id, self.epoch, self.log)
        if self.phase is ServerPhase.FAILED:
            refusal = self.error
        elif self.phase is ServerPhase.EXAMINING and self.divergence is not None:
            refusal = error_of(self.divergence)
        if refusal is not None:
            return [_refuse(member.peer, refusal)]
        holder = self.roster.members.get(join.agent)
        if holder is not None and holder.peer != member.peer:
            self.roster.claim(member, now)
            return self._probe(join.agent, now)
        return self._seat(member, now)

    def _seat(self, member: Member, now: float) -> list[Delivery]:
        self._leave(member.join.agent)
        self.roster.seat(member)
        self.log.witness(member.join.agent, member.join.next_step - 1, member.join.head)
        if self.phase is ServerPhase.JOINING:
            return self._begin_if_complete(now)
        return [Delivery(member.peer, self._begin()), *self._serve(member.join.agent, now)]

    def _begin_if_complete(self, now: float) -> list[Delivery]:
        if self.phase is not ServerPhase.JOINING or not self.roster.complete:
            return []
        if self.roster.known is None:
            self.roster.known = Credentials.of(self.roster.members[1].join)
            self.log.journal.note("team", self.roster.known.to_plain())
        if self.log.newest is None:
            self.log.begin()
        self.phase = ServerPhase.RUNNING
        self._progress(now)
        begun = self._to_all(self._begin())
        for agent in range(1, self.num_agents + 1):
            begun += self._serve(agent, now)
        return begun

    def _begin(self) -> Begin:
        return self.terms.begin(self.log.world.problem, self.run_id, self.epoch)

    def _alive(self, agent: int, alive: Alive, now: float) -> list[Delivery]:
        claim = self.roster.claims.get(agent)
        if claim is None or alive.number != claim.probe:
            return []  # Said before the question was asked, perhaps by a process that has died since.
        del self.roster.claims[agent]
        refusal = Roster.duplicate(claim, self.roster.members[agent])
        # The claim may have held up a team that was otherwise complete.
        return [_refuse(claim.member.peer, refusal), *self._begin_if_complete(now)]

    # --- lock-step ----------------------------------------------------------------------------------------------

    def _serve(self, agent: int, now: float) -> list[Delivery]:
        """Send a member the record it waits for, or the newest if it is ahead; the end, if it has everything."""
        member = self.roster.members[agent]
        if self.phase is ServerPhase.FINISHED and member.join.next_step > self.last_step:
            return self._end(agent, now)
        return self._send(agent, min(member.join.next_step, self.log.step), now)

    def _send(self, agent: int, step: int, now: float) -> list[Delivery]:
        member = self.roster.members.get(agent)
        if member is None:
            return []
        row = self.log.row(step)
        self._outstanding.sent(agent, step, now)
        return [Delivery(member.peer, Step(self.run_id, self.epoch, row.record, row.observations[agent - 1]))]

    def _to_all(self, message: Message) -> list[Delivery]:
        return [Delivery(member.peer, message) for _, member in sorted(self.roster.members.items())]

    def _act(self, agent: int, peer: bytes, act: Act, now: float) -> list[Delivery]:
        if self.phase not in (ServerPhase.RUNNING, ServerPhase.FINISHED) or act.agent != agent:
            return []
        if act.run_id != self.run_id or act.epoch != self.epoch or not self._outstanding.awaits(agent, act.step):
            return []  # Of another start of the server, or a repetition: the first answer counts.
        closes = self.terms.update_of(act.step) is not None
        try:
            answer = unpack_answer(act, closes, act.step == self.last_step, self.log)
        except ProtocolError as problem:
            self._leave(agent)
            return [_refuse(peer, problem)]
        self._outstanding.answered(agent)
        self._progress(now)
        if act.step < self.log.step or self.phase is ServerPhase.FINISHED:
            return self._caught_up(agent, act, now)
        self.answers[agent] = answer
        return [] if len(self.answers) < self.num_agents else self._close_step(now)

    def _caught_up(self, agent: int, act: Act, now: float) -> list[Delivery]:
        """An agent that lags has gone through one more record: it must answer what it answered before."""
        step = act.step
        before, shared = self.log.answers(step), self.terms.shared_learning
        divergence = compare_again(before, agent, act, self.terms.update_of(step), shared)
        if divergence is not None:
            return self._examine(divergence, now)
        return self._end(agent, now) if step == self.last_step else self._send(agent, step + 1, now)

    def _close_step(self, now: float) -> list[Delivery]:
        step, answers = self.log.step, self.answers
        update = self.terms.update_of(step)
        self._closed = ClosedStep(step, update)
        step_digests = {agent: answer.act.step_digest for agent, answer in answers.items()}
        learner_digests = {agent: answer.act.learner_digest for agent, answer in answers.items()}
        compared = update if self.terms.shared_learning else None
        divergence = compare(step, compared, step_digests, learner_digests)
        if divergence is not None:
            self.log.close(answers)  # What was answered is evidence.
            return self._examine(divergence, now)
        if update is not None:
            self.learner_digests = learner_digests
        if step == self.last_step:
            self.log.close(answers)
            self._ending.begin(learner_digests, self.log.journal)
            self.phase, self.deadline = ServerPhase.FINISHED, None
            return [delivery for agent in sorted(self.roster.members) for delivery in self._end(agent, now)]
        self.log.advance(answers)
        self.answers = {}
        return [d for agent in range(1, self.num_agents + 1) for d in self._send(agent, self.log.step, now)]

    def _examine(self, divergence: Divergence, now: float) -> list[Delivery]:
        """The run is over; ask everybody where the difference is."""
        self.divergence = divergence
        self.phase = ServerPhase.EXAMINING
        self._inquiry = Inquiry(divergence, set(self.roster.members), now)
        return self._to_all(Query(self.run_id, self.epoch, divergence.step))

    def _conclude(self, now: float) -> list[Delivery]:
        """Stop, once everybody who is there has given an account."""
        inquiry = self._inquiry
        if inquiry is None or not inquiry.over(now, set(self.roster.members)):
            return []
        self.divergence = inquiry.verdict({agent: one.join.host for agent, one in self.roster.members.items()})
        return self._fail(error_of(self.divergence))

    def resume(self) -> None:
        """After a recovery: the run may have been finished already."""
        if self._ending.recall(self.log, self.terms.shared_learning):
            self.phase, self.learner_digests = ServerPhase.FINISHED, self._ending.learner_digests

    # --- the end ------------------------------------------------------------------------------------------------

    @property
    def confirmed(self) -> set[int]:
        """Agents that have kept the result."""
        return self._ending.confirmed

    def _end(self, agent: int, now: float) -> list[Delivery]:
        self._outstanding.sent(agent, self.last_step + 1, now)
        end = End(self.run_id, self.epoch, self.last_step, self._ending.learner_digests[agent])
        return [Delivery(self.roster.members[agent].peer, end)]

    def _bye(self, agent: int, bye: Bye) -> list[Delivery]:
        if self.phase is ServerPhase.FINISHED and bye.run_id == self.run_id and bye.step == self.last_step:
            self._ending.confirm(agent, self.log.journal)
            self._leave(agent)
        return []

    def _leave(self, agent: int) -> None:
        self.roster.leave(agent)
        self._outstanding.answered(agent)
        self._probing.forget(agent)

    def _agent_fault(self, agent: int, fault: Fault, now: float) -> list[Delivery]:
        error = error_told_by(f"agent {agent}", fault.exit_code, fault.text)
        if self.phase is not ServerPhase.RUNNING or not isinstance(error, _FATAL):
            return self._hand_over(agent, now)
        self._leave(agent)
        return self._fail(error)

    def peer_gone(self, peer: bytes, now: float) -> list[Delivery]:
        """The transport says that ``peer`` has vanished: its agent is waited for."""
        agent = self.roster.agent_of(peer)
        if agent is None:
            return []
        try:
            return self._hand_over(agent, now)
        except DadcError as error:
            return self._fail(error)

    def _hand_over(self, agent: int, now: float) -> list[Delivery]:
        """The member has gone; whoever claims its place gets it."""
        claim = self.roster.claims.pop(agent, None)
        self._leave(agent)
        # The log may have gone on since the claim was made.
        refusal = None if claim is None else check_past(claim.member.join, self.run_id, self.epoch, self.log)
        if claim is not None and refusal is None:
            return self._seat(claim.member, now)
        refused = [] if claim is None or refusal is None else [_refuse(claim.member.peer, refusal)]
        rest = self._conclude(now) if self.phase is ServerPhase.EXAMINING else self._begin_if_complete(now)
        return [*refused, *rest]

    def take_closed(self) -> ClosedStep | None:
        """The record that the last message closed, once."""
        closed, self._closed = self._closed, None
        return closed

    # --- time ---------------------------------------------------------------------------------------------------

    def keepalive(self, now: float) -> list[Delivery]:
        """A sign of life to every member who answered the last one; sending it also finds out who has vanished."""
        return [delivery for agent in sorted(self.roster.members) for delivery in self._probe(agent, now)]

    def _probe(self, agent: int, now: float) -> list[Delivery]:
        if not self._probing.ask(agent, now):
            return []
        claim = self.roster.claims.get(agent)
        return [Delivery(self.roster.members[agent].peer, Probe(agent, 0 if claim is None else claim.probe))]

    def environment_took(self, seconds: float, now: float) -> list[Delivery]:
        """The environment needed ``seconds`` until ``now`` for a record: nobody else was late meanwhile."""
        self._outstanding.postpone(seconds)
        self.roster.postpone(seconds)
        if self.phase is ServerPhase.FAILED:
            return []
        if seconds > self.terms.lockstep_timeout_s:
            return self._fail(self.terms.environment_too_late(self.log.step, seconds))
        if self.deadline is not None:
            self._progress(now)
        return []

    def tick(self, now: float) -> list[Delivery]:
        """Repetitions and deadlines: silent holders of a disputed id, missing agents, stragglers."""
        try:
            return self._tick(now)
        except DadcError as error:
            return self._fail(error)

    def _tick(self, now: float) -> list[Delivery]:
        overdue = [agent for agent, claim in self.roster.claims.items() if now >= claim.deadline]
        handed = [self._hand_over(agent, now) for agent in overdue if not self._outstanding.busy(agent)]
        deliveries = [delivery for deliveries in handed for delivery in deliveries]
        if self.phase is ServerPhase.FAILED:
            return deliveries
        if self.phase is ServerPhase.EXAMINING:
            return [*deliveries, *self._conclude(now)]
        for agent, step in self._outstanding.due(now):
            again = self._end(agent, now) if step > self.last_step else self._send(agent, step, now)
            deliveries += again
        if self.deadline is None:
            self._progress(now)
        if self.deadline is None or now < self.deadline:
            return deliveries
        if self.phase is ServerPhase.FINISHED:
            self._ending.give_up()
            return deliveries
        late = self.roster.missing if self.phase is ServerPhase.JOINING else self.waiting_for
        return [*deliveries, *self._fail(self.terms.too_late(self.phase, self.log.step, late, self.roster.members))]

    def _progress(self, now: float) -> None:
        self.deadline = now + self.terms.patience_s(self.phase)

    def stop(self, reason: str) -> list[Delivery]:
        """The server itself is asked to stop: tell every agent why."""
        if self.phase is ServerPhase.FINISHED:
            self._ending.give_up()
        if self.phase not in (ServerPhase.JOINING, ServerPhase.RUNNING):
            return []
        return self._fail(self.terms.stopped(reason, self.log.step))

    def _fail(self, error: DadcError) -> list[Delivery]:
        self.phase = ServerPhase.FAILED
        self.error = error
        waiting = [_refuse(claim.member.peer, error) for claim in self.roster.claims.values()]
        return [*self._to_all(Fault(error.exit_code, str(error))), *waiting]


def _refuse(peer: bytes, error: DadcError) -> Delivery:
    return Delivery(peer, Fault(error.exit_code, str(error)))
