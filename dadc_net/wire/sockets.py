"""The two ends of the wire: the server's ROUTER and an agent's DEALER. Frames in, frames out.

The transport is trusted with nothing but the order of messages within a connection. Identity is the CURVE key, reported
by the authenticator with each connection; routing ids are made by the ROUTER and mean nothing. Contexts are made here,
after any fork, and belong to their socket.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from dadc_net.errors import AuthenticationError, DadcError, InvariantError, TemporaryError, UsageError
from dadc_net.wire import options
from dadc_net.wire.authenticator import KeyList, refuse_unless_closed, secure
from dadc_net.wire.keys import AgentKeys, ServerKeys

_REMEMBERED_PEERS = 4096
_WRONG_KEY_FAILURES = 3
"""A handshake that fails without detail this often in a row means that the server's key is not the expected one."""


class Received(NamedTuple):
    """A message and where it came from."""

    peer: bytes
    agent: int | None
    """Owner of the key it authenticated with; None without keys."""
    frames: list[bytes]


def is_loopback(address: str) -> bool:
    """Whether an address can only be reached from this machine."""
    return (urlsplit(address).hostname or "") in ("127.0.0.1", "localhost", "::1")


def _refuse_insecure(address: str) -> None:
    if not is_loopback(address):
        raise UsageError(
            f"--insecure was given for {address}, which other hosts can reach. Without keys nothing is encrypted and "
            "anyone can join. Use keys, or a loopback address."
        )


