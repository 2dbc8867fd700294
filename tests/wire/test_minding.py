"""A socket whose owner is busy: read all the same, and those that wait for a sign of life get one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.keys import AgentKeys, load_agent_keys
from dadc_net.wire.minder import Minder
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import ServerSocket
from tests.wire.test_sockets import Agents, KeysOf, receive_one

pytestmark = pytest.mark.timeout(100)
ROOT = Path(__file__).parents[2]

BUSY = """
import ctypes, sys, time
from pathlib import Path
import zmq
from dadc_net.wire import options
from dadc_net.wire.keys import load_agent_keys
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.options import Heartbeat
folder, endpoint, bound, how = sys.argv[1:]
configure = options._configure
def as_before(socket, heartbeat):
    configure(socket, heartbeat)
    socket.set(zmq.RCVHWM, int(bound))
options._configure = as_before
agent = AgentSocket(endpoint, load_agent_keys(Path(folder), 1), 10.0, Heartbeat(interval_ms=100, timeout_ms=400, ttl_ms=500))
agent.connect()
agent.send([b"hello"])
if how == "hold":
    library = ctypes.PyDLL(None)  # PyDLL keeps the interpreter's lock
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        library.usleep(200000)
else:
    time.sleep(3.0)
received = []
while (frames := agent.receive(1000)) is not None:
    received.append(frames)
agent.send([b"received", str(len(received)).encode()])
agent.close()
"""


def busy_agent(folder: Path, server: ServerSocket, bound: int, how: str) -> tuple[int, list[bytes], int]:
    """An agent that does not read for three seconds, while 300 messages come: exit code, what it says, what was sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(folder), server.endpoint, str(bound), how], cwd=ROOT, stderr=subprocess.PIPE
    )
    peer = receive_one(server).peer
    sent = 0
    for _ in range(300):
        sent += server.send(peer, [bytes(70_000)])
        time.sleep(0.005)
    said: list[bytes] = []
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        for received in server.receive(100):
            said = received.frames
            peer = received.peer
    assert process.stderr is not None
    process.stderr.close()
    for received in server.receive(500):
        said = received.frames
    return process.wait(10), said, sent


@pytest.mark.parametrize("how", ["sleep", "hold"])
def test_what_comes_while_an_agent_computes_waits_for_it(folder: Path, server: ServerSocket, how: str) -> None:
    """Also where the computation does not give up the interpreter's lock, so that no thread of ours can run."""
    code, said, sent = busy_agent(folder, server, 0, how)
    assert (code, sent) == (0, 300)
    assert said == [b"received", b"300"]


def test_with_a_bounded_queue_something_would_be_lost_or_the_process_abort(folder: Path, server: ServerSocket) -> None:
    """The control: the bound that there was. An agent that cannot read aborts (-6), or loses its connection."""
    code, said, _ = busy_agent(folder, server, 8, "hold")
    assert code != 0 or said != [b"received", b"300"]


def test_a_question_is_answered_while_the_agent_computes(
    server: ServerSocket, agent_keys: Callable[[int], AgentKeys], folder: Path
) -> None:
    def reflex(frames: list[bytes]) -> list[bytes] | None:
        return [b"yes"] if frames == [b"alive?"] else None

    agent = AgentSocket(
        server.endpoint, load_agent_keys(folder, 1), 10.0, Heartbeat(interval_ms=200, timeout_ms=800, ttl_ms=1000), reflex
    )
    try:
        agent.connect()
        agent.send([b"hello"])
        peer = receive_one(server).peer
        server.send(peer, [b"record"])
        server.send(peer, [b"alive?"])
        # Nobody calls the agent's receive.
        assert receive_one(server).frames == [b"yes"]
        assert agent.receive(1000) == [b"record"]
        assert agent.receive(100) is None
    finally:
        agent.close(flush=False)


def test_a_server_in_a_long_step_gives_signs_of_life(server: ServerSocket, agents: Agents, agent_keys: KeysOf) -> None:
    agent = agents(server.endpoint, agent_keys(1))
    agent.connect()
    agent.send([b"hello"])
    peer = receive_one(server).peer
    server.say_while_away(lambda: [(peer, [b"still here"]), (b"long gone", [b"still here"])])
    assert agent.receive(10_000) == [b"still here"]  # Nobody calls the server's send or receive.
    agent.send([b"one"])
    agent.send([b"two"])
    time.sleep(0.5)
    agent.send([b"three"])
    assert [receive_one(server).frames for _ in range(3)] == [[b"one"], [b"two"], [b"three"]]


def test_the_owner_is_never_disturbed_and_an_error_ends_nothing() -> None:
    lock, looks = threading.Lock(), []

    def look(now: float) -> None:
        looks.append(now)
        if len(looks) == 1:
            raise RuntimeError("the first look fails")

    with lock:
        minder = Minder(lock, look, "test")
        time.sleep(0.35)
        assert looks == []
    deadline = time.monotonic() + 10
    while len(looks) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    minder.close()
    assert len(looks) >= 2
