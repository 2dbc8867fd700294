"""What takes bytes that others made: messages on both sides, and every file that is read. Each is a function of bytes.

An input is refused with one of the errors of this package, or it is taken; anything else that is raised is a finding. Where
a party has a state, what it refuses must leave none of it changed. Inputs to begin from: ``inputs``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from dadc_net.config import build
from dadc_net.errors import CorruptStateError, DadcError, InvariantError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.result_file import RESULT_NAME, read_report
from dadc_net.experiment.sweep.collection import read_results
from dadc_net.experiment.sweep.result_folder import read_result
from dadc_net.experiment.sweep.sweep_file import read_sweep
from dadc_net.node.agent.agent_node import AgentNode
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.messages import Begin, Message
from dadc_net.runtime import status
from dadc_net.runtime.history import HISTORY_NAME, read_history
from dadc_net.runtime.metrics import METRICS_NAME, read_metrics
from dadc_net.runtime.seed_files import read_raw_seed
from dadc_net.storage import arrays_file
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.tail_entry import TailEntry
from dadc_net.storage.tail_file import read_tail
from dadc_net.team.finite.dpomdp.reader import read_dpomdp
from dadc_net.toml_text import read_toml
from dadc_net.wire import bodies, key_files
from dadc_net.wire.framing import decode, encode
from tests.fuzz.inputs import SEPARATOR, TAIL_KEY, small_team
from tests.simulation.disk import Disk, DiskAgentStore
from tests.team_in_memory import Team


def _message(data: bytes) -> Message | None:
    """What ``data`` says; None if it is refused."""
    frames = data.split(SEPARATOR)
    try:
        message = decode(frames)
    except InvariantError:
        raise
    except DadcError:
        return None
    return message


def decoded(data: bytes) -> None:
    """A message is refused, or is one that says the same when it is sent on."""
    message = _message(data)
    if message is not None:
        sent = encode(message)
        assert encode(decode(sent)) == sent


def begin_body(data: bytes) -> None:
    """The body of a Begin, for an agent that has not begun; a msgpack map, as the wire carries it."""
    try:
        begin = bodies.unpack_begin(bytes(range(16)), 1, data)
    except InvariantError:
        raise
    except DadcError:
        return
    _agent_hears(_fresh_agent(), begin)


@cache
def _team() -> Team:
    return small_team()


def server_node(data: bytes) -> None:
    """A stranger with the key of agent 2 says anything at all: nothing of the run changes, and nobody loses a place."""
    message = _message(data)
    if message is None:
        return
    server = _team().server
    before = server.log.step, server.phase, server.log.world.head, dict(server.roster.members), server.epoch
    server.receive(b"stranger", 2, message, 0.0)
    assert (server.log.step, server.phase, server.log.world.head, dict(server.roster.members), server.epoch) == before
    server.peer_gone(b"stranger", 0.0)
    server.roster.claims.clear()


def seated_member(data: bytes) -> None:
    """Agent 2 itself says anything at all in its place: the server goes on, or ends with one of our errors."""
    message = _message(data)
    if message is None:
        return
    server = _member_team().server
    server.receive(b"peer-2", 2, message, 0.0)
    if server.error is not None:
        assert not isinstance(server.error, InvariantError), server.error
        _member_team.cache_clear()


@cache
def _member_team() -> Team:
    return small_team()


@cache
def _identity() -> AgentIdentity:
    return AgentIdentity(agent=1, shared_seed=seed_bytes(7), selftest=bytes(32))


def _fresh_agent() -> AgentNode:
    return AgentNode(_identity(), DiskAgentStore(Disk()), None)


def _agent_hears(agent: AgentNode, message: Message) -> None:
    try:
        agent.receive(message, 0.0)
    except InvariantError:
        raise
    except DadcError:
        return


@cache
def _begun_agent() -> tuple[AgentNode, str]:
    agent = _fresh_agent()
    begin = next(message for peer, message in _team().sent if peer == b"peer-1" and isinstance(message, Begin))
    agent.receive(begin, 0.0)
    return agent, _state_of(agent)


def _state_of(agent: AgentNode) -> str:
    assert agent.member is not None
    found = hashlib.sha256()
    for name, array in sorted(agent.member.snapshot().items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return f"{agent.next_step} {found.hexdigest()}"


def agent_node(data: bytes) -> None:
    """A server says anything at all to an agent that takes part: what is refused changes nothing of its learner."""
    message = _message(data)
    if message is None:
        return
    agent, before = _begun_agent()
    try:
        _agent_hears(agent, message)
    except BaseException:
        _begun_agent.cache_clear()
        raise
    if agent.next_step or agent.phase.value != "running":
        _begun_agent.cache_clear()  # It was taken.
    elif _state_of(agent) != before:
        _begun_agent.cache_clear()
        raise AssertionError(f"refused, and yet it changed the learner: {message!r}")


class Scratch:
    """A folder in memory with one file that is written again and again; it goes when the process ends."""

    def __init__(self, name: str) -> None:
        shm = "/dev/shm"
        self._folder = tempfile.TemporaryDirectory(prefix="dadc-fuzz-", dir=shm if os.access(shm, os.W_OK) else None)
        self.path = Path(self._folder.name) / name
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, self._descriptor)

    def write(self, data: bytes) -> None:
        """Make ``data`` the file's content: two calls of the system, where making and removing a file takes six."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)


