"""One agent as a process: the sans-I/O ``AgentNode`` between a socket, a clock and its state folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dadc_net.coordinator.coordinator import UpdateReport
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import (
    AuthenticationError,
    DadcError,
    DivergenceError,
    KeyRefusedError,
    MismatchError,
    ProtocolError,
    TemporaryError,
)
from dadc_net.node.agent.agent_node import AgentNode, Phase, Reaction, Tamper
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.silence import Verdict
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.node.messages import NO_RUN, Alive, Fault, Message, Probe
from dadc_net.runtime.control import Control
from dadc_net.runtime.endings import keep_divergence
from dadc_net.runtime.events import (
    AgentFinished,
    AgentResumed,
    Began,
    Checkpointed,
    Learned,
    Observer,
    Observers,
    Silent,
    Troubled,
)
from dadc_net.runtime.history import HistoryFile
from dadc_net.runtime.host import (
    checked_selftest,
    keep_freed_memory,
    pin_threads,
    process_facts,
    require_subnormals,
    spare_what_is_loaded,
)
from dadc_net.runtime.learned_rule import settle_rule
from dadc_net.runtime.meters import AgentMeter
from dadc_net.runtime.metrics import MetricsFile
from dadc_net.runtime.status import OwnStatus, StatusFile
from dadc_net.storage.folder import locked, open_state_folder
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.user_code import blame_owner
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.framing import decode, encode
from dadc_net.wire.keys import AgentKeys

_LOOK_MS = 250
"""How often a waiting agent looks at the clock."""
_STATUS_SECONDS = 1.0
_REFUSED_SECONDS = 10.0
"""How long a key that was admitted before may be refused before it counts as revoked."""
_RECONNECT_SECONDS = 10.0
"""How long one attempt to connect anew may take."""
_DAMAGED_MAX = 3
"""Messages in a row that cannot be, and for which the way between may be to blame."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What an agent process is started with."""

    agent: int
    server: str
    shared_seed: bytes = field(repr=False)
    state_dir: Path
    keys: AgentKeys | None
    settings_digest: bytes = b""
    connect_timeout_s: float = 30.0
    patience_s: float = 300.0
    """How long a lost server is waited for."""
    checkpoint_every: int = 0
    """Updates between checkpoints that are reported, besides those that are made from time to time; 0: none."""
    journal: str = "process"
    """What the state survives: ``process`` or ``host``."""
    journals: Journals = ON_DISK
    structure: InformationStructure | None = None
    private_seed: bytes = field(default=b"", repr=False)
    """Of the agent's own draws; empty: the shared seed."""
    rule: StartingRule | None = field(default=None, repr=False)
    """The learned rule to begin with; None: what the state folder has kept, if anything."""
    io_core: int | None = None
    """Where the transport's thread stays; None: anywhere."""
    tamper: Tamper | None = None
    """Breaks the replica on purpose before a step: the negative controls of the tests and of ``--break``."""


class AgentResult(NamedTuple):
    """How an agent's run ended."""

    learner_digest: str
    steps: int


