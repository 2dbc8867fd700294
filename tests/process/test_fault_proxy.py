"""The fault proxy does what its methods say: a fault that does not happen would make every test behind it pass."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.process.fault_proxy import FaultProxy, Way

pytestmark = pytest.mark.timeout(60)


class Echo:
    """Sends back what it receives, on as many connections as come."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"<end>")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    echo = Echo()
    with FaultProxy(echo.port, seed=5) as running:
        yield running
    echo.close()


def dial(proxy: FaultProxy) -> socket.socket:
    host, _, port = proxy.address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = connection.recv(count - len(got))
        if not more:
            break
        got += more
    return got


def test_without_a_fault_it_forwards(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 1000
    with dial(proxy) as connection:
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        assert read(connection, len(data)) == data


def test_a_flip_changes_one_bit_and_only_once(proxy: FaultProxy) -> None:
    with dial(proxy) as connection:
        proxy.flip_bit(Way.TO_SERVER, after=10)
        connection.sendall(bytes(100))
        got = read(connection, 100)
        assert sum(byte.bit_count() for byte in got) == 1
        assert got[:10] == bytes(10)
        connection.sendall(bytes(100))
        assert read(connection, 100) == bytes(100)
    assert proxy.counts["flips"] == 1


def test_lost_and_doubled_bytes(proxy: FaultProxy) -> None:
    with dial(proxy) as connection:
        proxy.lose(Way.TO_AGENT, 3, after=2)
        connection.sendall(b"0123456789")
        assert read(connection, 7) == b"0156789"
        proxy.double(Way.TO_AGENT)
        connection.sendall(b"abc")
        assert read(connection, 6) == b"abcabc"


def test_cuts_come_mid_chunk_as_often_as_ordered(proxy: FaultProxy) -> None:
    proxy.cut_at_random_bytes(5, 100, 400)
    lengths = []
    for _ in range(5):
        with dial(proxy) as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            got = 0
            while True:
                connection.sendall(bytes(50))
                got += len(connection.recv(4096)) or 10**6
                assert got < 10**6, "the connection ended regularly"
        lengths.append(got)
    assert proxy.counts["cuts"] == 5
    assert len(set(lengths)) > 1
    with dial(proxy) as connection:
        connection.sendall(bytes(5000))
        assert len(read(connection, 5000)) == 5000


def test_a_hold_holds_one_way_and_loses_nothing(proxy: FaultProxy) -> None:
    with dial(proxy) as connection:
        proxy.hold(Way.TO_AGENT)
        connection.sendall(b"held")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        proxy.release(Way.TO_AGENT)
        connection.settimeout(10)
        assert read(connection, 4) == b"held"


def test_half_close_leaves_the_other_way_open(proxy: FaultProxy) -> None:
    with dial(proxy) as connection:
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"
        proxy.half_close(Way.TO_SERVER)
        assert read(connection, 5) == b"<end>"
    assert proxy.counts["half-closed"] == 1


def test_delay_bandwidth_cut_and_refusal(proxy: FaultProxy) -> None:
    with dial(proxy) as connection:
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"
        proxy.delay = (0.2, 0.3)
        started = time.monotonic()
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"
        assert time.monotonic() - started >= 0.4
        proxy.delay, proxy.bytes_per_second = (0.0, 0.0), 1000
        started = time.monotonic()
        connection.sendall(bytes(200))
        assert len(read(connection, 200)) == 200
        assert time.monotonic() - started >= 0.4
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    proxy.refusing = True
    with dial(proxy) as connection:
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert proxy.counts["connections"] == 2
