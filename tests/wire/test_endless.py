"""A message whose frames never end: the transport would collect them all."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from dadc_net.wire.conduct import Conduct
from dadc_net.wire.connections import Unfinished
from dadc_net.wire.keys import load_server_keys
from dadc_net.wire.limits import agent_frame_bytes, unfinished_bytes
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import ServerSocket
from tests.wire.test_sockets import LOOPBACK, Agents, KeysOf, receive_one

pytestmark = pytest.mark.timeout(100)
SECONDS = 3.0
PAUSE = 0.4


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def largest_growth(server: ServerSocket, ended: threading.Event) -> float:
    before, largest = resident_mib(), 0.0
    while not ended.is_set():
        server.receive(50)
        largest = max(largest, resident_mib() - before)
    return largest


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type" + (6).to_bytes(4, "big")
FRAME = b"\x03" + (2**20).to_bytes(8, "big") + bytes(2**20)
"""Of one mebibyte, and more follow."""


WHOLE = b"\x02" + FRAME[1:]
"""The same, and none follows."""


def speak(connection: socket.socket, kind: bytes, whole_first: int = 0, go_on: threading.Event | None = None) -> int:
    """ZMTP by hand, which libzmq would not send before the end of the message: frames without end; MiB that were taken.

    Before them come ``whole_first`` messages of a frame, a few looks later, and then nothing until ``go_on``.
    """
    connection.settimeout(5)
    connection.sendall(GREETING + b"\x04" + bytes([len(READY + kind)]) + READY + kind)
    if whole_first:
        time.sleep(PAUSE)
        for _ in range(whole_first):
            connection.sendall(WHOLE)
    if go_on is not None:
        go_on.wait(60)
    sent, until = 0, time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            connection.sendall(FRAME)
            sent += 1
    except OSError:
        pass
    return sent


def test_a_message_that_never_ends_is_cut_and_others_are_heard(agents: Agents, caplog: pytest.LogCaptureFixture) -> None:
    server = ServerSocket(LOOPBACK, None, Heartbeat(), conduct=Conduct(lambda _: False))
    ended = threading.Event()

    def attack() -> None:
        with socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2]))) as connection:
            speak(connection, b"DEALER")
        ended.set()

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        grown = largest_growth(server, ended)
        thread.join()
        assert "a message came that does not end" in caplog.text
        assert grown < 1500
        honest = agents(server.endpoint, None)
        honest.connect()
        honest.send([b"hello"])
        assert receive_one(server).frames == [b"hello"]
    finally:
        server.close(flush=False)


def test_whole_messages_are_not_cut_however_many_bytes_they_have(
    folder: Path, agents: Agents, agent_keys: KeysOf, caplog: pytest.LogCaptureFixture
) -> None:
    conduct = Conduct(lambda _: True)
    server = ServerSocket(LOOPBACK, load_server_keys(folder), Heartbeat(), conduct=conduct)
    try:
        member = agents(server.endpoint, agent_keys(1))
        member.connect()
        for _ in range(20):
            member.send([bytes(2**20), bytes(2**20)])
            received = receive_one(server)
            assert [len(frame) for frame in received.frames] == [2**20, 2**20]
            assert server.send(received.peer, [b"told"])
            time.sleep(0.02)
        assert "does not end" not in caplog.text
    finally:
        server.close(flush=False)


@pytest.mark.parametrize("whole_first", [0, 60])
def test_an_agent_cuts_a_server_whose_message_never_ends(
    agents: Agents, caplog: pytest.LogCaptureFixture, whole_first: int
) -> None:
    """Whole messages may have more bytes together, and what follows them may not."""
    heard, go_on = 0, threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        agent = agents(f"tcp://127.0.0.1:{listener.getsockname()[1]}", None)
        assert unfinished_bytes(agent_frame_bytes()) < 60 * len(WHOLE)
        connecting = threading.Thread(target=agent.connect)
        connecting.start()
        connection, _ = listener.accept()
        with connection:
            speaking = threading.Thread(target=speak, args=(connection, b"ROUTER", whole_first, go_on))
            speaking.start()
            connecting.join()
            while heard < whole_first and agent.receive(2000) is not None:
                heard += 1
            time.sleep(PAUSE)  # A few looks.
            before = caplog.text
            go_on.set()
            speaking.join()
    assert heard == whole_first
    assert "cut the connection" not in before
    deadline = time.monotonic() + 10  # It is told a moment after it was done.
    while "cut the connection to the server" not in caplog.text:
        time.sleep(0.02)
        assert time.monotonic() < deadline


def test_looking_at_connections_leaves_no_descriptor_open(server: ServerSocket) -> None:
    watch = Unfinished(lambda _: True)
    watch.look({}, 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert watch.look({}, 2**40) == []
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_pipe_of_a_launcher_beside_the_connections_is_none_of_them() -> None:
    """Every child of ``dadc run`` has one: asked for its port it raised, and nothing endless was cut any more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Unfinished(lambda connection: connection.getsockname()[1] == 1).look({}, 100) == []


def test_what_an_agent_holds_for_its_busy_owner_is_bounded(
    server: ServerSocket,
    agents: Agents,
    agent_keys: KeysOf,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Complete messages, one after the other, while nobody reads: a server has not so much to say."""
    monkeypatch.setattr("dadc_net.wire.agent_socket.HELD_MESSAGES_MAX", 50)
    agent = agents(server.endpoint, agent_keys(1))
    agent.connect()
    agent.send([b"hello"])
    peer = receive_one(server).peer
    deadline = time.monotonic() + 20
    while "it says more while this agent computes" not in caplog.text:
        server.send(peer, [bytes(1000)])
        assert time.monotonic() < deadline
    held = 0
    while agent.receive(300) is not None:
        held += 1
    assert held == 50
    agent.reopen()
    agent.send([b"again"])
    peer = receive_one(server).peer
    server.send(peer, [b"a record"])
    assert agent.receive(5000) == [b"a record"]


def test_what_an_agent_expects_bounds_what_its_next_connection_takes(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    agent = agents(server.endpoint, agent_keys(1))
    agent.expect(1000)
    agent.connect()
    agent.send([b"hello"])
    peer = receive_one(server).peer
    server.send(peer, [bytes(agent_frame_bytes(1000) - 100)])
    assert agent.receive(5000) is not None
    server.send(peer, [bytes(agent_frame_bytes(1000) + 1)])
    server.send(peer, [b"what comes after it"])
    assert agent.receive(500) is None, "the transport ends the connection"


def test_strangers_that_hold_descriptors_are_cut_the_oldest_first(
    folder: Path, agents: Agents, agent_keys: KeysOf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dadc_net.wire.server_socket.require_descriptors", lambda _: 8)
    seated: list[bytes] = []
    server = ServerSocket(LOOPBACK, load_server_keys(folder), Heartbeat(), conduct=Conduct(lambda peer: peer in seated))
    where = ("127.0.0.1", int(server.endpoint.rpartition(":")[2]))
    member = agents(server.endpoint, agent_keys(1))
    strangers: list[socket.socket] = []
    try:
        member.connect()
        member.send([b"hello"])
        seated.append(receive_one(server).peer)
        for _ in range(20):
            strangers.append(socket.create_connection(where))
            time.sleep(0.01)
        deadline = time.monotonic() + 20
        while "from 8 on strangers are cut" not in caplog.text or server.open_connections > 8:
            time.sleep(0.05)
            assert time.monotonic() < deadline
        assert server.send(seated[0], [b"you stay"])
        assert member.receive(5000) == [b"you stay"]
    finally:
        for stranger in strangers:
            stranger.close()
        server.close(flush=False)
