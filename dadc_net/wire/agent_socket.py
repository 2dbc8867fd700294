"""An agent's socket: one DEALER, connected to one server.

    closed --connect--> connected --(any doubt)--> reopen --> connected
                                  --close-------->  closed

The transport reconnects by itself after a plain disconnection, but not after every failure, and it never says so; and
the server does not know the new connection before it has carried a Join. The rule for whoever owns this socket: when the
server has been silent for longer than it may be, or nothing can be sent, ``reopen`` and join again.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Sequence

import zmq

from dadc_net.errors import InvariantError
from dadc_net.wire import options, refusals
from dadc_net.wire.connections import Unfinished, descriptor_of, shut
from dadc_net.wire.endpoint import parse_connect, refuse_insecure
from dadc_net.wire.handshake import HandshakeWatch, Outcome
from dadc_net.wire.keys import AgentKeys
from dadc_net.wire.limits import FRAMES_MAX, HELD_BYTES_MAX, HELD_MESSAGES_MAX, agent_frame_bytes, unfinished_bytes
from dadc_net.wire.minder import INTERVAL_SECONDS, Minder
from dadc_net.wire.multipart import NOW, Intake, send_frames
from dadc_net.wire.options import Context, Heartbeat, Socket

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 5.0
"""How long broken-off handshakes may be an accident: a port forwarder accepts before the server behind it listens."""
_RETRY_MS = 250
_DRAINED_MAX = 1000
"""Messages taken over at once while the owner is busy."""
Reflex = Callable[[list[bytes]], list[bytes] | None]
"""A message -> the answer that needs no thought; None: the owner must see it."""


class AgentSocket:
    """Owned by one thread; connect it after any fork."""

    def __init__(
        self,
        server: str,
        keys: AgentKeys | None,
        connect_timeout_s: float = 30.0,
        heartbeat: Heartbeat | None = None,
        reflex: Reflex = lambda _: None,
        io_core: int | None = None,
    ) -> None:
        """Nothing is opened before ``connect``. ``io_core``: where the transport's thread stays; None: anywhere.

        While the owner is busy with something else the socket is read all the same, and answers what ``reflex`` answers.

        Raises:
            UsageError: if the address is malformed, or not loopback although there are no keys.
        """
        self._server = parse_connect(server)
        if keys is None:
            refuse_insecure(self._server, "--server")
        self._keys = keys
        self._connect_timeout_s = connect_timeout_s
        self._heartbeat = heartbeat or Heartbeat.of_agent()
        self._io_core = io_core
        self._context: Context | None = None
        self._socket: Socket | None = None
        self._intake: Intake | None = None
        self._reflex = reflex
        port = self._server.port
        self._unfinished = Unfinished(lambda connection: connection.getpeername()[1] == port)
        self._lock = threading.Lock()
        self._minder: Minder | None = None
        self._descriptor: int | None = None
        """Of the connection, once a message has come over it."""
        self._heard = False
        """Whether one has come since the last look at its bytes."""
        self._frame_bytes = agent_frame_bytes()
        self._flooded = False
        """Whether the server has said more while the owner was busy than is held for it."""

    @property
    def raw(self) -> Socket:
        """The DEALER itself, for ``ceiling``; nobody else reads it from now on."""
        if self._minder is not None:
            self._minder.close()
            self._minder = None
        return self._connected()

    def connect(self, wake_fds: Sequence[int] = (), timeout_s: float | None = None) -> bool:
        """Connect and wait until the server has admitted this agent; False when a wake descriptor became ready first.

        Raises:
            AuthenticationError: if the keys do not fit.
            ProtocolError: if what answers is no ZeroMQ server.
            TemporaryError: if there is no connection within the connect timeout.
        """
        deadline = time.monotonic() + (self._connect_timeout_s if timeout_s is None else timeout_s)
        patience = _Patience()
        if self._minder is None:
            self._minder = Minder(self._lock, self._while_away, "dadc-agent-socket", self._cut_endless)
        while True:
            with self._lock:
                self._drop(0)
                outcome = self._attempt(deadline, patience, wake_fds)
                if outcome is Outcome.READY:
                    return True
                self._drop(0)
            # The transport does not try again after a foreign answer, so the socket is made anew.
            if outcome is Outcome.WOKEN or _woken(wake_fds, _RETRY_MS):
                return False

    def expect(self, record_bytes: int) -> None:
        """No part of a record has more than ``record_bytes``; the connection that is open learns it when it is made anew."""
        self._frame_bytes = agent_frame_bytes(record_bytes)

    def reopen(self, wake_fds: Sequence[int] = (), timeout_s: float | None = None) -> bool:
        """Close at once, forgetting what was not sent, and ``connect`` again, within ``timeout_s`` instead."""
        return self.connect(wake_fds, timeout_s)

    def send(self, frames: Sequence[bytes]) -> bool:
        """Send one message, now or never. Without a network it is kept for the next connection: True proves no arrival.

        False: this socket will say nothing more, ``reopen`` it. What came over the connection was damaged, which ends it
        for good (the owner may have been computing then), or the server has long read nothing.
        """
        with self._lock:
            return _sent(self._connected(), frames)

    def try_send(self, frames: Sequence[bytes]) -> bool:
        """Send one message if that is possible now; for a farewell, which must not fail or wait."""
        with self._lock:
            return self._try_send(frames)

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[bytes] | None:
        """One message; None after ``timeout_ms`` or once a wake descriptor is ready.

        A ready wake descriptor is noticed within a tenth of a second, also while messages keep coming.
        """
        if self._intake is None:
            raise InvariantError("an agent's socket was used before it was connected")
        frames = self._intake.receive(timeout_ms, wake_fds)
        return None if frames is None else [frame.bytes for frame in frames]

    def close(self, flush: bool = True) -> None:
        """Close; with ``flush`` the last messages get up to two seconds to leave. Can be called twice."""
        if self._minder is not None:
            self._minder.close()
            self._minder = None
        self._drop(options.FLUSH_MS if flush else 0)
        if self._context is not None:
            self._context.term()
            self._context = None

    def _try_send(self, frames: Sequence[bytes]) -> bool:
        return self._socket is not None and _sent(self._socket, frames)

    def _while_away(self, _now: float) -> None:
        if self._intake is not None:
            self._intake.drain(_DRAINED_MAX, self._needs_the_owner)

    def _note(self, frames: list[zmq.Frame]) -> bool:
        self._heard = True
        if self._descriptor is None:
            self._descriptor = descriptor_of(frames[-1])
        return not self._flooded

    def _cut_endless(self, _now: float) -> float:
        """End the connection if a message comes over it that is larger than any may be; on the minder's thread.

        A message that has come whole says that none had begun before it. There is one connection, so while messages come
        nothing is looked for: a look takes longer than an agent's own part of a record, and a hundred agents made ten a
        second each.
        """
        if self._heard:
            self._heard = False
            self._unfinished.forget()
            return INTERVAL_SECONDS
        for guilty in self._unfinished.look({}, unfinished_bytes(self._frame_bytes)):
            self._descriptor = None
            shut(guilty)
            _log.warning("cut the connection to the server: a message came over it that does not end")
        return INTERVAL_SECONDS

    def _needs_the_owner(self, frames: list[zmq.Frame]) -> bool:
        if not self._note(frames):
            return False
        answer = self._reflex([frame.bytes for frame in frames])
        if answer is not None and self._try_send(answer):
            return False
        held = 0 if self._intake is None else self._intake.held_bytes
        most = max(HELD_BYTES_MAX, 4 * FRAMES_MAX * self._frame_bytes)
        if held <= most and (self._intake is None or self._intake.held_messages < HELD_MESSAGES_MAX):
            return True
        # The owner will hear silence, and join again; a record that it needs is sent again then.
        self._flooded = True
        if self._descriptor is not None:
            shut(self._descriptor)
        _log.warning("cut the connection to the server: it says more while this agent computes than any server has to say")
        return False

    def _connected(self) -> Socket:
        if self._socket is None:
            raise InvariantError("an agent's socket was used before it was connected")
        return self._socket

    def _drop(self, linger_ms: int) -> None:
        if self._socket is not None:
            self._socket.close(linger_ms)
        self._socket = None
        self._intake = None
        self._descriptor = None
        self._flooded = False

    def _attempt(self, deadline: float, patience: _Patience, wake_fds: Sequence[int]) -> Outcome:
        """Open a socket and watch it until it is READY, WOKEN or FOREIGN; other ends raise."""
        socket = self._open()
        watch = HandshakeWatch(socket)
        try:
            socket.connect(str(self._server))
            while True:
                outcome = watch.wait(max(0.0, deadline - time.monotonic()), wake_fds)
                if outcome in (Outcome.READY, Outcome.WOKEN):
                    return outcome
                if outcome is Outcome.TIMED_OUT and watch.connected:
                    patience.note(Outcome.SILENT)
                self._judge(outcome, patience)
                if outcome is Outcome.FOREIGN:
                    return outcome
        finally:
            watch.close()

    def _open(self) -> Socket:
        if self._context is None:
            self._context = options.new_context(self._io_core)
        self._socket = self._context.socket(zmq.DEALER)
        self._intake = Intake(self._socket, self._lock, self._note)
        keys = self._keys
        options.configure_agent(
            self._socket,
            keys.pair if keys else None,
            keys.server_public if keys else b"",
            self._heartbeat,
            self._frame_bytes,
        )
        if self._server.ipv6:
            self._socket.set(zmq.IPV6, 1)
        return self._socket

    def _judge(self, outcome: Outcome, patience: _Patience) -> None:
        """Raise if ``outcome`` is final, or if it has lasted too long."""
        error = refusals.final(outcome, self._server, self._keys)
        if error is not None:
            raise error
        late = outcome is Outcome.TIMED_OUT
        if not late:
            patience.note(outcome)
        if patience.last is Outcome.BROKEN_OFF and (late or patience.over):
            raise refusals.broken_off(self._server, self._keys, patience.refused)
        if patience.last is Outcome.FOREIGN and (late or patience.over):
            raise refusals.foreign(self._server)
        if late:
            raise refusals.unreachable(self._server, self._connect_timeout_s, patience.last)


class _Patience:
    """How often and since when a server has hung up on us, in one call of ``connect``."""

    def __init__(self) -> None:
        self.last = Outcome.UNREACHABLE
        self.refused = 0
        self._since: float | None = None

    def note(self, outcome: Outcome) -> None:
        self.last = outcome
        if outcome not in (Outcome.BROKEN_OFF, Outcome.FOREIGN):
            self._since = None
            return
        self.refused += 1
        if self._since is None:
            self._since = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the server has hung up for so long that it means it."""
        return self._since is not None and time.monotonic() - self._since >= _PATIENCE_SECONDS


def _sent(socket: Socket, frames: Sequence[bytes]) -> bool:
    try:
        send_frames(socket, frames, NOW)
    except zmq.ZMQError:
        return False
    return True


def _woken(wake_fds: Sequence[int], timeout_ms: int) -> bool:
    """Wait ``timeout_ms``, or until one of ``wake_fds`` is readable."""
    poller = select.poll()
    for descriptor in wake_fds:
        poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(timeout_ms))
