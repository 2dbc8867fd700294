"""Real sockets through the fault proxy: encryption lets no changed, cut or repeated byte through, and the rule "on any doubt
make the socket anew" brings every conversation to its end."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

import pytest

from dadc_net.errors import DadcError
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.keys import AgentKeys
from dadc_net.wire.server_socket import ServerSocket
from tests.process.fault_proxy import FaultProxy, Way

pytestmark = pytest.mark.timeout(90)
Agents = Callable[..., AgentSocket]
KeysOf = Callable[[int], AgentKeys]
_MESSAGES = 60


def body(number: int) -> bytes:
    return number.to_bytes(4, "little") + hashlib.sha256(number.to_bytes(4, "little")).digest() * 10


class Echoing:
    """Answers every message with its own frames, and keeps what it saw."""

    def __init__(self, server: ServerSocket) -> None:
        self.seen: list[bytes] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            for received in self._server.receive(50):
                self.seen.append(received.frames[-1])
                self._server.send(received.peer, received.frames)

    def stop(self) -> list[bytes]:
        self._stop.set()
        self._thread.join(10)
        return self.seen


def converse(member: AgentSocket, hurt: Callable[[int], None]) -> int:
    """Send every number until it is answered; where none can be sent, and on silence, make the socket anew.

    Returns how often that was needed.
    """
    reopened = 0
    for number in range(_MESSAGES):
        hurt(number)
        deadline = time.monotonic() + 30
        said = member.send([b"h", body(number)])
        while not said or (answer := member.receive(800)) != [b"h", body(number)]:
            assert not said or answer is None or answer[-1] in map(body, range(number)), "a changed message arrived"
            assert time.monotonic() < deadline
            if not said or answer is None:
                reopened += 1
                member.reopen()
                said = member.send([b"h", body(number)])
    return reopened


HURTS: dict[str, tuple[str, Callable[[FaultProxy, int], None]]] = {
    "a bit flips on the way to the server": ("flips", lambda proxy, n: proxy.flip_bit(Way.TO_SERVER, after=n)),
    "a bit flips on the way to the agent": ("flips", lambda proxy, n: proxy.flip_bit(Way.TO_AGENT, after=n)),
    "bytes are lost on the way to the server": ("lost", lambda proxy, n: proxy.lose(Way.TO_SERVER, 7, after=n)),
    "bytes are lost on the way to the agent": ("lost", lambda proxy, n: proxy.lose(Way.TO_AGENT, 7, after=n)),
    "bytes come twice to the server": ("doubled", lambda proxy, n: proxy.double(Way.TO_SERVER)),
    "bytes come twice to the agent": ("doubled", lambda proxy, n: proxy.double(Way.TO_AGENT)),
    "half of it closes to the server": ("half-closed", lambda proxy, n: proxy.half_close(Way.TO_SERVER)),
    "half of it closes to the agent": ("half-closed", lambda proxy, n: proxy.half_close(Way.TO_AGENT)),
    "a reset": ("cuts", lambda proxy, n: proxy.cut()),
}


@pytest.mark.parametrize("kind", HURTS)
def test_nothing_wrong_arrives_and_the_conversation_goes_on(
    kind: str, server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    counter, hurt = HURTS[kind]
    echoing = Echoing(server)
    port = int(server.endpoint.rpartition(":")[2])
    try:
        with FaultProxy(port, seed=11) as proxy:
            member = agents(proxy.address, agent_keys(1))
            member.connect()
            converse(member, lambda number: hurt(proxy, number) if number % 20 == 10 else None)
            assert proxy.counts[counter] >= 3
            assert proxy.counts["connections"] > 1
    finally:
        seen = echoing.stop()
    allowed = set(map(body, range(_MESSAGES)))
    assert set(seen) == allowed


def test_who_was_computing_when_its_connection_was_damaged_learns_it_at_once(
    server: ServerSocket, agents: Agents, agent_keys: KeysOf
) -> None:
    """The transport ends such a connection for good. An agent that waited for it would give up a run that goes on."""
    with FaultProxy(int(server.endpoint.rpartition(":")[2]), seed=5) as proxy:
        member = agents(proxy.address, agent_keys(1))
        member.connect()
        assert member.send([b"hello"])
        (hello,) = server.receive(10_000)
        proxy.double(Way.TO_AGENT)
        assert server.send(hello.peer, [b"record"])
        assert member.receive(10_000) == [b"record"]
        deadline = time.monotonic() + 30
        while member.send([b"answer"]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert member.reopen()
        assert member.send([b"answer, again"])
        while (received := server.receive(10_000))[-1].frames != [b"answer, again"]:
            assert received


def test_without_encryption_a_flipped_bit_does_arrive(agents: Agents) -> None:
    """The negative control; it is why the chain hash is checked above the transport as well."""
    server = ServerSocket("tcp://127.0.0.1:*", None)
    echoing = Echoing(server)
    try:
        with FaultProxy(int(server.endpoint.rpartition(":")[2]), seed=3) as proxy:
            member = agents(proxy.address, None)
            member.connect()
            changed = False
            for number in range(200):
                if changed:
                    break
                proxy.flip_bit(Way.TO_SERVER, after=40)
                try:
                    member.send([b"h", body(number)])
                    answer = member.receive(500)
                    if answer is None:
                        member.reopen()
                    changed = answer is not None and answer != [b"h", body(number)]
                except DadcError:
                    member.reopen()
            assert changed
    finally:
        echoing.stop()
        server.close(flush=False)
