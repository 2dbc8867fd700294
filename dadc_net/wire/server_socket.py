"""The environment server's socket: one ROUTER to which every agent connects.

Who speaks is decided by the key, never by what a client says: the transport attaches the agent id that the
authenticator gave for the connection's key. ``peer`` names one connection; an agent that connects again has another.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import zmq

from dadc_net.descriptors import open_descriptors, require_descriptors
from dadc_net.errors import DadcError, InvariantError, TemporaryError, UsageError
from dadc_net.wire import options
from dadc_net.wire.authenticator import Authenticator, owner_of, prove_closed
from dadc_net.wire.conduct import Conduct, Verdict
from dadc_net.wire.connections import Connections, Unfinished, shut
from dadc_net.wire.endpoint import Endpoint, parse_bind, refuse_insecure
from dadc_net.wire.key_files import new_pair
from dadc_net.wire.key_list import KeyList
from dadc_net.wire.keys import ServerKeys
from dadc_net.wire.limits import UNFINISHED_STRANGER_BYTES_MAX, server_frame_bytes, unfinished_bytes
from dadc_net.wire.minder import INTERVAL_SECONDS, Minder
from dadc_net.wire.multipart import NOW, Intake, send_frames
from dadc_net.wire.options import Context, Heartbeat, Socket

_PEERS_REMEMBERED = 4096
_DRAINED_MAX = 10_000
"""Messages taken over at once while the owner is busy."""
_LOG_INTERVAL_SECONDS = 10.0
_COUNT_SECONDS, _CROWDED_SECONDS = 0.02, 0.005
"""Between two counts of the descriptors, and between two looks at all connections while there are many."""
_AWAY_SECONDS = 1.0
"""An owner that has not used the socket for so long is busy with something else."""
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL)


_log = logging.getLogger(__name__)


class Received(NamedTuple):
    """One message."""

    peer: bytes
    """The connection it came over."""
    agent: int | None
    """Owner of the key of that connection; None without keys."""
    frames: list[bytes]


class ServerSocket:
    """Owned by one thread; make it after any fork."""

    def __init__(
        self,
        bind: str,
        keys: ServerKeys | None,
        heartbeat: Heartbeat | None = None,
        io_threads: int = 1,
        conduct: Conduct | None = None,
        frame_bytes: int | None = None,
        io_core: int | None = None,
    ) -> None:
        """Open ``bind``; with keys, only after a self-test has shown that a random key is refused.

        Without ``conduct`` a connection may say whatever it likes, which is for tests and measurements. ``frame_bytes``: the
        largest frame that an agent has to send; None: as large as the protocol allows. ``io_core``: where the transport's
        threads stay; None: anywhere.

        Raises:
            UsageError: if the address is malformed, not of this host, or not loopback although there are no keys.
            TemporaryError: if the address is in use.
            InvariantError: if the self-test fails.
        """
        wanted = parse_bind(bind)
        if keys is None:
            refuse_insecure(wanted, "--bind")
        agents = 1 if keys is None else len(set(keys.authorised.values()))
        self._connections_max = require_descriptors(agents)
        self._frame_bytes = frame_bytes or server_frame_bytes()
        self._surplus_logged = self._looked = float("-inf")
        self._secure = keys is not None
        self._admitted: KeyList | None = None if keys is None else KeyList(keys)
        self._keys_of: dict[bytes, bytes] = {}
        """Connection -> the key it was made with."""
        self._agents: dict[bytes, int] = {}
        self._context: Context = options.new_context(io_core, io_threads)
        self._socket: Socket = self._context.socket(zmq.ROUTER)
        self._authenticator: Authenticator | None = None
        self._closed = False
        self._conduct = conduct
        self._connections = Connections()
        self._cut_logged = 0.0
        self._heard: set[bytes] = set()
        """Connections that delivered a message since the last look at their bytes."""
        self._minder: Minder | None = None
        self._deaf: set[bytes] = set()
        """Connections of which it was said that they read nothing."""
        self._lock = threading.Lock()
        self._used = time.monotonic()
        self._said = 0.0
        self._signs: Callable[[], Sequence[tuple[bytes, Sequence[bytes]]]] = lambda: ()
        try:
            pair = keys.pair if keys else None
            options.configure_server(self._socket, pair, heartbeat or Heartbeat(), self._frame_bytes)
            if keys is not None and self._admitted is not None:
                self._admit_only(keys, self._admitted)
            self._bind(wanted)
        except BaseException:
            self.close(flush=False)
            raise
        keep = partial(self._keep, conduct) if conduct else (lambda _frames: True)
        self._intake = Intake(self._socket, self._lock, keep)
        port = int(self.endpoint.rpartition(":")[2])
        self._unfinished = Unfinished(lambda connection: connection.getsockname()[1] == port)
        always = partial(self._watch, conduct) if conduct else (lambda _now: INTERVAL_SECONDS)
        self._minder = Minder(self._lock, self._while_away, "dadc-server-socket", always)

    @property
    def endpoint(self) -> str:
        """The address it is bound to, with the port that was chosen."""
        return options.bound_address(self._socket)

    @property
    def refused(self) -> Counter[str]:
        """What was refused so far: connections for their ``key``, and connections cut as a ``flood``."""
        keys = 0 if self._authenticator is None else self._authenticator.refused
        return Counter(key=keys, flood=0 if self._conduct is None else self._conduct.cuts)

    @property
    def open_connections(self) -> int:
        """TCP connections of its address when they were counted last, a moment ago."""
        return self._unfinished.open

    @property
    def raw(self) -> Socket:
        """The ROUTER itself, for ``ceiling``; nobody else reads it from now on."""
        if self._minder is not None:
            self._minder.close()
            self._minder = None
        return self._socket

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[Received]:
        """Messages that have come, one at a time; empty after ``timeout_ms`` or once a wake descriptor is ready.

        A ready wake descriptor is noticed within a tenth of a second, also while messages keep coming.
        """
        frames = self._intake.receive(timeout_ms, wake_fds)
        self._used = time.monotonic()
        if frames is None:
            return []
        peer = frames[0].bytes
        agent = self._agent(peer, frames[-1])
        if not self._is_admitted(peer):
            return []  # Its key was revoked: what it says is not read any more.
        return [Received(peer, agent, [frame.bytes for frame in frames[1:]])]

    def say_while_away(self, signs: Callable[[], Sequence[tuple[bytes, Sequence[bytes]]]]) -> None:
        """While the owner is busy, send what ``signs`` returns, (peer, frames), once a second; another thread calls it."""
        self._signs = signs

    def send(self, peer: bytes, frames: Sequence[bytes]) -> bool:
        """Send to one connection, now or never; False when it is gone, or reads nothing and its queue is full."""
        return not self.send_all([(peer, frames)])

    def send_all(self, messages: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[bytes]:
        """Send (peer, frames) one right after the other, as ``send``; the peers for which that was False."""
        self._used = time.monotonic()
        with self._lock:
            return [peer for peer, frames in messages if not self._send(peer, frames)]

    def close(self, flush: bool = True) -> None:
        """Close; with ``flush`` the last messages get up to two seconds to leave. Can be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._minder is not None:
            self._minder.close()
        self._socket.close(options.FLUSH_MS if flush else 0)
        self._context.term()
        if self._authenticator is not None:
            self._authenticator.join()

    def _send(self, peer: bytes, frames: Sequence[bytes]) -> bool:
        if self._conduct is not None:
            if self._conduct.is_cut(peer):
                return False
            self._conduct.told(peer)
        try:
            send_frames(self._socket, (peer, *frames), NOW)
        except zmq.Again:
            if peer not in self._deaf:
                if len(self._deaf) >= _PEERS_REMEMBERED:
                    self._deaf.clear()
                self._deaf.add(peer)
                _log.warning(
                    "%s is connected but reads nothing: its queue is full", self._name(peer), extra=self._caused_by(peer)
                )
            return False
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._agents.pop(peer, None)
            self._keys_of.pop(peer, None)
            return False
        return True

    def _while_away(self, now: float) -> None:
        """The owner is busy, with a slow environment perhaps: keep the queue empty, and those that wait from despair."""
        self._intake.drain(_DRAINED_MAX)
        if now - self._used >= _AWAY_SECONDS and now - self._said >= _AWAY_SECONDS:
            self._said = now
            for peer, frames in self._signs():
                self._send(peer, frames)

    def read_keys_again(self, asked: bool = False) -> list[tuple[bytes, int]]:
        """Read the list of keys again if it has changed, or if somebody ``asked``.

        Returns:
            (connection, agent) of those whose key is not admitted any more.
        """
        if self._admitted is None or not self._admitted.read_again(asked):
            return []
        return [(peer, agent) for peer, agent in list(self._agents.items()) if not self._is_admitted(peer)]

    def _is_admitted(self, peer: bytes) -> bool:
        key = self._keys_of.get(peer)
        return self._admitted is None or (key is not None and self._admitted.agent_of(key) == self._agents.get(peer))

    def _admit_only(self, keys: ServerKeys, admitted: KeyList) -> None:
        stranger = new_pair()
        admits = self._conduct.admits if self._conduct else (lambda _agent, _now: True)
        self._authenticator = Authenticator(self._context, admitted, stranger.public, admits)
        prove_closed(self._context, self._socket, keys.pair.public, stranger)

    def _bind(self, wanted: Endpoint) -> None:
        if wanted.ipv6:
            self._socket.set(zmq.IPV6, 1)
        try:
            self._socket.bind(str(wanted))
        except zmq.ZMQError as error:
            raise _bind_error(wanted, error) from error

    def complain(self, peer: bytes, cut: bool = False) -> None:
        """A message of ``peer`` broke the protocol. After a few its connection is cut, at once with ``cut``.

        A single bit that is flipped on the way can make the transport lose a frame, and take the next ones for the rest of
        a message: no frame of that connection can be relied on any more, and another one begins anew.
        """
        conduct = self._conduct
        if conduct is None:
            return
        with self._lock:
            if cut:
                self._connections.cut(peer)
            if conduct.complain(peer, self._agents.get(peer), time.monotonic()) is Verdict.CUT:
                self._cut(conduct, peer)

    def _keep(self, conduct: Conduct, frames: list[zmq.Frame]) -> bool:
        """Whether the sender of ``frames`` may still be heard; cuts its connection if that was one message too many."""
        peer, last, now = frames[0].bytes, frames[-1], time.monotonic()
        if peer not in self._agents:
            self._connections.note(peer, last)
        self._heard.add(peer)
        size = sum(map(len, frames))
        verdict = conduct.heard(peer, self._agent(peer, last), size, now)
        if verdict is Verdict.CUT:
            self._cut(conduct, peer)
        return verdict is Verdict.KEEP

    def _watch(self, conduct: Conduct, now: float) -> float:
        """Look at the connections, now and then or when there are many; on the minder's thread. Seconds until the next."""
        seated = sum(conduct.is_seated(peer) for peer in list(self._agents))
        crowded = len(open_descriptors()) - seated > self._connections_max // 2
        if crowded or now - self._looked >= INTERVAL_SECONDS:
            self._looked = now
            self._cut_endless(conduct)
        return _CROWDED_SECONDS if crowded else _COUNT_SECONDS

    def _cut_endless(self, conduct: Conduct) -> None:
        """End connections over which a message comes that is larger than any may be."""
        heard, self._heard = self._heard, set()
        seated = [peer for peer in list(self._agents) if conduct.is_seated(peer)]
        found = {self._connections.of(peer): unfinished_bytes(self._frame_bytes) for peer in seated}
        finished = {self._connections.of(peer): None for peer in list(heard)}
        limits = {descriptor: limit for descriptor, limit in {**found, **finished}.items() if descriptor is not None}
        for descriptor in self._unfinished.look(limits, UNFINISHED_STRANGER_BYTES_MAX):
            shut(descriptor)
            _log.warning("cut a connection over which a message came that does not end")
        if self._unfinished.open > self._connections_max // 2:
            self._cut_surplus(found.keys())

    def _cut_surplus(self, seated: Collection[int | None]) -> None:
        """Strangers hold many descriptors: files, and the agents that come, need some. In time, and with a word."""
        surplus = self._unfinished.surplus(self._connections_max, seated)
        for descriptor in surplus:
            shut(descriptor)
        now = time.monotonic()
        if now - self._surplus_logged >= _LOG_INTERVAL_SECONDS:
            self._surplus_logged = now
            _log.warning(
                "%d connections are open; from %d on strangers are cut, %d were just now; see who connects, or raise the "
                "limit (ulimit -n)",
                *(self._unfinished.open, self._connections_max, len(surplus)),
            )

    def _cut(self, conduct: Conduct, peer: bytes) -> None:
        self._connections.cut(peer)
        now = time.monotonic()
        if now - self._cut_logged >= _LOG_INTERVAL_SECONDS:
            self._cut_logged = now
            _log.warning("cut a connection of %s, which says too much; %d cut so far", self._name(peer), conduct.cuts)

    def _agent(self, peer: bytes, frame: zmq.Frame) -> int | None:
        """The owner of the key of ``peer``, over whose connection ``frame`` came; None without keys."""
        agent = self._agents.get(peer)
        if agent is None:
            agent, key = self._remember(frame) if self._secure else (0, b"")
            if len(self._agents) >= _PEERS_REMEMBERED:
                # Connections that went away unnoticed; whoever still lives is asked for again.
                self._agents.clear()
                self._keys_of.clear()
            self._agents[peer], self._keys_of[peer] = agent, key
        return agent if self._secure else None

    def _remember(self, frame: zmq.Frame) -> tuple[int, bytes]:
        """Ask the transport once per connection: its answer cannot change, and asking costs a microsecond."""
        try:
            return owner_of(str(frame.get("User-Id")))
        except (zmq.ZMQError, KeyError, ValueError) as error:
            raise InvariantError(f"a message came over a connection without an authenticated key: {error}") from error

    def _caused_by(self, peer: bytes) -> dict[str, int]:
        """For a log that gives every agent its share."""
        return {"caused_by": self._agents.get(peer) or 0}

    def _name(self, peer: bytes) -> str:
        agent = self._agents.get(peer)
        return f"the connection {peer.hex()}" if not agent else f"agent {agent}"


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
