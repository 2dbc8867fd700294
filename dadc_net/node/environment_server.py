"""The environment server without I/O: a message in, messages for peers out; the current time is an input.

    JOINING   until all K agents have joined; refuses those that do not fit
    RUNNING   lock-step: one record to every agent, one answer from every agent, compare digests, step
    FINISHED  after the last update's answer
    FAILED    after a divergence, a straggler or an agent that left; ``error`` says why

The barrier takes answers in any order and sorts them by agent, so the order of arrival cannot matter. This file never
imports the coordinator: the server learns neither the shared seed nor parameters nor prescriptions.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np

from dadc_net.errors import DadcError, DivergenceError, InvariantError, ProtocolError, TemporaryError
from dadc_net.node.agreement import Divergence, compare
from dadc_net.node.messages import Act, Alive, Begin, End, Fault, Join, Message, Probe, Step
from dadc_net.node.record import unpack_actions
from dadc_net.node.roster import PROBE_SECONDS, Claim, Member, Roster
from dadc_net.node.team_environment import LogEntry, TeamEnvironment
from dadc_net.team.spaces import FiniteSpace


class ServerPhase(Enum):
    """Where the run stands."""

    JOINING = "joining"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class Delivery(NamedTuple):
    """A message for one connection."""

    peer: bytes
    message: Message


class ClosedStep(NamedTuple):
    """A record that all agents have answered."""

    step: int
    head: bytes
    answers: dict[int, Act]
    update: int | None
    """Index of the update that the record closed."""


class ServerPlan(NamedTuple):
    """What the server is told of the learner: how long the run is, and what to hand to the agents unread."""

    settings: dict[str, object]
    settings_digest: bytes
    batch_lock_steps: int
    updates: int
    lockstep_timeout_s: float
    join_timeout_s: float
    shared_learning: bool = True
    """Whether learner digests must be equal; independent learners differ by construction."""


class EnvironmentServerNode:
    """The server's role in the protocol."""

    def __init__(self, world: TeamEnvironment, plan: ServerPlan, run_id: bytes, epoch: int = 1) -> None:
        self.world = world
        self.plan = plan
        self.run_id = run_id
        self.epoch = epoch
        self.phase = ServerPhase.JOINING
        self.roster = Roster(world.num_agents, plan.settings_digest)
        self.entry: LogEntry | None = None
        self.answers: dict[int, Act] = {}
        self._closed: ClosedStep | None = None
        self.learner_digests: dict[int, bytes] = {}
        self.divergence: Divergence | None = None
        self.error: DadcError | None = None
        self.deadline: float | None = None
        """Monotonic seconds until which the phase must make progress; None before the first tick."""
        space = world.problem.environment.spec.action_space
        self._action_space: FiniteSpace = space

    @property
    def last_step(self) -> int:
        """Index of the run's last record."""
        return self.plan.updates * self.plan.batch_lock_steps

    @property
    def waiting_for(self) -> list[int]:
        """Agents whose answer to the current record has not come."""
        return [agent for agent in range(1, self.world.num_agents + 1) if agent not in self.answers]

    def receive(self, peer: bytes, key_agent: int | None, message: Message, now: float) -> list[Delivery]:
        """React to one message from ``peer``, who authenticated with the key of ``key_agent`` (None: no keys)."""
        match message:
            case Join():
                return self._join(Member(peer, message), key_agent, now)
            case Alive():
                return self._alive(peer)
            case Act():
                return self._act(peer, message, now)
            case Fault():
                return self._agent_fault(peer, message)
            case _:
                text = f"a {type(message).__name__} message may only come from a server. Connect with dadc-agent."
                return [Delivery(peer, Fault(ProtocolError.exit_code, text))]

    def _join(self, member: Member, key_agent: int | None, now: float) -> list[Delivery]:
        refusal = self.roster.check(member.join, key_agent)
        if refusal is not None:
            return [_refuse(member.peer, refusal)]
        agent = member.join.agent
        holder = self.roster.members.get(agent)
        if holder is not None and holder.peer != member.peer:
            self.roster.claims[agent] = Claim(member, now + PROBE_SECONDS)
            return [Delivery(holder.peer, Probe(agent))]
        if self.phase is not ServerPhase.JOINING:
            return [_refuse(member.peer, self._too_late(agent))]
        self.roster.seat(member)
        return self._begin_if_complete(now)

    def _too_late(self, agent: int) -> DadcError:
        return TemporaryError(
            f"agent {agent} asked to join, but the run is already {self.phase.value}. It was not interrupted. "
            "Start server and agents together for a new run."
        )

    def _alive(self, peer: bytes) -> list[Delivery]:
        agent = self.roster.agent_of(peer)
        claim = None if agent is None else self.roster.claims.pop(agent, None)
        if agent is None or claim is None:
            return []
        refusal = Roster.duplicate(claim, self.roster.members[agent])
        # The claim may have held up a team that was otherwise complete.
        return [_refuse(claim.member.peer, refusal), *self._begin_if_complete(None)]

    def _begin_if_complete(self, now: float | None) -> list[Delivery]:
        if self.phase is not ServerPhase.JOINING or not self.roster.complete:
            return []
        problem = self.world.problem
        begin = Begin(
            self.run_id,
            self.epoch,
            self.plan.settings,
            problem.structure.name,
            problem.family.to_record(),
            problem.environment.spec.observation_space.to_record(),
        )
        self.phase = ServerPhase.RUNNING
        self.deadline = None if now is None else now + self.plan.lockstep_timeout_s
        return [*self._to_all(begin), *self._publish(self.world.first())]

    def _publish(self, entry: LogEntry) -> list[Delivery]:
        self.entry = entry
        self.answers = {}
        return [
            Delivery(
                self.roster.members[agent].peer,
                Step(self.run_id, self.epoch, entry.step, entry.head, entry.common, entry.private[agent - 1]),
            )
            for agent in range(1, self.world.num_agents + 1)
        ]

    def _to_all(self, message: Message) -> list[Delivery]:
        return [Delivery(member.peer, message) for _, member in sorted(self.roster.members.items())]

    def _act(self, peer: bytes, act: Act, now: float) -> list[Delivery]:
        agent = self.roster.agent_of(peer)
        if agent is None or self.phase is not ServerPhase.RUNNING or self.entry is None:
            return []
        if act.agent != agent or act.run_id != self.run_id or act.epoch != self.epoch:
            return self._fail(ProtocolError(f"agent {agent} answered for agent {act.agent} of another run or epoch"))
        if act.sequence < self.entry.step or agent in self.answers:
            return []  # A repeated answer: the first one counts.
        if act.sequence != self.entry.step:
            return self._fail(ProtocolError(f"agent {agent} answered record {act.sequence} before it was sent"))
        self.answers[agent] = act
        if len(self.answers) < self.world.num_agents:
            return []
        self.deadline = now + self.plan.lockstep_timeout_s
        return self._close_step()

    def _close_step(self) -> list[Delivery]:
        if self.entry is None:
            raise InvariantError("a step was closed before the first record was made")
        step = self.entry.step
        closes = step > 0 and step % self.plan.batch_lock_steps == 0
        update = step // self.plan.batch_lock_steps if closes else None
        self._closed = ClosedStep(step, self.entry.head, self.answers, update)
        step_digests = {agent: act.digest for agent, act in self.answers.items()}
        update_digests = {agent: act.update_digest for agent, act in self.answers.items()}
        self.divergence = compare(step, update if self.plan.shared_learning else None, step_digests, update_digests)
        if self.divergence is not None:
            return self._fail(DivergenceError(self.divergence.text()))
        if closes:
            self.learner_digests = update_digests
        if step == self.last_step:
            self.phase = ServerPhase.FINISHED
            return [
                Delivery(member.peer, End(self.run_id, self.epoch, step, self.learner_digests[agent]))
                for agent, member in sorted(self.roster.members.items())
            ]
        copies = self.world.copies
        try:
            columns = [
                unpack_actions(self.answers[agent].actions, step, copies, agent, self._action_space)
                for agent in range(1, self.world.num_agents + 1)
            ]
            return self._publish(self.world.advance(np.stack(columns, axis=1)))
        except DadcError as error:
            return self._fail(error)

    def _agent_fault(self, peer: bytes, fault: Fault) -> list[Delivery]:
        agent = self.roster.agent_of(peer)
        if agent is None or self.phase not in (ServerPhase.JOINING, ServerPhase.RUNNING):
            return []
        self.roster.leave(agent)
        if self.phase is ServerPhase.JOINING:
            return []
        return self._fail(self._left(agent, f"it said: {fault.text.split('. ')[0]}"))

    def peer_gone(self, peer: bytes, now: float) -> list[Delivery]:
        """The transport says that ``peer`` has vanished."""
        agent = self.roster.agent_of(peer)
        if agent is None:
            return []
        claim = self.roster.claims.pop(agent, None)
        self.roster.leave(agent)
        if self.phase is ServerPhase.JOINING:
            if claim is not None:
                self.roster.seat(claim.member)
            return self._begin_if_complete(now)
        refusals = [] if claim is None else [_refuse(claim.member.peer, self._too_late(agent))]
        if self.phase is not ServerPhase.RUNNING:
            return refusals
        return [*refusals, *self._fail(self._left(agent, "its connection is gone"))]

    def _left(self, agent: int, how: str) -> DadcError:
        step = 0 if self.entry is None else self.entry.step
        return TemporaryError(
            f"agent {agent} left the run: {how}. It happened at step {step} of {self.last_step}. "
            "Start the run again; the same seeds give the same digests."
        )

    def take_closed(self) -> ClosedStep | None:
        """The record that the last message closed, once."""
        closed, self._closed = self._closed, None
        return closed

    def keepalive(self) -> list[Delivery]:
        """A sign of life to every member; sending it also finds out who has vanished."""
        return [Delivery(member.peer, Probe(agent)) for agent, member in sorted(self.roster.members.items())]

    def tick(self, now: float) -> list[Delivery]:
        """Deadlines: silent holders of a disputed id, missing agents, stragglers."""
        deliveries: list[Delivery] = []
        for agent, claim in list(self.roster.claims.items()):
            if now >= claim.deadline:
                deliveries += self.peer_gone(self.roster.members[agent].peer, now)
        if self.phase not in (ServerPhase.JOINING, ServerPhase.RUNNING):
            return deliveries
        joining = self.phase is ServerPhase.JOINING
        limit = self.plan.join_timeout_s if joining else self.plan.lockstep_timeout_s
        if self.deadline is None:
            self.deadline = now + limit
        if now < self.deadline:
            return deliveries
        late = self.roster.missing if joining else self.waiting_for
        names = ", ".join(f"agent {agent}" for agent in late)
        doing = "join" if joining else f"answer step {0 if self.entry is None else self.entry.step}"
        key = "join" if joining else "lockstep"
        error = TemporaryError(
            f"{names} did not {doing} within {limit:g} s. The other agents were ready. Start what is missing, or allow "
            f"more time with --set runtime.{key}_timeout_s=..."
        )
        return [*deliveries, *self._fail(error)]

    def stop(self, reason: str) -> list[Delivery]:
        """The server itself is asked to stop: tell every agent why."""
        if self.phase not in (ServerPhase.JOINING, ServerPhase.RUNNING):
            return []
        where = "before its first step" if self.entry is None else f"at step {self.entry.step} of {self.last_step}"
        return self._fail(
            TemporaryError(
                f"the environment server was stopped by {reason}. The run ended {where}. Start server and agents again; "
                "the same seeds give the same digests."
            )
        )

    def _fail(self, error: DadcError) -> list[Delivery]:
        self.phase = ServerPhase.FAILED
        self.error = error
        waiting = [
            Delivery(claim.member.peer, Fault(error.exit_code, str(error))) for claim in self.roster.claims.values()
        ]
        return [*self._to_all(Fault(error.exit_code, str(error))), *waiting]


def _refuse(peer: bytes, error: DadcError) -> Delivery:
    return Delivery(peer, Fault(error.exit_code, str(error)))
