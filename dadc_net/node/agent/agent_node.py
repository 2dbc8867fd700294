"""Agent k without I/O: a message in, messages and an account of what happened out; time and storage are inputs.

Here is the agent's side of the protocol; what it computes is ``team_member``'s. The agent knows no environment; its
settings come with ``Begin``.

    JOINING --Begin--> RUNNING --End--> FINISHED
    any state --Fault--> raises the error that the fault carries

The order of work at a record: answer first, write down afterwards (``settle``). An agent that is killed in between lacks
some rows, says so at joining, and is sent those records again; being deterministic it gives the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import (
    SERVER_WORDS_MAX,
    CorruptStateError,
    DivergenceError,
    MismatchError,
    ProtocolError,
    TemporaryError,
    error_told_by,
    foreign_words,
)
from dadc_net.node.agent.agent_log import AgentLog, facts_of, refuse_another
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.replica import Replica, StepAccount
from dadc_net.node.agent.silence import SilenceWatch, Verdict
from dadc_net.node.agent.team_member import TeamMember
from dadc_net.node.messages import (
    EPOCH_MAX,
    NO_HEAD,
    NO_RUN,
    Account,
    Act,
    Alive,
    Begin,
    Bye,
    End,
    Fault,
    Join,
    Message,
    Probe,
    Query,
    Step,
    Who,
)
from dadc_net.node.record import Record
from dadc_net.node.rows import AgentJournal, AgentRow

Tamper = Callable[[Replica, int], None]


OnUpdate = Callable[[UpdateReport, CoordinatorSettings], None]
"""Hears what an update did, and of which learner."""


class Phase(Enum):
    """Where an agent stands."""

    JOINING = "joining"
    RUNNING = "running"
    FINISHED = "finished"


class Reaction(NamedTuple):
    """What to send, and what was done."""

    messages: list[Message]
    account: StepAccount | None = None


class AgentNode:
    """The agent's role in the protocol."""

    def __init__(self, identity: AgentIdentity, store: AgentJournal, tamper: Tamper | None = None) -> None:
        """``tamper`` is called with the replica before each record; negative controls use it to break a replica."""
        self.identity = identity
        self.phase = Phase.JOINING
        self.member: TeamMember | None = None
        self.learner_digest = b""
        self.log = AgentLog(store)
        self.watch = SilenceWatch(identity.patience_s)
        self._tamper = tamper
        self.run_id = NO_RUN
        self.epoch = 0
        self.next_step = 0
        self._update = 0
        """Update that the last record closed; 0: it closed none."""

    def join(self) -> Join:
        """The message that opens, or re-opens, the conversation."""
        identity = self.identity
        head = NO_HEAD if self.member is None else self.member.replica.head
        return Join(
            agent=identity.agent,
            commitment=identity.commitment,
            selftest=identity.selftest,
            settings_digest=identity.settings_digest,
            rule=identity.rule_digest,
            host=identity.host,
            answers=identity.answers,
            run_id=self.run_id,
            epoch=self.epoch,
            next_step=self.next_step,
            head=head,
        )

    # --- coming back --------------------------------------------------------------------------------------------

    def resume(self, on_update: OnUpdate | None = None) -> int:
        """Take up the run in the store, if there is one: last agreed checkpoint, then the rows after it.

        Args:
            on_update: hears of each update that is computed again.

        Returns:
            The number of records that were computed again.

        Raises:
            MismatchError: if the run was made with another seed, other settings or another structure.
            DivergenceError: if a record gives other bits than it gave before.
        """
        facts = self.log.store.facts
        if not facts:
            return 0
        settings = CoordinatorSettings.from_plain(facts["settings"])
        refuse_another(self.identity, facts, settings, self.log.store.tip)
        self.run_id, self.epoch = bytes.fromhex(facts["run_id"]), int(facts["epoch"])
        if facts["state"] == "finished":
            self.phase = Phase.FINISHED
            self.learner_digest, self.next_step = bytes.fromhex(facts["learner_digest"]), int(facts["last_step"]) + 1
            return 0
        self.member = self._restored(settings, facts)
        first = self.next_step
        for row in self.log.tail(first):
            report = self._compute_again(row).report
            if report is not None and on_update is not None:
                on_update(report, settings)
        return self.next_step - first

    def _restored(self, settings: CoordinatorSettings, facts: Mapping[str, Any]) -> TeamMember:
        """In the state of the newest sound checkpoint, or new."""
        for step, arrays, meta in self.log.checkpoints():
            member = TeamMember(self.identity, settings, facts)
            try:
                member.restore(step, arrays, meta)
            except CorruptStateError as error:
                self.log.trouble = str(error)
                continue
            self.learner_digest, self.next_step = bytes.fromhex(meta["learner_digest"]), step + 1
            return member
        return TeamMember(self.identity, settings, facts)

    def _compute_again(self, row: AgentRow) -> StepAccount:
        account, actions = self._advance(row.record, row.observation)
        now, before = account.digests.step_digest, row.digests.step_digest
        if (now, actions) != (before, row.actions):
            raise DivergenceError(
                f"agent {self.identity.agent} computes record {row.step} otherwise than it did before: step digest "
                f"{now.hex()[:16]}, was {before.hex()[:16]}. Its replica was disturbed then or is now, "
                "and its folder says so itself. Move the folder away and start it again: it goes through the log anew."
            )
        return account

    def _taking_part(self) -> TeamMember:
        if self.member is None:
            raise ProtocolError(f"agent {self.identity.agent} has no run yet. A message came too early. Restart the agent.")
        return self.member

    # --- messages -----------------------------------------------------------------------------------------------

    def receive(self, message: Message, now: float) -> Reaction:
        """React to one message.

        Raises:
            DadcError: the error that a ``Fault`` carries, or what went wrong here.
        """
        self.watch.last = now
        if isinstance(message, Step):
            return self._step(message)
        match message:
            case Begin():
                self._begin(message)
                return Reaction([])
            case End():
                return self._end(message, now)
            case Probe(_, number):
                return Reaction([Alive(self.identity.agent, number)])
            case Who():
                return Reaction([self.join()])
            case Query():
                return Reaction(self._account(message))
            case Fault(exit_code, text):
                raise error_told_by("the environment server", exit_code, text, SERVER_WORDS_MAX)
            case _:
                raise ProtocolError(
                    f"agent {self.identity.agent} received a {type(message).__name__}, which only an agent may send. "
                    "The peer is not an environment server. Check the address given with --server."
                )

    def _begin(self, message: Begin) -> None:
        if message.run_id == self.run_id and message.epoch < self.epoch:
            return  # A server that was thought dead, and was replaced.
        if message.epoch > EPOCH_MAX:
            raise ProtocolError(
                f"the server says that it is epoch {message.epoch} of its run, agent {self.identity.agent} accepts up to "
                f"{EPOCH_MAX}. An epoch counts the starts of a server, so its journal is damaged; nothing was noted. Start "
                "the server again with dadc-env of this version, which says what to do."
            )
        try:
            self._begin_with(message)
        except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
            if self.identity.structure is not None:
                raise  # Perhaps its author's.
            said = f"{type(error).__name__}, {foreign_words(str(error))}"
            raise ProtocolError(
                f"what the server says of the run cannot be: {said}. Nothing was computed. Check that server and agent run "
                "the same version of dadc-net."
            ) from error

    def _begin_with(self, message: Begin) -> None:
        settings = CoordinatorSettings.from_plain(message.settings)
        own = b"" if self.member is None else self.member.settings.digest()
        wanted = self.identity.settings_digest or own
        if self.run_id not in (NO_RUN, message.run_id) or (wanted and wanted != settings.digest()):
            raise MismatchError(
                f"the server serves run {message.run_id.hex()[:8]} with settings {settings.digest().hex()[:16]}, agent "
                f"{self.identity.agent} takes part in run {self.run_id.hex()[:8]} and insists on "
                f"{wanted.hex()[:16] or 'none'}. Nothing was mixed. Give server and agent the same task and options, or the "
                "agent another --state-dir."
            )
        if self.member is None:
            facts = facts_of(self.identity, message, settings)
            self.member = TeamMember(self.identity, settings, facts)
            self.log.store.create(facts)
        elif message.epoch > self.epoch:
            self.log.store.note("epoch", message.epoch)
        self.run_id, self.epoch = message.run_id, message.epoch
        self.phase = Phase.RUNNING

    def _step(self, message: Step) -> Reaction:
        run_id, epoch, record, observation = message
        if self.phase is not Phase.RUNNING or (run_id, epoch, record.step) != (self.run_id, self.epoch, self.next_step):
            return self._unexpected_step(message)
        if self._tamper is not None:
            self._tamper(self._taking_part().replica, record.step)
        account, actions = self._advance(record, observation)
        row = AgentRow(record, observation, actions, account.digests, account.report and account.update)
        self.log.add(row)
        return Reaction([self._answer(row)], account)

    def _unexpected_step(self, message: Step) -> Reaction:
        """A record of another start of the server, one that was answered already, or one after some that are missing."""
        if self.phase is Phase.FINISHED or (message.run_id == self.run_id and message.epoch < self.epoch):
            return Reaction([])
        known = self.phase is Phase.RUNNING and (message.run_id, message.epoch) == (self.run_id, self.epoch)
        if not known or message.record.step > self.next_step:
            return Reaction([self.join()])  # Something was lost on the way: say where this agent stands.
        return Reaction([self._answer_again(message)])

    def _advance(self, record: Record, observation: bytes) -> tuple[StepAccount, bytes]:
        account, actions = (self.member or self._taking_part()).advance(record, observation)
        report = account.report
        self._update = 0 if report is None else report.update
        if report is not None:
            self.learner_digest = report.learner_digest
        self.next_step = record.step + 1
        return account, actions

    def _answer_again(self, message: Step) -> Act:
        """A repeated record gets the stored answer: receiving is idempotent. It must be the same record."""
        step, head, _ = message.record
        row = self.log.row(step)
        if row.record.head != head:
            raise ProtocolError(
                f"the server sent another record {step} than before: its chain hash is "
                f"{head.hex()[:16]}, this agent holds {row.record.head.hex()[:16]}. The server has lost or changed "
                "its history. Stop it, and restore its folder or its environment's seed."
            )
        return self._answer(row)

    def _answer(self, row: AgentRow) -> Act:
        return Act(
            run_id=self.run_id,
            epoch=self.epoch,
            agent=self.identity.agent,
            step=row.record.step,
            actions=row.actions,
            step_digest=row.digests.step_digest,
            learner_digest=b"" if row.update is None else row.update.learner_digest,
        )

    def _account(self, message: Query) -> list[Message]:
        """The digests of one record by component; of the newest also of every tensor as it is now."""
        if (message.run_id, message.epoch) != (self.run_id, self.epoch) or message.step >= self.next_step:
            return []
        replica = self._taking_part().replica
        row = self.log.row(message.step)
        tensors = {} if row.update is None else row.update.tensors
        digests = {
            **{f"update/{name}": value for name, value in tensors.items()},
            "act/parameters/all": row.digests.parameters,
            "act/ais/x_t": row.digests.ais,
            "act/prescription/theta_t": row.digests.prescription,
        }
        if message.step == self.next_step - 1:
            digests |= {f"state/{name}": value for name, value in replica.coordinator.tensor_digests().items()}
        account = Account(
            run_id=self.run_id,
            epoch=self.epoch,
            agent=self.identity.agent,
            step=message.step,
            digests=replica.keyed_components(digests),
        )
        return [account]

    def _end(self, message: End, now: float) -> Reaction:
        if message.run_id != self.run_id or message.epoch < self.epoch:
            return Reaction([])
        if message.step != self.next_step - 1:
            return Reaction([self.join()])
        if message.learner_digest != self.learner_digest:
            raise ProtocolError(
                f"the server ended the run with learner digest {message.learner_digest.hex()[:16]}, agent "
                f"{self.identity.agent} has {self.learner_digest.hex()[:16]}. They were equal at the last update. "
                "Run dadc check on the run's folders."
            )
        if self.phase is not Phase.FINISHED:
            if not self.save(now):  # Rows and result: without a Bye, a restart is told the end again.
                raise TemporaryError(self.log.trouble)
            self.log.store.note("learner_digest", self.learner_digest.hex())
            self.log.store.note("state", "finished")
            self.log.store.sync()  # After Bye the server may leave for good.
            self.phase = Phase.FINISHED
        return Reaction([Bye(run_id=self.run_id, epoch=self.epoch, agent=self.identity.agent, step=message.step)])

    # --- after sending, and while waiting -------------------------------------------------------------------------

    def settle(self, now: float) -> bool:
        """Write down what was answered, if a group is full; whether a checkpoint was made.

        An agent does not listen while it computes, so its own silence until ``now`` is none of the server's.
        """
        self.watch.last = now
        update, self._update = self._update, 0
        if update == 0 and not self.log.full:
            return False
        self.log.settle(update > 0)
        if update == 0:
            return False
        every = self.identity.checkpoint_every
        due = self.log.checkpoint_due(now) or (every > 0 and update % every == 0)
        return due and self.save(now)

    def save(self, now: float) -> bool:
        """Keep the whole state after the last record; False where the disk refuses."""
        step, member = self.next_step - 1, self._taking_part()
        meta = {
            **member.meta(),
            "agent": self.identity.agent,
            "run_id": self.run_id.hex(),
            "step": step,
            "update": step // member.settings.learner.batch_lock_steps,
            "learner_digest": self.learner_digest.hex(),
        }
        return self.log.save(step, member.snapshot(), meta, now)

    def tick(self, now: float) -> Verdict:
        """What the silence of the server means.

        Raises:
            TemporaryError: if it has lasted too long.
        """
        verdict = self.watch.look(now)
        if verdict is Verdict.LOST:
            raise TemporaryError(
                f"the server has been silent for {self.watch.silent(now):.0f} s. Agent {self.identity.agent} was "
                f"{self.phase.value} at record {self.next_step}, and everything so far is kept. Start the server again, "
                "then this agent with the same command."
            )
        return verdict