def file_target(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """A target that reads a file of that name; ``read`` is given its path."""
    scratch = cache(lambda: Scratch(name))

    def target(data: bytes) -> None:
        scratch().write(data)
        try:
            read(scratch().path)
        except InvariantError:
            raise
        except DadcError:
            pass

    return target


def _tail(path: Path) -> None:
    tail = read_tail(path, TAIL_KEY)
    # What a check of 32 bits keeps a fuzzer from changing, besides.
    for body in (*tail.bodies, path.read_bytes()):
        with suppress(CorruptStateError):
            list(TailEntry.unpack(body, 2).rows())


def _journal(path: Path) -> None:
    for suffix in ("-wal", "-tail"):
        Path(f"{path}{suffix}").touch()
    try:
        reader = JournalReader(path.parent)
        try:
            for _ in reader.records():
                pass
            if reader.agent:
                list(reader.private())
                list(reader.updates())
        finally:
            reader.close()
    finally:
        for left in path.parent.glob("*-shm"):
            left.unlink()


def _configuration(path: Path) -> None:
    try:
        given = read_toml(path.read_bytes().decode("utf-8", "replace"))
    except ValueError:
        return
    if given.get("task", "mabc") == "mabc":  # Another may be code of a user.
        build(given)


def dpomdp(data: bytes) -> None:
    """A problem file is read, or refused."""
    with suppress(DadcError):
        read_dpomdp(data.decode("utf-8", "replace"), "model")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": decoded,
    "begin": begin_body,
    "server": server_node,
    "member": seated_member,
    "agent": agent_node,
    "configuration": file_target("config.toml", _configuration),
    "tail": file_target("tail", _tail),
    "journal": file_target("journal.sqlite", _journal),
    "arrays": file_target("x.arrays", arrays_file.load),
    "report": file_target(RESULT_NAME, lambda path: read_report(path.parent)),
    "status": file_target("status.json", lambda path: status.read(path.parent)),
    "metrics": file_target(METRICS_NAME, lambda path: list(read_metrics(path.parent))),
    "history": file_target(HISTORY_NAME, lambda path: list(read_history(path.parent))),
    "secret-key": file_target("agent-1.key", lambda path: key_files.read_pair(path, 1)),
    "key-list": file_target("authorised.toml", key_files.read_authorised),
    "seed": file_target("team.seed", lambda path: read_raw_seed(path, "--seed-file")),
    "dpomdp": dpomdp,
    "sweep": file_target("sweep.toml", read_sweep),
    "sweep-result": file_target("seed-0000.json", read_result),
    "collection": file_target("all.json", lambda path: read_results([path])),
}
