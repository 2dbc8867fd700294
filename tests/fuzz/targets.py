"""What takes bytes that others made: messages on both sides, and every file that is read. Each is a function of bytes.

An input is refused with one of the errors of this package, or it is taken; anything else that is raised is a finding. Where
a party has a state, what it refuses must leave none of it changed. ``SEEDS`` are inputs that are taken, to begin from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from dadc_net.config import build
from dadc_net.errors import DadcError, InvariantError
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
from tests.process.rogue import messages
from tests.simulation.disk import Disk, DiskAgentStore
from tests.team_in_memory import Team

SMALL = {"task": "mabc", "updates": 2, "learner": {"num_envs": 2, "batch_steps": 8}}
CORPUS = Path(__file__).with_name("corpus")
SEPARATOR = b"\xff|FRAME|\xff"


def framed(frames: list[bytes]) -> bytes:
    """Frames as one input."""
    return SEPARATOR.join(frames)


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
    """A team that stands in the middle of its run, with agent 1 and 2 seated."""
    team = Team(build(SMALL))
    for agent, node in team.agents.items():
        for delivery in team.server.receive(f"peer-{agent}".encode(), agent, node.join(), 0.0):
            team.sent.append((delivery.peer, delivery.message))
    assert team.server.log.step == 0
    return team


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
    team = Team(build(SMALL))
    for agent, node in team.agents.items():
        team.server.receive(f"peer-{agent}".encode(), agent, node.join(), 0.0)
    return team


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


@cache
def _folder() -> Path:
    shm = "/dev/shm"
    return Path(tempfile.mkdtemp(prefix="dadc-fuzz-", dir=shm if os.access(shm, os.W_OK) else None))


def file_target(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """A target that reads a file of that name; ``read`` is given its path."""

    def target(data: bytes) -> None:
        path = _folder() / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        try:
            read(path)
        except InvariantError:
            raise
        except DadcError:
            pass
        finally:
            for left in (path, Path(f"{path}-shm")):
                left.unlink(missing_ok=True)

    return target


def _tail(path: Path) -> None:
    for body in read_tail(path, 7).bodies:
        with suppress(DadcError):
            TailEntry.unpack(body).rows(2)


def _journal(path: Path) -> None:
    for suffix in ("-wal", "-tail"):
        Path(f"{path}{suffix}").write_bytes(b"")
    reader = JournalReader(path.parent)
    try:
        for _ in reader.records():
            pass
        if reader.agent:
            list(reader.private())
            list(reader.updates())
    finally:
        reader.close()


def _configuration(path: Path) -> None:
    with suppress(ValueError):
        given = read_toml(path.read_bytes().decode("utf-8", "replace"))
        if given.get("task") == "mabc":
            build(given)


def dpomdp(data: bytes) -> None:
    """A problem file is read, or refused."""
    with suppress(DadcError):
        read_dpomdp(data.decode("utf-8", "replace")[:4000], "model")


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


def seeds(name: str) -> list[bytes]:
    """Inputs to begin from: those of the corpus, and what this version itself would write."""
    found = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    if name in ("message", "server", "member", "agent"):
        found += [framed(encode(message)) for message in messages(2).values()]
        found += [framed(encode(message)) for _, message in _team().sent]
    if name == "begin":
        found += [encode(message)[1] for _, message in _team().sent if isinstance(message, Begin)]
    if name == "arrays":
        found.append(arrays_file.pack({"a": np.arange(6.0).reshape(2, 3)}, {"agent": 1}))
    if name in ("report", "sweep-result", "collection", "status"):
        found.append(json.dumps({"learner_digest": "00", "value": 1.0, "format": "x", "curves": []}).encode())
    if name == "history":
        found.append(b'{"time": 1.5, "event": "Left", "agent": 1, "step": 3}\n')
    if name == "metrics":
        done = {"kind": "reward", "update": 1, "env_steps": 40, "reward_per_step": 0.5, "lock_steps": 10, "seconds": 1.0}
        found.append(json.dumps(done).encode() + b"\n")
    if name == "configuration":
        found.append(build(SMALL).to_toml().encode())
    return found or [b""]
