"""The environment server's socket: one ROUTER to which every agent connects.

Who speaks is decided by the key, never by what a client says: the transport attaches the agent id that the
authenticator gave for the connection's key. ``peer`` names one connection; an agent that connects again has another.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import NamedTuple

import zmq

from dadc_net.errors import DadcError, InvariantError, TemporaryError, UsageError
from dadc_net.wire import options
from dadc_net.wire.authenticator import Authenticator, owner_of, prove_closed
from dadc_net.wire.endpoint import Endpoint, parse_bind, refuse_insecure
from dadc_net.wire.key_files import new_pair
from dadc_net.wire.key_list import KeyList
from dadc_net.wire.keys import ServerKeys
from dadc_net.wire.multipart import Intake, send_frames
from dadc_net.wire.options import Context, Heartbeat, Socket

_PEERS_REMEMBERED = 4096
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL)


class Received(NamedTuple):
    """One message."""

    peer: bytes
    """The connection it came over."""
    agent: int | None
    """Owner of the key of that connection; None without keys."""
    frames: list[bytes]


class ServerSocket:
    """Owned by one thread; make it after any fork."""

    def __init__(self, bind: str, keys: ServerKeys | None, heartbeat: Heartbeat | None = None, io_threads: int = 1) -> None:
        """Open ``bind``; with keys, only after a self-test has shown that a random key is refused.

        Raises:
            UsageError: if the address is malformed, not of this host, or not loopback although there are no keys.
            TemporaryError: if the address is in use.
            InvariantError: if the self-test fails.
        """
        wanted = parse_bind(bind)
        if keys is None:
            refuse_insecure(wanted, "--bind")
        else:
            options.require_descriptors(len(set(keys.authorised.values())))
        self._secure = keys is not None
        self._admitted: KeyList | None = None if keys is None else KeyList(keys)
        self._keys_of: dict[bytes, bytes] = {}
        """Connection -> the key it was made with."""
        self._agents: dict[bytes, int] = {}
        self._context: Context = zmq.Context(io_threads)
        self._socket: Socket = self._context.socket(zmq.ROUTER)
        self._authenticator: Authenticator | None = None
        self._closed = False
        try:
            options.configure_server(self._socket, keys.pair if keys else None, heartbeat or Heartbeat())
            if keys is not None and self._admitted is not None:
                self._admit_only(keys, self._admitted)
            self._bind(wanted)
        except BaseException:
            self.close(flush=False)
            raise
        self._intake = Intake(self._socket)

    @property
    def endpoint(self) -> str:
        """The address it is bound to, with the port that was chosen."""
        return options.bound_address(self._socket)

    @property
    def raw(self) -> Socket:
        """The ROUTER itself, for ``ceiling``."""
        return self._socket

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[Received]:
        """Messages that have come, one at a time; empty after ``timeout_ms`` or once a wake descriptor is ready.

        A ready wake descriptor is noticed within a tenth of a second, also while messages keep coming.
        """
        frames = self._intake.receive(timeout_ms, wake_fds)
        if frames is None:
            return []
        peer = frames[0].bytes
        agent = self._agents.get(peer) if self._secure else None
        if agent is None and self._secure:
            agent = self._remember(peer, frames[-1])
        if not self._is_admitted(peer):
            return []  # Its key was revoked: what it says is not read any more.
        return [Received(peer, agent, [frame.bytes for frame in frames[1:]])]

    def send(self, peer: bytes, frames: Sequence[bytes]) -> bool:
        """Send to one connection; False when it is gone.

        Raises:
            TemporaryError: if the peer is connected but has not read for a long time.
        """
        try:
            send_frames(self._socket, (peer, *frames))
        except zmq.Again as error:
            raise TemporaryError(
                f"{self._name(peer)} is connected but reads nothing: its queue is full and has not moved for "
                f"{options.SEND_TIMEOUT_MS / 1000:g} s. The message was not sent. Look at that process, then start the "
                "run again."
            ) from error
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._agents.pop(peer, None)
            self._keys_of.pop(peer, None)
            return False
        return True

    def read_keys_again(self, asked: bool = False) -> list[tuple[bytes, int]]:
        """Read the list of keys again if it has changed, or if somebody ``asked``.

        Returns:
            (connection, agent) of those whose key is not admitted any more.
        """
        if self._admitted is None or not self._admitted.read_again(asked):
            return []
        return [(peer, agent) for peer, agent in self._agents.items() if not self._is_admitted(peer)]

    def _is_admitted(self, peer: bytes) -> bool:
        return self._admitted is None or self._admitted.agent_of(self._keys_of[peer]) == self._agents[peer]

    def close(self, flush: bool = True) -> None:
        """Close; with ``flush`` the last messages get up to two seconds to leave. Can be called twice."""
        if self._closed:
            return
        self._closed = True
        self._socket.close(options.FLUSH_MS if flush else 0)
        self._context.term()
        if self._authenticator is not None:
            self._authenticator.join()

    def _admit_only(self, keys: ServerKeys, admitted: KeyList) -> None:
        stranger = new_pair()
        self._authenticator = Authenticator(self._context, admitted, stranger.public)
        prove_closed(self._context, self._socket, keys.pair.public, stranger)

    def _bind(self, wanted: Endpoint) -> None:
        if wanted.ipv6:
            self._socket.set(zmq.IPV6, 1)
        try:
            self._socket.bind(str(wanted))
        except zmq.ZMQError as error:
            raise _bind_error(wanted, error) from error

    def _remember(self, peer: bytes, frame: zmq.Frame) -> int:
        """Ask the transport once per connection: its answer cannot change, and asking costs a microsecond."""
        try:
            agent, key = owner_of(str(frame.get("User-Id")))
        except (zmq.ZMQError, KeyError, ValueError) as error:
            raise InvariantError(f"a message came over a connection without an authenticated key: {error}") from error
        if len(self._agents) >= _PEERS_REMEMBERED:
            # Connections that went away unnoticed; whoever still lives is asked for again.
            self._agents.clear()
            self._keys_of.clear()
        self._agents[peer], self._keys_of[peer] = agent, key
        return agent

    def _name(self, peer: bytes) -> str:
        agent = self._agents.get(peer)
        return f"the connection {peer.hex()}" if agent is None else f"agent {agent}"


def _bind_error(wanted: Endpoint, error: zmq.ZMQError) -> DadcError:
    if error.errno == errno.EADDRINUSE:
        return TemporaryError(
            f"the address {wanted} is in use by another process. The server did not start. End that process, or give "
            "another port with --bind."
        )
    if error.errno == errno.EACCES:
        return UsageError(
            f"this user may not listen at {wanted}. The server did not start. Give a port above 1023 with --bind."
        )
    if error.errno in _NO_SUCH_ADDRESS:
        return UsageError(
            f"{wanted} is not an address of this host. The server did not start. Give one of its addresses, or "
            "tcp://0.0.0.0:PORT for all of them, with --bind."
        )
    return TemporaryError(
        f"the address {wanted} cannot be opened: {error.strerror}. The server did not start. Try again, or give "
        "another address with --bind."
    )
