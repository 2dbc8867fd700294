"""The environment server without I/O: a message in, messages for peers out; time and the journal are inputs.

``terms.FOLLOWING`` is the table of its phases, ``joining`` the part of it that gives places away.

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
from dadc_net.node.messages import Account, Act, Alive, Bye, End, Fault, Join, Message, Query, Step, Who
from dadc_net.node.rows import Answers
from dadc_net.node.server.admission import require_fields
from dadc_net.node.server.agreement import Divergence, compare, compare_again
from dadc_net.node.server.ending import RunEnding
from dadc_net.node.server.inquiry import Inquiry, error_of
from dadc_net.node.server.joining import Joining, Seating, refuse
from dadc_net.node.server.resending import Outstanding
from dadc_net.node.server.roster import Credentials, Member, Roster
from dadc_net.node.server.server_log import NO_ACTIONS, Answer, ServerLog, answers_of
from dadc_net.node.server.terms import FOLLOWING, ClosedStep, Delivery, RunTerms, ServerPhase

_FATAL = (DivergenceError, ProtocolError, NumericError, UserCodeError, InvariantError)
"""What an agent may report that ends the run: the others would meet it too, or could not trust it."""
_ANSWERED = (ServerPhase.RUNNING, ServerPhase.FINISHED)
"""Phases in which answers to records are taken."""


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
        self._phase = ServerPhase.JOINING
        self._patience_s = terms.patience_s(self._phase)
        self.num_agents = log.world.num_agents
        """K"""
        self._agents = range(1, self.num_agents + 1)
        self.last_step = terms.last_step
        """Index of the run's last record."""
        self.roster = Roster(self.num_agents, terms.settings_digest, team, terms.starting_rule)
        self._joining = Joining(log, self.roster, run_id, epoch)
        self.answers: dict[int, Answer] = {}
        self._ending = RunEnding(terms.last_step, self.num_agents)
        self._outstanding = Outstanding()
        self._open = self._newest()
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
    def phase(self) -> ServerPhase:
        """Where the run stands."""
        return self._phase

    def _enter(self, phase: ServerPhase) -> None:
        if phase not in FOLLOWING[self._phase]:
            raise InvariantError(f"a run that was {self._phase.value} cannot become {phase.value}")
        self._phase = phase
        self._patience_s = self.terms.patience_s(phase)

    def _newest(self) -> ClosedStep:
        """The newest record, and the update that it closes."""
        return ClosedStep(self.log.step, self.terms.update_of(self.log.step))

    @property
    def waiting_for(self) -> list[int]:
        """Agents whose answer to the newest record has not come."""
        return [agent for agent in self._agents if agent not in self.answers]

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do for anybody."""
        return (self.phase is ServerPhase.FINISHED and self._ending.over) or self.phase is ServerPhase.FAILED

    def receive(self, peer: bytes, key_agent: int | None, message: Message, now: float) -> list[Delivery]:
        """React to one message from ``peer``, who authenticated with the key of ``key_agent`` (None: no keys)."""
        try:
            agent = self.roster.agents.get(peer)
            if agent is not None and isinstance(message, Act) and agent not in self._joining.unanswered:
                return self._act(agent, peer, message, now)
            return self._react(peer, key_agent, message, now)
        except DadcError as error:
            return self._fail(error)

    def _react(self, peer: bytes, key_agent: int | None, message: Message, now: float) -> list[Delivery]:
        if isinstance(message, Join):
            return self._join(Member(peer, message), key_agent, now)
        agent = self.roster.agent_of(peer)
        if agent is not None:
            self._joining.heard(agent)
        if agent is None and isinstance(message, Bye):
            agent = self.roster.left(peer)  # Who goes with it is missed, perhaps, before it is read.
        if agent is None and isinstance(message, Act | Alive | Bye):
            return [] if self.phase is ServerPhase.FAILED else [Delivery(peer, Who())]
        match message:
            case Alive() if agent is not None:
                return self._after(Seating(self._joining.alive(agent, message)), now)
            case Act() if agent is not None:  # The first that is heard since it was asked whether it lives.
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
                return [refuse(peer, ProtocolError(text))]

    # --- joining ------------------------------------------------------------------------------------------------

    def _join(self, member: Member, key_agent: int | None, now: float) -> list[Delivery]:
        barred = self.error
        if self.phase is ServerPhase.EXAMINING and self.divergence is not None:
            barred = error_of(self.divergence)
        return self._after(self._joining.ask(member, key_agent, barred, now), now)

    def _after(self, seating: Seating, now: float) -> list[Delivery]:
        """Send what is to be sent; who has just been seated is told of the run, unless the team waits for more."""
        agent = seating.seated
        if agent is None:
            return [*seating.deliveries, *self._begin_if_complete(now)]  # A claim may have held up a complete team.
        self._outstanding.answered(agent)
        if self.phase is ServerPhase.JOINING:
            return [*seating.deliveries, *self._begin_if_complete(now)]
        return [*seating.deliveries, self._begin(agent), *self._serve(agent, now)]

    def _begin_if_complete(self, now: float) -> list[Delivery]:
        if self.phase is not ServerPhase.JOINING or not self.roster.complete:
            return []
        self._joining.note_team()
        if self.log.newest is None:
            self.log.begin()
            self._open = self._newest()
        self._enter(ServerPhase.RUNNING)
        self._progress(now)
        served = [delivery for agent in self._agents for delivery in self._serve(agent, now)]
        return [*map(self._begin, self._agents), *served]

    def _begin(self, agent: int) -> Delivery:
        begin = self.terms.begin(self.log.world.problem, self.run_id, self.epoch, agent)
        return Delivery(self.roster.members[agent].peer, begin)

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
        run_id, epoch, named, step, actions, _, learner_digest = act
        if self._phase not in _ANSWERED or (run_id, epoch, named) != (self.run_id, self.epoch, agent):
            return []
        if not self._outstanding.take(agent, step):
            return []  # A repetition: the first answer counts.
        newest, update = self._open
        closes, last = (update if step == newest else self.terms.update_of(step)) is not None, step == self.last_step
        try:
            if last or bool(learner_digest) is not closes:
                require_fields(act, closes, last)
            chosen = NO_ACTIONS if last else self.log.world.actions[agent - 1].read(actions, step, agent)
        except ProtocolError as problem:
            self._leave(agent)
            return [refuse(peer, problem)]
        self.deadline = now + self._patience_s
        if step < newest or self._phase is ServerPhase.FINISHED:
            return self._caught_up(agent, act, now)
        self.answers[agent] = Answer(act, chosen)
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
        self._closed = self._open
        step, update = self._open
        given = list(map(self.answers.__getitem__, self._agents))
        answers = answers_of(step, given)
        divergence = compare(answers, update if self.terms.shared_learning else None)
        if divergence is not None:
            self.log.close(answers)  # What was answered is evidence.
            return self._examine(divergence, now)
        if update is not None:
            self.learner_digests = dict(zip(self._agents, answers.learner_digests, strict=True))
        if step == self.last_step:
            return self._finish(answers, now)
        record, observations = self.log.advance(answers, [actions for _, actions in given])
        self.answers = {}
        self._open = ClosedStep(record.step, self.terms.update_of(record.step))
        members = self.roster.members
        present = [agent for agent in self._agents if agent in members]
        self._outstanding.all_sent(present, record.step, now)
        run = self.run_id, self.epoch, record
        return [Delivery(members[agent].peer, Step(*run, observations[agent - 1])) for agent in present]

    def _finish(self, answers: Answers, now: float) -> list[Delivery]:
        """The last record is answered: tell everybody."""
        self.log.close(answers)
        self._ending.begin(self.learner_digests, self.log.journal)
        self._enter(ServerPhase.FINISHED)
        self.deadline = None
        return [delivery for agent in sorted(self.roster.members) for delivery in self._end(agent, now)]

    def _examine(self, divergence: Divergence, now: float) -> list[Delivery]:
        """The run is over; ask everybody where the difference is."""
        self.divergence = divergence
        self._enter(ServerPhase.EXAMINING)
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
            self._enter(ServerPhase.FINISHED)
            self.learner_digests = self._ending.learner_digests

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
        self._joining.leave(agent)
        self._outstanding.answered(agent)

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
        self._outstanding.answered(agent)
        seating = self._joining.hand_over(agent)
        concluded = self._conclude(now) if seating.seated is None and self.phase is ServerPhase.EXAMINING else []
        return [*self._after(seating, now), *concluded]

    def take_closed(self) -> ClosedStep | None:
        """The record that the last message closed, once."""
        closed, self._closed = self._closed, None
        return closed

    # --- time ---------------------------------------------------------------------------------------------------

    def keepalive(self, now: float) -> list[Delivery]:
        """A sign of life to every member who answered the last one; sending it also finds out who has vanished."""
        return [delivery for agent in sorted(self.roster.members) for delivery in self._joining.probe(agent, now)]

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
        handed = [self._hand_over(agent, now) for agent in self._joining.silent(now) if not self._outstanding.busy(agent)]
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
        self.deadline = now + self._patience_s

    def stop(self, reason: str) -> list[Delivery]:
        """The server itself is asked to stop: tell every agent why."""
        if self.phase is ServerPhase.FINISHED:
            self._ending.give_up()
        if self.phase not in (ServerPhase.JOINING, ServerPhase.RUNNING):
            return []
        return self._fail(self.terms.stopped(reason, self.log.step))

    def _fail(self, error: DadcError) -> list[Delivery]:
        self._enter(ServerPhase.FAILED)
        self.error = error
        return [*self._to_all(Fault(error.exit_code, str(error))), *self._joining.refuse_claims(error)]
