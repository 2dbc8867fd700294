"""The environment server as a process: the sans-I/O ``EnvironmentServerNode`` between sockets, clock and account book."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from dadc_net.config import RunConfig
from dadc_net.errors import InvariantError, ProtocolError
from dadc_net.node.environment_server import ClosedStep, Delivery, EnvironmentServerNode, ServerPhase, ServerPlan
from dadc_net.node.messages import Fault
from dadc_net.node.team_environment import Problem, TeamEnvironment
from dadc_net.runtime.account_book import AccountBook
from dadc_net.runtime.party import Control, open_folder
from dadc_net.wire.framing import decode, encode
from dadc_net.wire.keys import ServerKeys
from dadc_net.wire.sockets import Received, ServerSocket

_KEEPALIVE_SECONDS = 1.0
_METRIC_LINES = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """What a server process is started with."""

    config: RunConfig
    environment_seed: bytes
    bind: str
    run_id: bytes
    state_dir: Path
    keys: ServerKeys | None


class ServerResult(NamedTuple):
    """How a server's run ended."""

    learner_digests: dict[int, str]
    steps: int
    seconds: float
    """Wall-clock time from the first record to the end."""


def make_problem(config: RunConfig) -> Problem:
    """The team problem that a configuration describes."""
    environment = config.task.make(config.parameters, config.settings.learner.num_envs)
    restart = int(getattr(config.parameters, "restart_steps", 0))
    return Problem(environment, config.task.structure, config.family, restart)


def make_plan(config: RunConfig) -> ServerPlan:
    """What the server is told of the learner."""
    settings = config.settings
    return ServerPlan(
        settings.to_record(),
        settings.digest(),
        settings.learner.batch_lock_steps,
        settings.updates,
        config.runtime.lockstep_timeout_s,
        config.runtime.join_timeout_s,
        settings.is_shared,
    )


class ServerProcess:
    """Runs one environment server to its end."""

    def __init__(self, options: ServerOptions, control: Control) -> None:
        self.options = options
        self.control = control
        world = TeamEnvironment(make_problem(options.config), options.environment_seed)
        self.node = EnvironmentServerNode(world, make_plan(options.config), options.run_id)
        self._metrics: TextIO | None = None
        self._reward_sum = 0.0
        self._reward_count = 0
        self._joined: set[int] = set()
        self._begun = 0.0

    def run(self) -> ServerResult:
        """Serve one run.

        Raises:
            DadcError: whatever ended it early.
        """
        options = self.options
        folder = open_folder(options.state_dir)
        socket = ServerSocket(options.bind, options.keys)
        facts = {
            "agent": 0,
            "run_id": options.run_id.hex(),
            "settings": self.node.plan.settings,
            "last_step": self.node.last_step,
        }
        book = AccountBook(folder, facts)
        try:
            with open(folder / "metrics.jsonl", "w", encoding="utf-8") as self._metrics:
                (folder / "config.toml").write_text(options.config.to_toml(), encoding="utf-8")
                _log.info("environment server listens at %s, run %s", socket.endpoint, options.run_id.hex())
                self.control.report("listening", endpoint=socket.endpoint)
                self._serve(socket, book)
        finally:
            book.close()
            socket.close()
        return self._result()

    def _serve(self, socket: ServerSocket, book: AccountBook) -> None:
        node = self.node
        quiet_since = time.monotonic()
        while node.phase in (ServerPhase.JOINING, ServerPhase.RUNNING):
            messages = socket.receive(int(_KEEPALIVE_SECONDS * 1000), self.control.wake_fds)
            for received in messages:
                self._deliver(socket, self._handle(received, book))
            if not messages:  # Also within a tenth of a second of a wish to stop, while messages keep coming.
                self._stop_if_asked(socket)
            now = time.monotonic()
            if now - quiet_since >= _KEEPALIVE_SECONDS:
                quiet_since = now
                self._deliver(socket, [*node.tick(now), *node.keepalive()])
        book.flush()
        _log.info("run %s %s", self.options.run_id.hex(), node.phase.value)

    def _handle(self, received: Received, book: AccountBook) -> list[Delivery]:
        now = time.monotonic()
        try:
            message = decode(received.frames)
        except ProtocolError as error:
            _log.warning("a message from %r was refused: %s", received.agent, error)
            return [Delivery(received.peer, Fault(error.exit_code, str(error)))]
        deliveries = self.node.receive(received.peer, received.agent, message, now)
        closed = self.node.take_closed()
        if closed is not None:
            self._account(book, closed)
        elif self.node.phase is ServerPhase.JOINING or not self._begun:
            self._note_joins()
        return deliveries

    def _account(self, book: AccountBook, closed: ClosedStep) -> None:
        book.add_answers(closed.step, closed.head, closed.answers, closed.update is not None)
        entry = self.node.entry
        if entry is not None and entry.step == closed.step + 1:
            self._reward_sum += float(entry.rewards.sum())
            self._reward_count += int((~entry.begin).sum())
        if closed.update is not None:
            self._after_update(closed.update)

    def _after_update(self, update: int) -> None:
        updates = self.node.plan.updates
        if update % max(1, updates // _METRIC_LINES) and update != updates:
            return
        mean = self._reward_sum / max(1, self._reward_count)
        self._reward_sum, self._reward_count = 0.0, 0
        seconds = time.monotonic() - self._begun
        digest = self.node.learner_digests.get(1, b"").hex()
        details: dict[str, Any] = {
            "update": update,
            "updates": updates,
            "reward_per_step": mean,
            "learner_digest": digest,
        }
        details["lock_steps"] = update * self.node.plan.batch_lock_steps
        details["seconds"] = round(seconds, 3)
        if self._metrics is not None:
            self._metrics.write(json.dumps(details) + "\n")
            self._metrics.flush()
        self.control.report("update", **details)

    def _note_joins(self) -> None:
        for agent, member in self.node.roster.members.items():
            if agent not in self._joined:
                self._joined.add(agent)
                host = member.join.host
                _log.info("agent %d joined from %s", agent, host)
                self.control.report(
                    "joined", agent=agent, hostname=host.get("hostname", ""), missing=self.node.roster.missing
                )
        if self.node.phase is ServerPhase.RUNNING and not self._begun:
            self._begun = time.monotonic()

    def _deliver(self, socket: ServerSocket, deliveries: Sequence[Delivery]) -> None:
        """Send; a peer that has vanished is a fact for the node, which may want to send more."""
        pending = list(deliveries)
        while pending:
            peer, message = pending.pop(0)
            if not socket.send(peer, encode(message)):
                pending += self.node.peer_gone(peer, time.monotonic())

    def _stop_if_asked(self, socket: ServerSocket) -> None:
        self.control.poll()
        stop = self.control.stop
        if stop.reason:
            self._deliver(socket, self.node.stop(stop.reason))

    def _result(self) -> ServerResult:
        node = self.node
        if node.phase is not ServerPhase.FINISHED and self.control.stop.reason:
            raise self.control.stop.error()
        if node.error is not None:
            raise node.error
        if node.phase is not ServerPhase.FINISHED:
            raise InvariantError(f"the server left its loop while {node.phase.value}")
        digests = {agent: digest.hex() for agent, digest in sorted(node.learner_digests.items())}
        seconds = time.monotonic() - self._begun
        self.control.report("finished", learner_digests=digests, steps=node.last_step, seconds=seconds)
        return ServerResult(digests, node.last_step, seconds)
