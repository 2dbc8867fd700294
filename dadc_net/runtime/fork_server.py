"""Child processes of a launcher: one environment server and K agents, forked from a server with torch preloaded.

A fork server imports torch, this package and its compiled kernels once (``preloaded``); each child is a fork of it, so a
hundred agents start in seconds and share those pages. The launcher itself needs none of that before the run goes. Nothing
of ZeroMQ exists before the fork: sockets are made inside the child. Children ignore SIGINT, because Ctrl-C reaches the
whole foreground group and only the launcher may decide; they stop when their control pipe says so or closes.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dadc_net import config as configuration
from dadc_net.errors import TemporaryError
from dadc_net.named_code import load_structure
from dadc_net.runtime import status as status  # Its events come from children too, and are known by name once it is loaded.
from dadc_net.runtime.control import Control, StopRequest
from dadc_net.runtime.events import Event, Failed, Learned, from_plain
from dadc_net.runtime.failures import ending_of
from dadc_net.runtime.log_file import log_to_file
from dadc_net.runtime.own_family import load_family
from dadc_net.runtime.process_title import name_process
from dadc_net.storage.folder import open_state_folder
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.storage.rule_file import load_rule_file
from dadc_net.wire.keys import load_agent_keys, load_server_keys

if TYPE_CHECKING:
    from dadc_net.node.agent.agent_node import Tamper

_TEMPORARY_FOLDER_MAX = 60
"""Bytes; the names below it need the rest."""
_PRELOADED = tuple(f"dadc_net.runtime.{name}" for name in ("agent_process", "server_process", "fork_server", "preloaded"))
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOrder:
    """What the child that becomes the environment server is told; plain data, so that it can be sent to it."""

    configuration: Mapping[str, Any]
    environment_seed: bytes = field(repr=False)
    run_id: bytes
    state_dir: Path
    keys_dir: Path
    bind: str = "tcp://127.0.0.1:*"
    journals: Journals = ON_DISK
    epoch: int = 0
    """As in ``ServerOptions``."""
    io_core: int | None = None
    """Likewise."""


@dataclass(frozen=True, kw_only=True)
class AgentOrder:
    """What a child that becomes an agent is told."""

    agent: int
    server: str
    shared_seed: bytes = field(repr=False)
    state_dir: Path
    keys_dir: Path
    checkpoint_every: int
    tells_losses: bool = True
    """Whether the launcher hears of this agent's updates: one replica of a learner is enough."""
    structure: str = ""
    """The user's own information structure, ``package.module:Class``; empty: a built-in one."""
    family: str = ""
    """The user's own kind of prescription family, likewise."""
    rule: Path | None = None
    """File of the learned rule to begin with."""
    io_core: int | None = None
    """As in ``AgentOptions``."""
    tamper: Tamper | None = None
    journal: str = "process"
    journals: Journals = ON_DISK


@dataclass(eq=False)
class Child:
    """A running child and the launcher's end of its control pipe."""

    name: str
    process: BaseProcess
    connection: Connection

    def events(self) -> Iterator[Event]:
        """What it has reported and nobody has read yet; also the last words of one that has just ended."""
        try:
            while self.connection.poll():
                yield from_plain(self.connection.recv())
        except (EOFError, OSError):
            self.process.join(1.0)  # The pipe closes a moment before the process ends.

    def stop(self, reason: str) -> None:
        """Ask it to end; one that has gone needs no asking."""
        with contextlib.suppress(OSError):
            self.connection.send(reason)


def guarded(state_dir: Path | None, connection: Connection, role: Callable[[Control], object]) -> None:
    """Run a role in a child: report how it failed, and exit with its code. It logs only where it has a ``state_dir``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = StopRequest()
    signal.signal(signal.SIGTERM, lambda *_: stop.request("SIGTERM"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    control = Control(connection, stop=stop)
    if state_dir is not None:
        name_process(f"dadc {state_dir.name} of {state_dir.parent}")
    try:
        if state_dir is None:
            _log.addHandler(logging.NullHandler())
        else:
            log_to_file(open_state_folder(state_dir))
        role(control)
    except BaseException as error:
        party = multiprocessing.current_process().name
        found = ending_of(error, f"the process of {party}")
        control.on(Failed(party=party, exit_code=found.exit_code, text=str(found), speaker=found.speaker))
        sys.exit(found.exit_code)


def server_child(order: ServerOrder, connection: Connection) -> None:
    """Body of the child that serves the environment."""
    from dadc_net.runtime.server_process import ServerOptions, ServerProcess

    def role(control: Control) -> None:
        config = configuration.build(order.configuration)
        keys = load_server_keys(order.keys_dir)
        where = (order.bind, order.run_id, order.state_dir)
        options = ServerOptions(config, order.environment_seed, *where, keys, order.journals, order.epoch, order.io_core)
        ServerProcess(options, control).run()

    guarded(order.state_dir, connection, role)


def agent_child(order: AgentOrder, connection: Connection) -> None:
    """Body of a child that is an agent."""
    from dadc_net.runtime.agent_process import AgentOptions, AgentProcess

    def role(control: Control) -> None:
        control.kept_back = () if order.tells_losses else (Learned,)
        if order.family:
            load_family(order.family)
        options = AgentOptions(
            agent=order.agent,
            server=order.server,
            shared_seed=order.shared_seed,
            state_dir=order.state_dir,
            keys=load_agent_keys(order.keys_dir, order.agent),
            checkpoint_every=order.checkpoint_every,
            structure=load_structure(order.structure) if order.structure else None,
            rule=None if order.rule is None else load_rule_file(order.rule),
            io_core=order.io_core,
            tamper=order.tamper,
            journal=order.journal,
            journals=order.journals,
        )
        AgentProcess(options, control).run()

    guarded(order.state_dir, connection, role)


@contextlib.contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """The address of the fork server's socket is a path in the folder for temporary files, and has 108 bytes at most."""
    before = tempfile.tempdir
    short = [path for path in ("/tmp", "/var/tmp", "/dev/shm") if os.access(path, os.W_OK | os.X_OK)]
    if len(os.fsencode(tempfile.gettempdir())) > _TEMPORARY_FOLDER_MAX and short:
        tempfile.tempdir = short[0]
    try:
        yield
    finally:
        tempfile.tempdir = before


class ForkServer:
    """Starts children from one preloaded fork server."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_PRELOADED))

    def start(self, name: str, body: Callable[[Any, Connection], None], order: object) -> Child:
        """Start ``body(order, connection)`` in a child."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=body, args=(order, theirs), name=name)
        # Both signals are blocked while the fork server and the child come up: a Ctrl-C, or a SIGTERM to the group, in that
        # moment cannot hit a child before it knows what to do. The mask is inherited; the launcher takes its own back at
        # once. The fork server keeps it, and ends when the launcher does.
        # The resource tracker, which starts with the first child otherwise, unblocks the signal when it has started.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            with _short_temporary_folder():
                process.start()
        except (EOFError, OSError) as error:
            raise TemporaryError(
                f"the process of {name} could not be started: the process that forks children has ended ({error!r}). "
                "Nothing was computed. Check the machine's memory and process limits, then start again."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return Child(name, process, ours)
