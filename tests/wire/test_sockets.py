"""Real sockets on loopback: who is admitted, who is told what, and that nothing hangs."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from dadc_net.errors import AuthenticationError, InvariantError, ProtocolError, TemporaryError, UsageError
from dadc_net.wire import agent_socket, options
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.key_files import new_pair
from dadc_net.wire.keys import AgentKeys, load_server_keys
from dadc_net.wire.server_socket import Received, ServerSocket

pytestmark = pytest.mark.timeout(60)
LOOPBACK = "tcp://127.0.0.1:*"
Agents = Callable[..., AgentSocket]
KeysOf = Callable[[int], AgentKeys]


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def receive_one(server: ServerSocket) -> Received:
    received = server.receive(10_000)
    assert len(received) == 1
    return received[0]


def send_until_gone(server: ServerSocket, peer: bytes, seconds: float = 10.0) -> bool:
    """Whether the socket says within ``seconds`` that ``peer`` has vanished."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not server.send(peer, [b"are you there"]):
            return True
        time.sleep(0.01)
    return False


def test_a_round_trip_and_identity_is_the_key(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    pair = [agents(server.endpoint, agent_keys(agent)) for agent in (1, 2)]
    for agent, member in enumerate(pair, start=1):
        assert member.connect()
        # What an agent says about itself plays no part: here both say that they are agent 1.
        member.send([b"I am agent 1", b"", b"body"])
        received = receive_one(server)
        assert received.agent == agent
        assert received.frames == [b"I am agent 1", b"", b"body"]
        assert server.send(received.peer, [b"answer", str(agent).encode()])
        assert member.receive(10_000) == [b"answer", str(agent).encode()]
        member.send([b"again"])
        assert receive_one(server) == Received(received.peer, agent, [b"again"])


def test_without_keys_on_loopback(agents: Agents) -> None:
    server = ServerSocket(LOOPBACK, None)
    try:
        member = agents(server.endpoint, None)
        assert member.connect()
        member.send([b"hello"])
        received = receive_one(server)
        assert received.agent is None
        assert server.send(received.peer, [b"there"])
        assert member.receive(10_000) == [b"there"]
    finally:
        server.close(flush=False)


@pytest.mark.parametrize("bind", ["tcp://0.0.0.0:*", "tcp://*:*"])
def test_without_keys_nothing_but_loopback(bind: str) -> None:
    with pytest.raises(UsageError, match="there are no keys"):
        ServerSocket(bind, None)
    with pytest.raises(UsageError, match="there are no keys"):
        AgentSocket("tcp://192.0.2.1:5555", None)


def test_an_unauthorised_key_is_refused_at_once(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    known = agent_keys(1)
    stranger = agents(server.endpoint, AgentKeys(1, new_pair(), known.server_public, known.folder))
    with no_longer_than(5), pytest.raises(AuthenticationError, match=r"refused the key.*authorised\.toml") as caught:
        stranger.connect()
    assert caught.value.exit_code == 12
    assert server.receive(200) == []


def test_a_wrong_server_key_is_explained(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_socket, "_PATIENCE_SECONDS", 0.5)
    keys = agent_keys(1)
    misled = agents(server.endpoint, AgentKeys(1, keys.pair, new_pair().public, keys.folder))
    with no_longer_than(5), pytest.raises(AuthenticationError, match=r"server\.pub"):
        misled.connect()
    impatient = agents(server.endpoint, AgentKeys(1, keys.pair, new_pair().public, keys.folder), 0.2)
    with no_longer_than(5), pytest.raises(AuthenticationError, match=r"server\.pub"):
        impatient.connect()


def test_an_agent_without_keys_at_a_server_with_keys(
    server: ServerSocket, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_socket, "_PATIENCE_SECONDS", 0.5)
    with no_longer_than(5), pytest.raises(AuthenticationError, match="this agent has no keys"):
        agents(server.endpoint, None).connect()
    assert server.receive(100) == []


def test_an_agent_with_keys_at_a_server_without(agents: Agents, agent_keys: KeysOf) -> None:
    server = ServerSocket(LOOPBACK, None)
    try:
        with no_longer_than(5), pytest.raises(AuthenticationError, match="runs without encryption"):
            agents(server.endpoint, agent_keys(1)).connect()
    finally:
        server.close(flush=False)


def test_an_address_in_use(server: ServerSocket, folder: Path) -> None:
    with no_longer_than(5), pytest.raises(TemporaryError, match=r"in use by another process.*--bind") as caught:
        ServerSocket(server.endpoint, load_server_keys(folder))
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(("bind", "message"), [("tcp://192.0.2.1:5555", "not an address of this host"), ("x", "form")])
def test_an_address_that_cannot_be_bound(folder: Path, bind: str, message: str) -> None:
    with no_longer_than(5), pytest.raises(UsageError, match=message):
        ServerSocket(bind, load_server_keys(folder))


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "Nothing listens there"), ("nowhere.invalid", "does not resolve")]
)
def test_nothing_listens(agents: Agents, agent_keys: KeysOf, host: str, reason: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    lonely = agents(f"tcp://{host}:{port}", agent_keys(1), 0.6)
    with no_longer_than(5), pytest.raises(TemporaryError, match=f"server unreachable.*{reason}") as caught:
        lonely.connect()
    assert caught.value.exit_code == 75


@contextmanager
def stranger_service(greeting: bytes | None) -> Iterator[str]:
    """Something else that listens: says ``greeting`` and hangs up, or says nothing at all."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            if greeting is not None:
                connection.sendall(greeting)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()


def test_a_web_server_is_not_taken_for_ours(agents: Agents, agent_keys: KeysOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_socket, "_PATIENCE_SECONDS", 0.5)
    with stranger_service(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b" " * 100) as address:
        client = agents(address, agent_keys(1))
        with no_longer_than(5), pytest.raises(ProtocolError, match="does not speak ZeroMQ"):
            client.connect()


def test_a_silent_service_ends_at_the_deadline(agents: Agents, agent_keys: KeysOf) -> None:
    with stranger_service(None) as address:
        client = agents(address, agent_keys(1), 0.5)
        with no_longer_than(5), pytest.raises(TemporaryError, match=r"server unreachable.*does not answer"):
            client.connect()


def test_an_agent_may_start_before_its_server(folder: Path, agents: Agents, agent_keys: KeysOf) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{reserved.getsockname()[1]}"
    early = agents(address, agent_keys(1), 20.0)
    admitted: list[bool] = []
    thread = threading.Thread(target=lambda: admitted.append(early.connect()))
    thread.start()
    time.sleep(0.1)
    server = ServerSocket(address, load_server_keys(folder))
    thread.join()
    server.close(flush=False)
    assert admitted == [True]


def test_a_vanished_peer_gives_false(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    member.send([b"hello"])
    peer = receive_one(server).peer
    member.close()
    assert send_until_gone(server, peer)
    assert not server.send(b"never seen", [b"x"])
    # The next one is another connection of the same agent.
    again = agents(server.endpoint, agent_keys(1))
    again.connect()
    again.send([b"back"])
    received = receive_one(server)
    assert received.agent == 1
    assert received.peer != peer


def test_a_silent_peer_is_noticed_by_heartbeats(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    with black_hole(server.endpoint) as (address, go_dark):
        member = agents(address, agent_keys(1))
        member.connect()
        member.send([b"hello"])
        peer = receive_one(server).peer
        go_dark.set()
        assert send_until_gone(server, peer)


@contextmanager
def black_hole(endpoint: str) -> Iterator[tuple[str, threading.Event]]:
    """A forwarder to ``endpoint`` that stops reading, without closing anything, once the event is set."""
    port = int(endpoint.rsplit(":", 1)[1])
    dark, done = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket) -> None:
        source.settimeout(0.05)
        while not done.is_set():
            if dark.is_set():
                done.wait(0.05)
                continue
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            target.sendall(data)

    def serve() -> None:
        inside, _ = listener.accept()
        outside = socket.create_connection(("127.0.0.1", port))
        with inside, outside:
            threads = [threading.Thread(target=forward, args=ends) for ends in ((inside, outside), (outside, inside))]
            for thread in threads:
                thread.start()
            done.wait()
            for thread in threads:
                thread.join()

    server_thread = threading.Thread(target=serve)
    server_thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", dark
    finally:
        done.set()
        server_thread.join()
        listener.close()


def test_reopen_is_a_fresh_connection_without_what_was_not_sent(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    member = agents(server.endpoint, agent_keys(2))
    member.connect()
    member.send([b"one"])
    first = receive_one(server)
    assert member.reopen()
    member.send([b"two"])
    second = receive_one(server)
    assert (second.agent, second.frames) == (2, [b"two"])
    assert second.peer != first.peer
    assert send_until_gone(server, first.peer)


def test_a_wake_descriptor_ends_every_wait(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    waiting = agents("tcp://127.0.0.1:1", agent_keys(1), 30.0)
    read, write = os.pipe()
    try:
        with no_longer_than(5):
            threading.Timer(0.2, lambda: os.write(write, b"x")).start()
            assert server.receive(30_000, (read,)) == []
            assert member.receive(30_000, (read,)) is None
            assert waiting.connect((read,)) is False
    finally:
        os.close(read)
        os.close(write)


def test_a_wake_descriptor_is_noticed_while_messages_keep_coming(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    read, write = os.pipe()
    try:
        member.send([b"x"])
        assert server.receive(10_000, (read,)) != []
        os.write(write, b"x")
        empty = False
        with no_longer_than(5):
            while not empty:
                member.send([b"x"])
                empty = not server.receive(10_000, (read,))
    finally:
        os.close(read)
        os.close(write)


def test_timeouts_are_kept(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    for timeout_ms in (0, 30, 250):
        started = time.monotonic()
        assert server.receive(timeout_ms) == []
        assert member.receive(timeout_ms) is None
        assert 2 * timeout_ms / 1000 <= time.monotonic() - started < 2 * timeout_ms / 1000 + 2


def test_a_farewell_arrives_and_closing_twice_is_harmless(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    member = agents(server.endpoint, agent_keys(1))
    assert not member.try_send([b"too early"])
    member.connect()
    assert member.try_send([b"farewell"])
    with no_longer_than(5):
        member.close()
        member.close()
        assert receive_one(server).frames == [b"farewell"]
        server.close()
        server.close()


def test_the_last_message_of_a_server_outlives_its_connection(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    """End and Fault are sent just before closing. With the option IMMEDIATE the transport would throw them away."""
    members = [agents(server.endpoint, agent_keys(agent)) for agent in (1, 2)]
    peers = []
    for member in members:
        member.connect()
        member.send([b"hello"])
        peers.append(receive_one(server).peer)
    # An agent that has looked in vain, as one that waits has, learns of the message and of the disconnection together.
    assert [member.receive(0) for member in members] == [None, None]
    for peer in peers:
        assert server.send(peer, [b"the", b"end"])
    server.close()
    time.sleep(0.1)
    for member in members:
        assert member.receive(5000) == [b"the", b"end"]


def test_the_last_message_of_an_agent_outlives_its_connection(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    assert server.receive(0) == []
    member.send([b"hello"])
    member.send([b"fault"])
    member.close()
    time.sleep(0.1)
    first, second = receive_one(server), receive_one(server)
    assert (first.agent, first.frames) == (1, [b"hello"])
    assert (second.agent, second.frames) == (1, [b"fault"])


def test_sending_with_no_server_left_does_not_hang(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    server.close(flush=False)
    with no_longer_than(10):
        said = [member.send([b"x"]) for _ in range(2000)]
    assert said.index(False) <= 1000, "what is kept for the next connection has an end"
    assert not member.try_send([b"x"])
    with no_longer_than(5):
        member.close()  # Two seconds for what cannot be sent any more, and not for ever.


def test_a_peer_that_never_reads_costs_nobody_a_moment(
    folder: Path, agents: Agents, agent_keys: KeysOf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerSocket(LOOPBACK, load_server_keys(folder))
    try:
        with black_hole(server.endpoint) as (address, go_dark):
            member = agents(address, agent_keys(2))
            member.connect()
            member.send([b"hello"])
            peer = receive_one(server).peer
            go_dark.set()
            refused = 0
            with no_longer_than(5):  # One send that waits would take as long.
                for _ in range(2000):
                    refused += not server.send(peer, [bytes(20_000)])
        assert refused > 100
        assert caplog.text.count("agent 2 is connected but reads nothing") == 1
    finally:
        server.close(flush=False)


def test_a_message_with_too_many_frames_is_cut_and_the_next_one_is_whole(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    member.send([b"%d" % number for number in range(100)])
    member.send([b"next"])
    assert len(receive_one(server).frames) == 4  # One more than any message of the protocol has.
    assert receive_one(server).frames == [b"next"]


def test_an_oversized_frame_ends_its_connection_only(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    rude, polite = agents(server.endpoint, agent_keys(1)), agents(server.endpoint, agent_keys(2))
    rude.connect()
    polite.connect()
    rude.send([bytes(3 * 2**20)])
    polite.send([b"hello"])
    assert receive_one(server).agent == 2
    assert server.receive(200) == []


def test_use_before_connect_is_our_bug(agents: Agents, agent_keys: KeysOf) -> None:
    unused = agents("tcp://127.0.0.1:1", agent_keys(1))
    with pytest.raises(InvariantError):
        unused.send([b"x"])
    with pytest.raises(InvariantError):
        unused.receive(0)


def test_the_options_that_matter_are_set(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    router = server.raw
    assert router.get(zmq.ZAP_DOMAIN).rstrip(b"\0") == b"dadc-net"  # type: ignore[union-attr]
    assert router.get(zmq.ZAP_ENFORCE_DOMAIN) == 1
    assert router.get(zmq.CURVE_SERVER) == 1
    member = agents(server.endpoint, agent_keys(1))
    member.connect()
    for raw in (router, member.raw):
        assert raw.get(zmq.LINGER) == 0
        assert raw.get(zmq.HEARTBEAT_IVL) == 200
        assert raw.get(zmq.SNDTIMEO) == options.SEND_TIMEOUT_MS
        assert 0 < int(raw.get(zmq.MAXMSGSIZE)) < 2**25
        assert 0 < int(raw.get(zmq.SNDHWM)) <= 64
        assert raw.get(zmq.RCVHWM) == 0  # With a bound libzmq 4.3.5 aborts; test_minding shows what takes its place.
    assert member.raw.get(zmq.IMMEDIATE) == 0
