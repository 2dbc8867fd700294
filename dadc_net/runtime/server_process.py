"""The environment server as a process: the sans-I/O ``EnvironmentServerNode`` between sockets, clock and journal."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dadc_net.config import RunConfig
from dadc_net.errors import (
    NAME_MAX,
    AuthenticationError,
    MismatchError,
    ProtocolError,
    TemporaryError,
    foreign_words,
)
from dadc_net.exact import compiled
from dadc_net.node.messages import Fault, Join, Probe, Step
from dadc_net.node.rows import ServerJournal
from dadc_net.node.server.recovery import take_up
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import Delivery, RunTerms, ServerPhase
from dadc_net.runtime import status
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.runtime.control import Control
from dadc_net.runtime.endings import keep_configuration, raise_if_unfinished
from dadc_net.runtime.environment_patience import EnvironmentPatience, TimedEnvironment, take_seconds
from dadc_net.runtime.events import (
    Joined,
    Left,
    Listening,
    Observer,
    Observers,
    ServerFinished,
    ServerResumed,
    Updated,
    Waiting,
)
from dadc_net.runtime.history import HistoryFile
from dadc_net.runtime.host import kernels_allowed, spare_what_is_loaded
from dadc_net.runtime.log_file import about
from dadc_net.runtime.meters import BAD_MESSAGE, ServerMeter
from dadc_net.runtime.metrics import MetricsFile
from dadc_net.runtime.problem import environment_digest, make_problem, make_terms
from dadc_net.runtime.seed_files import drawn_seed
from dadc_net.runtime.status import StatusFile, TeamStatus, Watchkeeper
from dadc_net.schema import differences
from dadc_net.storage.folder import locked, open_state_folder
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journals import ON_DISK, Journals, OpenableServerJournal
from dadc_net.team.tables import Tabulated
from dadc_net.wire.conduct import Conduct
from dadc_net.wire.framing import decode, encode
from dadc_net.wire.keys import ServerKeys
from dadc_net.wire.limits import server_frame_bytes
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import Received, ServerSocket

_KEEPALIVE_SECONDS = 1.0
_SLOW_SECONDS = 0.5
"""What the environment needs for a record below this delays nobody's deadline."""
_STRAGGLER_SECONDS = 10.0
"""How long a record may wait before those that it waits for are named."""
_REVOKED = (
    "the key of agent %d is not in the server's list any more. It was cut, and the run waits for a process with a key that "
    "is. Get a new agent key from whoever keeps the server's keys, or ask to be listed again."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """What a server process is started with."""

    config: RunConfig
    environment_seed: bytes | None = field(repr=False)
    """None: drawn at the first start, and kept in the state folder."""
    bind: str
    run_id: bytes
    state_dir: Path
    keys: ServerKeys | None
    journals: Journals = ON_DISK
    epoch: int = 0
    """What the epoch of a run that goes on is at least; 0: one more than at the last start."""
    io_core: int | None = None
    """Where the transport's thread stays; None: anywhere."""


class ServerResult(NamedTuple):
    """How a server's run ended."""

    learner_digests: dict[int, str]
    steps: int
    """Lock-steps since this process took up the run; 0 if it was finished already."""
    seconds: float
    """Wall-clock time that they took."""


class ServerProcess:
    """Runs one environment server to its end."""

    def __init__(self, options: ServerOptions, control: Control, *observers: Observer) -> None:
        """``observers``: besides the metrics, the status file and the line to the launcher."""
        self.options = options
        self.control = control
        self._seed = b""
        self._observers = Observers(control, *observers)
        self._own = Observers(*observers)
        """Who hears what the launcher need not: measurements."""
        self._meter = ServerMeter()
        self._heard = 0.0
        self._reward = BatchReward(options.config.settings.learner.num_envs)
        self._present: set[int] = set()
        self._begun = 0.0
        self._first_step = 0
        self._warned = 0.0
        self._watchkeeper = Watchkeeper(options.config.settings.num_agents)

    def run(self) -> ServerResult:
        """Serve one run, from its beginning or from where the state folder stands.

        Raises:
            DadcError: whatever ended it early.
        """
        options = self.options
        spare_what_is_loaded()
        folder = open_state_folder(options.state_dir)
        with locked(folder, "the environment server"):
            self._observers.add(HistoryFile(folder))
            terms = make_terms(options.config)
            self._seed = options.environment_seed or drawn_seed(folder, (folder / JOURNAL_NAME).exists())
            journal = options.journals.server(folder, options.config.settings.num_agents, options.config.runtime.journal)
            try:
                existed = journal.open_or_create(self._facts(terms))
                node = self._come_back(journal, terms) if existed else self._start(journal, terms)
                keep_configuration(self.options.config, folder)
                self._observers.add(StatusFile(folder))
                self._observers.add(MetricsFile(folder))
                if not node.done:
                    steps = terms.batch_lock_steps
                    self._reward.take_up(journal, steps, node.log.step, partial(self._after_update, node))
                    self._serve_at(node, journal)
                    self._tell_status(node)
                return self._result(node)
            finally:
                self._observers.close()
                journal.close()

    def _facts(self, terms: RunTerms) -> dict[str, Any]:
        return {
            "agent": 0,
            "num_agents": self.options.config.settings.num_agents,
            "run_id": self.options.run_id.hex(),
            "epoch": 1,
            "settings": terms.settings,
            "settings_digest": terms.settings_digest.hex(),
            "environment": environment_digest(self.options.config, self._seed).hex(),
            "last_step": terms.updates * terms.batch_lock_steps,
            "state": "running",
        }

    def _world(self) -> TimedEnvironment:
        problem = make_problem(self.options.config)
        by_tables = isinstance(problem.environment, Tabulated) and kernels_allowed() and compiled.installed()
        world = TimedEnvironment(problem, self._seed, by_tables)
        world.opens_files = self.options.config.runs_own_code
        return world

    def _start(self, journal: ServerJournal, terms: RunTerms) -> EnvironmentServerNode:
        return EnvironmentServerNode(ServerLog(self._world(), journal), terms, self.options.run_id)

    def _come_back(self, journal: OpenableServerJournal, terms: RunTerms) -> EnvironmentServerNode:
        """Take up the run in the journal, under a higher epoch.

        Raises:
            MismatchError: if it is a run of another configuration.
        """
        facts, given = journal.facts, self._facts(terms)
        for what in ("settings_digest", "environment"):
            if facts[what] == given[what]:
                continue
            differing = differences(facts["settings"], given["settings"]) if what == "settings_digest" else ""
            differing = differing or f"another {what.replace('_', ' ')}, {facts[what][:16]} (given {given[what][:16]})"
            raise MismatchError(
                f"the state folder {self.options.state_dir} holds run {facts['run_id'][:8]} with {differing}. Nothing was "
                f"changed; it stands at record {journal.tip}. Start it with the same task, options and "
                "--env-seed or --env-seed-file, or give another folder."
            )
        begun = time.monotonic()
        node, recovery = take_up(self._world(), journal, terms, least_epoch=self.options.epoch)
        seconds = time.monotonic() - begun
        step, epoch = node.log.step, node.epoch
        _log.info(
            "resumed at record %d in %.2f s: state of record %d, records mended %s, %d to be asked of the agents; epoch %d",
            *(step, seconds, recovery.restored, recovery.mended, recovery.lost, epoch),
        )
        if recovery.anew:
            _log.info("the environment cannot be wound back: every copy begins a new episode after record %d", step)
        resumed = ServerResumed(step=step, lost=recovery.lost, mended=list(recovery.mended), epoch=epoch, anew=recovery.anew)
        self._observers.on(resumed)
        return node

    def _serve_at(self, node: EnvironmentServerNode, journal: OpenableServerJournal) -> None:
        options = self.options
        heartbeat = Heartbeat.for_team(options.config.settings.num_agents)
        conduct = Conduct(lambda peer: node.roster.agent_of(peer) is not None)
        largest = server_frame_bytes(max(layout.size for layout in node.log.world.actions))
        socket = ServerSocket(
            *(options.bind, options.keys, heartbeat), conduct=conduct, frame_bytes=largest, io_core=options.io_core
        )
        try:
            _log.info("environment server listens at %s, run %s", socket.endpoint, node.run_id.hex())
            self._observers.on(Listening(endpoint=socket.endpoint))
            patience = EnvironmentPatience(node)
            socket.say_while_away(lambda: self._signs_of_life(node, patience))
            with patience:
                self._serve(node, socket, journal)
        finally:
            socket.close()

    def _signs_of_life(self, node: EnvironmentServerNode, patience: EnvironmentPatience) -> list[tuple[bytes, list[bytes]]]:
        """What members are sent while this process is busy with the environment; on the thread that minds the socket."""
        fault = patience.look(time.monotonic())
        members = list(node.roster.members.items())
        return [(member.peer, encode(fault or Probe(agent))) for agent, member in members]

    def _serve(self, node: EnvironmentServerNode, socket: ServerSocket, journal: OpenableServerJournal) -> None:
        quiet_since = time.monotonic()
        while not node.done:
            messages = socket.receive(int(_KEEPALIVE_SECONDS * 1000), self.control.wake_fds)
            for received in messages:
                self._deliver(node, socket, self._handle(node, socket, received))
                self._account(node)
            journal.settle()  # Everything is sent, and the agents compute.
            if not messages:  # Also within a tenth of a second of a wish to stop, while messages keep coming.
                self._stop_if_asked(node, socket)
            now = time.monotonic()
            if now - quiet_since >= _KEEPALIVE_SECONDS:
                quiet_since = now
                ticked = node.tick(now)
                self._meter.resent += sum(isinstance(delivery.message, Step) for delivery in ticked)
                self._deliver(node, socket, [*ticked, *node.keepalive(now)])
                self._cut_revoked(node, socket, now)
                self._note_presence(node)
                self._name_stragglers(node, now)
                self._tell_status(node)
                self._own.on(self._meter.measured(node.log.step, socket.refused))
        _log.info("run %s %s", node.run_id.hex(), node.phase.value)

    def _cut_revoked(self, node: EnvironmentServerNode, socket: ServerSocket, now: float) -> None:
        """Read the list of keys again if it has changed; who is admitted no more is told so, and heard no more."""
        for peer, agent in socket.read_keys_again(self.control.stop.take_reread()):
            _log.warning("agent %d is cut: its key was revoked", agent, extra=about(agent))
            self._deliver(node, socket, [Delivery(peer, Fault(AuthenticationError.exit_code, _REVOKED % agent))])
            self._deliver(node, socket, node.peer_gone(peer, now))

    def _handle(self, node: EnvironmentServerNode, socket: ServerSocket, received: Received) -> list[Delivery]:
        now = self._heard = time.monotonic()
        try:
            message = decode(received.frames)
        except ProtocolError as error:
            self._meter.refused[BAD_MESSAGE] += 1
            said = foreign_words(str(error))
            _log.warning("a message from %r was refused: %s", received.agent, said, extra=about(received.agent))
            seated = node.roster.agent_of(received.peer) is not None
            socket.complain(received.peer, cut=seated)
            if seated:  # It has spoken this protocol: its connection is damaged, and it joins again over another.
                return node.peer_gone(received.peer, now)
            return [Delivery(received.peer, Fault(error.exit_code, str(error)))]
        deliveries = node.receive(received.peer, received.agent, message, now)
        took = take_seconds(node)
        self._meter.took(took)
        if took >= _SLOW_SECONDS:
            late = node.environment_took(took, time.monotonic())
            deliveries = late or deliveries
        self._watchkeeper.heard(node.roster.agent_of(received.peer), message, now)
        if isinstance(message, Join):
            self._note_presence(node)
        return deliveries

    def _account(self, node: EnvironmentServerNode) -> None:
        """Of the record that the last message closed, if it closed one: everything is sent, and the agents compute."""
        closed = node.take_closed()
        if closed is None:
            return
        self._warned = time.monotonic()
        self._meter.closed(self._heard, self._warned, node.num_agents)
        if closed.update is not None:
            self._after_update(node, closed.update)
        newest = node.log.newest
        if newest is not None and newest.step == closed.step + 1:
            self._reward.add(newest.record.common)

    def _after_update(self, node: EnvironmentServerNode, update: int) -> None:
        lock_steps = update * node.terms.batch_lock_steps
        updated = Updated(
            update=update,
            updates=node.terms.updates,
            env_steps=lock_steps * node.log.world.copies,
            reward_per_step=self._reward.close(),
            lock_steps=lock_steps,
            lock_steps_here=max(0, lock_steps - self._first_step) if self._begun else 0,
            seconds=round(time.monotonic() - self._begun, 3) if self._begun else 0.0,
        )
        self._observers.on(updated)

    def _note_presence(self, node: EnvironmentServerNode) -> None:
        """Tell who came and who went."""
        members = node.roster.members
        for agent in sorted(set(members) - self._present):
            host = members[agent].join.host
            told = ", ".join(f"{name} {value}" for name, value in host.items())
            _log.info('agent %d joined and says of its host: "%s"', agent, foreign_words(told), extra=about(agent))
            hostname = foreign_words(host.get("hostname", ""), NAME_MAX)
            self._observers.on(Joined(agent=agent, hostname=hostname, missing=list(node.roster.missing)))
        if node.phase is ServerPhase.RUNNING:
            for agent in sorted(self._present - set(members)):
                _log.warning("agent %d has gone at record %d; waiting for it", agent, node.log.step, extra=about(agent))
                self._observers.on(Left(agent=agent, step=node.log.step))
        self._present = set(members)
        if node.phase is ServerPhase.RUNNING and not self._begun:
            self._begun = self._warned = time.monotonic()
            self._first_step = max(0, node.log.step)

    def _name_stragglers(self, node: EnvironmentServerNode, now: float) -> None:
        if node.phase is ServerPhase.RUNNING and now - self._warned >= _STRAGGLER_SECONDS:
            self._warned = now
            _log.warning("record %d still waits for agents %s", node.log.step, node.waiting_for)
            present = sorted(self._present)
            self._observers.on(Waiting(step=node.log.step, agents=list(node.waiting_for), present=present))

    def _tell_status(self, node: EnvironmentServerNode) -> None:
        now, step = time.monotonic(), node.log.step
        present = {agent: member.join.host.get("hostname", "") for agent, member in node.roster.members.items()}
        agents = self._watchkeeper.status(step, present, node.waiting_for, now)
        stopped = bool(self.control.stop.reason) and isinstance(node.error, TemporaryError)
        team = TeamStatus(
            phase=status.STOPPED if stopped else node.phase.value,
            run_id=node.run_id.hex(),
            epoch=node.epoch,
            step=step,
            last_step=node.last_step,
            written=now,
            agents=agents,
        )
        self._observers.on(team)

    def _deliver(self, node: EnvironmentServerNode, socket: ServerSocket, deliveries: Sequence[Delivery]) -> None:
        """Send; a peer that has vanished is a fact for the node, which may want to send more.

        Everything is made ready first: who is told something wakes up, and may take the core that the next one waits for.
        """
        while deliveries:
            gone = socket.send_all([(peer, encode(message)) for peer, message in deliveries])
            deliveries = [more for peer in gone for more in node.peer_gone(peer, time.monotonic())]

    def _stop_if_asked(self, node: EnvironmentServerNode, socket: ServerSocket) -> None:
        self.control.poll()
        stop = self.control.stop
        if stop.reason:
            self._deliver(node, socket, node.stop(stop.reason))

    def _result(self, node: EnvironmentServerNode) -> ServerResult:
        raise_if_unfinished(node, self.control.stop)
        learners = {agent: value.hex() for agent, value in sorted(node.learner_digests.items())}
        seconds = time.monotonic() - self._begun if self._begun else 0.0
        steps = node.last_step - self._first_step if self._begun else 0
        self._observers.on(ServerFinished(learner_digests=learners, steps=steps, seconds=seconds))
        return ServerResult(learners, steps, seconds)