class _Waiter:
    """Waits for a socket and for raw descriptors that interrupt the wait."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._fds: tuple[int, ...] = ()
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)

    def wait(self, timeout_ms: int, wake_fds: Sequence[int]) -> bool:
        """Whether the socket is readable; returns early when a descriptor is."""
        fds = tuple(wake_fds)
        if fds != self._fds:
            for fd in self._fds:
                self._poller.unregister(fd)
            for fd in fds:
                self._poller.register(fd, zmq.POLLIN)
            self._fds = fds
        return any(ready is self._socket for ready, _ in self._poller.poll(timeout_ms))


class ServerSocket:
    """One ROUTER, bound."""

    def __init__(self, bind: str, keys: ServerKeys | None) -> None:
        """Bind to ``bind`` (port * takes a free one). ``keys`` None: no encryption, loopback only.

        Raises:
            TemporaryError: if the address is in use.
            UsageError: if it is not an address this machine can bind.
        """
        if keys is None:
            _refuse_insecure(bind)
        self._context: zmq.Context[Any] = zmq.Context()
        self._authenticator: KeyList | None = None
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._agents: dict[bytes, int | None] = {}
        self._secure = keys is not None
        try:
            options.apply(self._socket, options.COMMON, options.ROUTER)
            if keys is not None:
                self._authenticator = KeyList(self._context, keys.agents)
                self._authenticator.start()
                secure(self._socket, keys)
            self._bind(bind)
            self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
            if keys is not None:
                refuse_unless_closed(self._context, self.endpoint, keys.pair.public)
        except BaseException:
            self.close(flush=False)
            raise
        self._waiter = _Waiter(self._socket)

    def _bind(self, address: str) -> None:
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                raise TemporaryError(
                    f"the address {address} is in use by another process. The server was not started. Stop that process, "
                    "or give another --bind."
                ) from error
            raise UsageError(
                f"the server cannot listen at {address}: {error.strerror}. An address looks like tcp://0.0.0.0:5555 and "
                "belongs to this machine. Correct --bind."
            ) from error

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[Received]:
        """All messages that are there, after waiting up to ``timeout_ms`` for the first."""
        if not self._waiter.wait(timeout_ms, wake_fds):
            return []
        received: list[Received] = []
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return received
            peer = frames[0].bytes
            if peer not in self._agents:
                self._remember(peer, frames[-1])
            received.append(Received(peer, self._agents[peer], [frame.bytes for frame in frames[1:]]))

    def _remember(self, peer: bytes, frame: zmq.Frame) -> None:
        """A routing id stands for one connection, so its key is looked up once."""
        if len(self._agents) >= _REMEMBERED_PEERS:
            self._agents.clear()
        self._agents[peer] = int(str(frame.get("User-Id"))) if self._secure else None

    def send(self, peer: bytes, frames: Sequence[bytes]) -> bool:
        """Send to one peer; False if it has vanished or does not take anything any more."""
        try:
            self._socket.send_multipart([peer, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == errno.EHOSTUNREACH:
                return False
            raise InvariantError(f"sending failed: {error.strerror}") from error
        return True

    def close(self, flush: bool = True) -> None:
        """Close; ``flush``: give messages under way up to two seconds."""
        if self._socket.closed:
            return
        self._socket.close(options.FLUSH_MS if flush else 0)
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()


class AgentSocket:
    """One DEALER, connected to the server."""

    def __init__(self, server: str, keys: AgentKeys | None, connect_timeout_s: float) -> None:
        """``keys`` None: no encryption, loopback only."""
        if keys is None:
            _refuse_insecure(server)
        self._server = server
        self._keys = keys
        self._connect_timeout_s = connect_timeout_s
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._open()
        self._waiter = _Waiter(self._socket)

    def _open(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        options.apply(socket, options.COMMON, options.DEALER)
        if self._keys is not None:
            socket.curve_publickey = self._keys.pair.public
            socket.curve_secretkey = self._keys.pair.secret
            socket.curve_serverkey = self._keys.server
        return socket

    def connect(self, wake_fds: Sequence[int] = ()) -> None:
        """Connect and wait for the handshake. Returns early when a descriptor in ``wake_fds`` is readable.

        The monitor is closed again afterwards: with one open, this version of the library can lose a direction for
        ever after a corrupted frame.

        Raises:
            AuthenticationError: if either side refuses the other's key, or only one side uses keys.
            TemporaryError: if nothing answers in time.
            UsageError: if the address is none.
        """
        failures = (
            zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | failures)
        try:
            self._socket.connect(self._server)
            self._await_handshake(monitor, wake_fds)
        except zmq.ZMQError as error:
            raise UsageError(
                f"{self._server} is not an address: {error.strerror}. Nothing was sent. Write tcp://HOST:5555."
            ) from error
        finally:
            self._socket.disable_monitor()
            monitor.close(0)

    def _await_handshake(self, monitor: zmq.Socket[bytes], wake_fds: Sequence[int]) -> None:
        waiter = _Waiter(monitor)
        deadline = time.monotonic() + self._connect_timeout_s
        unexplained = 0
        while (left := deadline - time.monotonic()) > 0:
            if not waiter.wait(max(1, int(1000 * min(left, 1.0))), wake_fds):
                if wake_fds and zmq.select(list(wake_fds), [], [], 0)[0]:
                    return
                continue
            message = recv_monitor_message(monitor)
            event = message["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
            if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                unexplained += 1
            if event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL or unexplained >= _WRONG_KEY_FAILURES:
                raise self._refusal(event)
        raise TemporaryError(
            f"no server answered at {self._server} within {self._connect_timeout_s:g} s. Nothing was sent. Start dadc-env "
            "there, or correct --server."
        )

    def _refusal(self, event: int) -> DadcError:
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            agent = "" if self._keys is None else f" of agent {self._keys.agent}"
            return AuthenticationError(
                f"the server at {self._server} does not know the key{agent}. It admits only keys in its authorised.json. "
                "Use the keys that were made with the server's, or add this one there."
            )
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            return AuthenticationError(
                f"the server at {self._server} does not have the key in server.pub. It is another server, or its keys "
                "were made anew. Copy server.pub from the server's key folder."
            )
        return AuthenticationError(
            f"the process at {self._server} does not use the same security as this agent. One side runs with keys and the "
            "other with --insecure, or it is not dadc-net. Start both in the same way."
        )

    def send(self, frames: Sequence[bytes]) -> None:
        """Send to the server.

        Raises:
            TemporaryError: if the connection is gone.
        """
        try:
            self._socket.send_multipart(list(frames))
        except zmq.Again as error:
            raise TemporaryError(
                f"the connection to the server at {self._server} is gone. It took nothing for "
                f"{options.SEND_TIMEOUT_MS / 1000:g} s. Check the server, then start server and agents again."
            ) from error

    def try_send(self, frames: Sequence[bytes]) -> None:
        """Send if that is possible at once: for a farewell, which must not hold up the end."""
        try:
            self._socket.send_multipart(list(frames), zmq.NOBLOCK)
        except zmq.ZMQError:
            return

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[bytes] | None:
        """The next message, or None after ``timeout_ms`` or when a descriptor in ``wake_fds`` is readable."""
        if not self._waiter.wait(timeout_ms, wake_fds):
            return None
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def close(self) -> None:
        """Close; messages under way get up to two seconds."""
        if self._socket.closed:
            return
        self._socket.close(options.FLUSH_MS)
        self._context.term()