class AgentProcess:
    """Runs one agent to its end."""

    def __init__(self, options: AgentOptions, control: Control, *observers: Observer) -> None:
        """``observers``: besides the metrics and the line to the launcher."""
        self.options = options
        self.control = control
        self._observers = Observers(control, *observers)
        self._own = Observers(*observers)
        """Who hears what the launcher need not: measurements."""
        self._meter = AgentMeter()
        self._begun = False
        self._damaged = 0
        """Messages that could not be, since the last record."""
        self._trouble = ""
        self._status_file = StatusFile(options.state_dir)
        self._status_due = 0.0

    def run(self) -> AgentResult:
        """Take part in one run, from its beginning or from where the state folder stands.

        Raises:
            DadcError: whatever ended it early.
        """
        options = self.options
        keep_freed_memory()
        selftest = checked_selftest()
        pin_threads()
        spare_what_is_loaded()
        open_state_folder(options.state_dir)
        with locked(options.state_dir, f"agent {options.agent}"):
            store = options.journals.agent(options.state_dir, options.journal)
            self._observers.add(HistoryFile(options.state_dir))
            self._observers.add(MetricsFile(options.state_dir))
            try:
                identity = AgentIdentity(
                    agent=options.agent,
                    shared_seed=options.shared_seed,
                    selftest=selftest.digest,
                    settings_digest=options.settings_digest,
                    host=process_facts(),
                    answers=selftest.answers,
                    structure=options.structure,
                    private_seed=options.private_seed,
                    rule=settle_rule(options.state_dir, options.rule, bool(store.facts)),
                    patience_s=options.patience_s,
                    checkpoint_every=options.checkpoint_every,
                )
                return self._take_part(AgentNode(identity, store, options.tamper))
            finally:
                self._observers.close()
                store.close()

    def _take_part(self, node: AgentNode) -> AgentResult:
        again = node.resume(self._tell_losses)
        if again or node.next_step:
            _log.info("agent %d resumes at record %d; %d computed again", self.options.agent, node.next_step, again)
            self._observers.on(AgentResumed(agent=self.options.agent, step=node.next_step, computed=again))
        if node.phase is not Phase.FINISHED:
            self._write_status(node)
            socket = AgentSocket(
                self.options.server,
                self.options.keys,
                connect_timeout_s=self.options.connect_timeout_s,
                reflex=self._sign_of_life,
                io_core=self.options.io_core,
            )
            try:
                self._converse(node, socket)
            except DadcError as error:
                self._say_goodbye(socket, error)
                raise
            finally:
                self._settle_whatever_happens(node)
                socket.close()
        self._status_due = 0.0
        self._write_status(node)
        digest = node.learner_digest.hex()
        _log.info("agent %d finished with learner digest %s", self.options.agent, digest)
        self._observers.on(AgentFinished(agent=self.options.agent, learner_digest=digest))
        return AgentResult(digest, node.next_step)

    def _converse(self, node: AgentNode, socket: AgentSocket) -> None:
        if node.member is not None:
            socket.expect(node.member.record_bytes)
        socket.connect(self.control.wake_fds)
        self._stop_if_asked()
        node.watch.heard(time.monotonic())
        self._say(node, socket, [node.join()])
        _log.info("agent %d asked to join at %s", self.options.agent, self.options.server)
        while node.phase is not Phase.FINISHED:
            self._write_status(node)
            frames = socket.receive(_LOOK_MS, self.control.wake_fds)
            if frames is None:  # Also within a tenth of a second of a wish to stop, while messages keep coming.
                self._stop_if_asked()
                self._look(node, socket)
                continue
            heard = time.monotonic()
            reaction = self._react(node, frames)
            if reaction is None:
                self._reconnect(node, socket)
                continue
            self._say(node, socket, reaction.messages)
            sent = time.monotonic()
            report = None if reaction.account is None else reaction.account.report
            if report is not None and node.member is not None:
                # Before a checkpoint is made: what comes after it would be computed and told again, but not this.
                self._tell_losses(report, node.member.settings)
            kept = node.settle(time.monotonic())
            if reaction.account is not None:
                self._meter.answered(heard, sent, time.monotonic())
            if node.phase is Phase.RUNNING and not self._begun:
                self._note_begin(node, socket)
            if report is not None:
                self._after_update(node, report.update, kept)

    def _say(self, node: AgentNode, socket: AgentSocket, messages: Sequence[Message]) -> None:
        """What cannot be said is asked for again once the node has joined anew."""
        if not all(socket.send(encode(message)) for message in messages):
            self._reconnect(node, socket)

    def _react(self, node: AgentNode, frames: list[bytes]) -> Reaction | None:
        """Hand a message to the node; at a divergence write down what this agent was. None: it was damaged on the way."""
        try:
            reaction = node.receive(decode(frames), time.monotonic())
            self._damaged = 0 if reaction.account is not None else self._damaged
            return reaction
        except DivergenceError:
            keep_divergence(node, self.options.state_dir)
            raise
        except ProtocolError as error:
            # A flipped bit can make the transport lose a frame. Nothing has changed, and another connection repeats it.
            self._damaged += 1
            if error.speaker or node.phase is not Phase.RUNNING or self._damaged > _DAMAGED_MAX:
                raise
            _log.warning("a message cannot be, and may be damaged: %s", error)
            return None
        except (Exception, SystemExit) as error:
            if self.options.structure is not None:
                blame_owner("the information structure", self.options.structure, error)
            raise

    def _sign_of_life(self, frames: list[bytes]) -> list[bytes] | None:
        """While this agent computes, a question whether it lives is answered, and nothing else."""
        try:
            message = decode(frames)
        except ProtocolError:
            return None
        return encode(Alive(self.options.agent, message.number)) if isinstance(message, Probe) else None

    def _write_status(self, node: AgentNode) -> None:
        """Once a second; a start, a wait for the server and a long update write none."""
        now = time.monotonic()
        if now >= self._status_due:
            self._status_due = now + _STATUS_SECONDS
            silent = node.watch.silent(now) if node.phase is Phase.RUNNING else None
            run_id = "" if node.run_id == NO_RUN else node.run_id.hex()
            found = OwnStatus(
                agent=self.options.agent,
                phase=node.phase.value,
                run_id=run_id,
                step=node.next_step,
                server_silent_s=silent,
                written=now,
            )
            self._status_file.on(found)
            self._own.on(self._meter.measured(self.options.agent, node.next_step - 1, silent))

    def _stop_if_asked(self) -> None:
        self.control.poll()
        if self.control.stop.reason:
            raise self.control.stop.error()

    def _look(self, node: AgentNode, socket: AgentSocket) -> None:
        """The server says something every second. What if it does not?"""
        verdict = node.tick(time.monotonic())
        if verdict is Verdict.BEAT:
            socket.try_send(encode(Alive(self.options.agent)))
        elif verdict is Verdict.DOUBT:
            self._reconnect(node, socket)

    def _reconnect(self, node: AgentNode, socket: AgentSocket) -> None:
        """A new socket, and Join, for as long as the node is patient.

        Keys that were accepted before and a server that spoke ZeroMQ before are not doubted for a moment's trouble: what is
        between may cut, refuse or garble.
        """
        silent = node.watch.silent(time.monotonic())
        _log.warning("the connection broke, or the server is silent: its last word came %.1f s ago; connecting anew", silent)
        self._observers.on(Silent(agent=self.options.agent, seconds=silent))
        refused_since: float | None = None
        while True:
            remaining = node.watch.patience_s - node.watch.silent(time.monotonic())
            try:
                opened = socket.reopen(self.control.wake_fds, max(0.1, min(remaining, _RECONNECT_SECONDS)))
                if opened and socket.send(encode(node.join())):
                    return
                if opened:  # It broke at once. What breaks it may do so again.
                    time.sleep(_LOOK_MS / 1000)
            except (TemporaryError, ProtocolError, AuthenticationError) as error:
                _log.info("not connected yet: %s", error)
                now = time.monotonic()
                refused_since = (refused_since or now) if isinstance(error, KeyRefusedError) else None
                if refused_since is not None and now - refused_since >= _REFUSED_SECONDS:
                    raise  # Nothing but refusals for so long: the key was revoked.
                time.sleep(_LOOK_MS / 1000)  # A refusal comes at once.
            self._stop_if_asked()
            self._write_status(node)
            node.tick(time.monotonic())

    def _note_begin(self, node: AgentNode, socket: AgentSocket) -> None:
        self._begun = True
        if node.member is not None:
            socket.expect(node.member.record_bytes)
        settings = {} if node.member is None else node.member.settings.to_plain()
        _log.info("agent %d takes part in run %s, epoch %d: %s", self.options.agent, node.run_id.hex(), node.epoch, settings)
        self._observers.on(Began(agent=self.options.agent, run_id=node.run_id.hex()))

    def _tell_losses(self, report: UpdateReport, settings: CoordinatorSettings) -> None:
        steps = report.update * settings.learner.batch_steps
        learned = Learned(agent=self.options.agent, update=report.update, env_steps=steps, losses=dict(report.losses))
        self._observers.on(learned)

    def _after_update(self, node: AgentNode, update: int, kept: bool) -> None:
        agent = self.options.agent
        require_subnormals(update)
        if node.log.trouble != self._trouble:
            self._trouble = node.log.trouble
            _log.warning("%s", self._trouble or "the disk works again; everything is written down")
            self._observers.on(Troubled(agent=agent, text=self._trouble))
        every = self.options.checkpoint_every
        if kept and every and update % every == 0:
            self._observers.on(Checkpointed(agent=agent, update=update))

    def _settle_whatever_happens(self, node: AgentNode) -> None:
        try:
            node.log.settle(True)
        except DadcError as error:
            _log.warning("%s", error)

    def _say_goodbye(self, socket: AgentSocket, error: DadcError) -> None:
        """Tell the server, unless it was the server who said so: a Fault is not answered with a Fault."""
        if not error.speaker and not isinstance(error, MismatchError | TemporaryError):
            socket.try_send(encode(Fault(error.exit_code, str(error))))
