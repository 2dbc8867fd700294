"""One agent as a process: the sans-I/O ``AgentNode`` between a socket, an account book and checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dadc_net.errors import DadcError, DivergenceError, MismatchError, SelftestError, TemporaryError
from dadc_net.exact.selftest import flushes_subnormals
from dadc_net.node.agent import AgentIdentity, AgentNode, Phase, Reaction
from dadc_net.node.messages import Fault
from dadc_net.node.replica import Replica
from dadc_net.runtime import arrays_file
from dadc_net.runtime.account_book import AccountBook
from dadc_net.runtime.party import Control, checked_selftest, host_facts, keep_freed_memory, open_folder, pin_threads
from dadc_net.team.information import InformationStructure
from dadc_net.wire.framing import decode, encode
from dadc_net.wire.keys import AgentKeys
from dadc_net.wire.sockets import AgentSocket

LEARNER_FILE = "learner.arrays"
_SILENCE_SECONDS = 20.0
"""The server says something at least every second; silence this long means it has gone."""
_REJOIN_SECONDS = 2.0
_log = logging.getLogger(__name__)

Tamper = Callable[[Replica, int], None]


@dataclass(frozen=True)
class AgentOptions:
    """What an agent process is started with."""

    agent: int
    server: str
    shared_seed: bytes
    state_dir: Path
    keys: AgentKeys | None
    settings_digest: bytes = b""
    connect_timeout_s: float = 30.0
    checkpoint_every: int = 0
    """Updates between checkpoints; 0: only at the end."""
    structure: InformationStructure | None = None
    tamper: Tamper | None = None
    """Breaks the replica on purpose before a step: the negative controls of the tests and of ``--break``."""


class AgentResult(NamedTuple):
    """How an agent's run ended."""

    learner_digest: str
    steps: int


class AgentProcess:
    """Runs one agent to its end."""

    def __init__(self, options: AgentOptions, control: Control) -> None:
        self.options = options
        self.control = control
        self._book: AccountBook | None = None
        self._heard = time.monotonic()

    def run(self) -> AgentResult:
        """Take part in one run.

        Raises:
            DadcError: whatever ended it early.
        """
        options = self.options
        pin_threads()
        keep_freed_memory()
        selftest = checked_selftest()
        open_folder(options.state_dir)
        host = dict(host_facts(selftest))
        identity = AgentIdentity(
            options.agent,
            options.shared_seed,
            selftest.digest,
            options.settings_digest,
            host,
            selftest.answers,
            options.structure,
        )
        node = AgentNode(identity, options.tamper)
        socket = AgentSocket(options.server, options.keys, connect_timeout_s=options.connect_timeout_s)
        try:
            try:
                self._converse(node, socket, host)
            except DadcError as error:
                self._say_goodbye(socket, error)
                raise
            self._finish(node)
            return AgentResult(node.learner_digest.hex(), self._steps(node))
        finally:
            if self._book is not None:
                self._book.close()
            socket.close()

    def _converse(self, node: AgentNode, socket: AgentSocket, host: Mapping[str, str]) -> None:
        socket.connect(self.control.wake_fds)
        self._stop_if_asked()
        socket.send(encode(node.join()))
        _log.info("agent %d asked to join at %s", self.options.agent, self.options.server)
        self._heard = time.monotonic()
        while node.phase is not Phase.FINISHED:
            frames = socket.receive(1000, self.control.wake_fds)
            if frames is None:  # Also within a tenth of a second of a wish to stop, while messages keep coming.
                self._stop_if_asked()
                self._refuse_silence(node)
                continue
            self._heard = time.monotonic()
            joining = node.phase is Phase.JOINING
            reaction = self._react(node, frames)
            if joining and node.phase is Phase.RUNNING:
                self._open_book(node, host)
            for message in reaction.messages:
                socket.send(encode(message))
            if reaction.account is not None and self._book is not None:
                self._book.add_account(reaction.account)
                if reaction.account.update is not None:
                    self._after_update(node, reaction.account.update.update, reaction.account.update.losses)

    def _react(self, node: AgentNode, frames: list[bytes]) -> Reaction:
        """Hand a message to the node; at a divergence write down every tensor's digest, for ``dadc check``."""
        try:
            return node.receive(decode(frames))
        except DivergenceError:
            if node.replica is not None and self._book is not None:
                tensors = {name: value.hex() for name, value in node.replica.coordinator.tensor_digests().items()}
                self._book.note("stopped", {"step": node.next_step - 1, "tensors": tensors})
            raise

    def _stop_if_asked(self) -> None:
        self.control.poll()
        if self.control.stop.reason:
            raise self.control.stop.error()

    def _refuse_silence(self, node: AgentNode) -> None:
        silent = time.monotonic() - self._heard
        if silent > _SILENCE_SECONDS:
            raise TemporaryError(
                f"the server at {self.options.server} has been silent for {silent:.0f} s. Agent {self.options.agent} was "
                f"{node.phase.value} at step {self._steps(node)}. Check the server, then start server and agents again."
            )

    def _open_book(self, node: AgentNode, host: Mapping[str, str]) -> None:
        if node.replica is None:
            return
        settings = node.replica.settings
        facts = {
            "agent": self.options.agent,
            "run_id": node.run_id.hex(),
            "settings": settings.to_record(),
            "last_step": node.replica.coordinator.last_step,
            "host": dict(host),
        }
        self._book = AccountBook(self.options.state_dir, facts)
        _log.info("agent %d begins run %s: %s", self.options.agent, node.run_id.hex(), settings.to_record())
        self.control.report("begin", agent=self.options.agent, run_id=node.run_id.hex())

    def _after_update(self, node: AgentNode, update: int, losses: Mapping[str, float]) -> None:
        if flushes_subnormals():
            raise SelftestError(
                f"this process began to flush subnormal numbers to zero: the self-test passed, but after update {update} it "
                "would fail. A library that was loaded since then was built with fast-math. Find it, or keep it out."
            )
        every = self.options.checkpoint_every
        if every and update % every == 0:
            self._save(node, update)
            self.control.report("checkpoint", agent=self.options.agent, update=update, losses=dict(losses))

    def _save(self, node: AgentNode, update: int) -> None:
        if node.replica is None:
            return
        meta = {
            "settings": node.replica.settings.to_record(),
            "agent": self.options.agent,
            "run_id": node.run_id.hex(),
            "update": update,
            "learner_digest": node.learner_digest.hex(),
        }
        arrays_file.save(self.options.state_dir / LEARNER_FILE, node.replica.coordinator.snapshot(), meta)

    def _finish(self, node: AgentNode) -> None:
        if node.replica is None or self._book is None:
            return
        self._save(node, node.replica.settings.updates)
        self._book.note("learner_digest", node.learner_digest.hex())
        _log.info("agent %d finished with learner digest %s", self.options.agent, node.learner_digest.hex())
        self.control.report("finished", agent=self.options.agent, learner_digest=node.learner_digest.hex())

    @staticmethod
    def _steps(node: AgentNode) -> int:
        return node.next_step

    def _say_goodbye(self, socket: AgentSocket, error: DadcError) -> None:
        """Tell the server, unless it was the server who said so: a Fault is not answered with a Fault."""
        _log.error("%s", error)
        if not isinstance(error, MismatchError | TemporaryError):
            socket.try_send(encode(Fault(error.exit_code, str(error))))
