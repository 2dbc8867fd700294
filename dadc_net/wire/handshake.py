"""What the transport says while a connection is being made.

The transport retries and keeps silent; only its monitor tells why nothing happens. The monitor is used while connecting
and closed before the first message: with libzmq 4.3.5, an open monitor and one corrupted encrypted frame leave that
direction dead for ever without any event.

Measured sequences (libzmq 4.3.5), as seen by the client:

    unknown client key          HANDSHAKE_FAILED_AUTH 400, no retry
    wrong server key            HANDSHAKE_FAILED_NO_DETAIL EPIPE, again and again
    plain client, CURVE server  HANDSHAKE_FAILED_NO_DETAIL EPIPE a few times, then as the next line
    CURVE client, plain server  HANDSHAKE_FAILED_PROTOCOL, mechanism mismatch, no retry
    something that is silent    HANDSHAKE_FAILED_NO_DETAIL EAGAIN after HANDSHAKE_IVL, again and again
    something not ZeroMQ        DISCONNECTED after CONNECTED, no retry
    nothing listens             CONNECT_DELAYED, CLOSED, CONNECT_RETRIED, again and again
    name does not resolve       CONNECT_RETRIED alone, again and again
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from enum import Enum
from struct import Struct
from typing import Any

import zmq

from dadc_net.wire.options import Socket

_EVENT = Struct("=Hi")
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_DELAYED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_FAILURES = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
)


class Outcome(Enum):
    """What became of an attempt to connect."""

    READY = "admitted"
    KEY_REFUSED = "key refused"
    MECHANISM = "one side encrypts, the other does not"
    BROKEN_OFF = "handshake broken off"
    SILENT = "connected, but no answer"
    FOREIGN = "something other than ZeroMQ answers"
    UNREACHABLE = "nothing answers"
    UNRESOLVED = "host name unknown"
    WOKEN = "interrupted"
    TIMED_OUT = "no event"


class HandshakeWatch:
    """The monitor of one socket, from before ``connect`` until the connection stands or fails."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._monitor = socket.get_monitor_socket(int(_EVENTS))
        self._monitor.set(zmq.LINGER, 0)
        self._explained = False
        self._resolved = False
        self.connected = False
        """Whether there is a connection at present, over which the handshake may be under way."""

    def wait(self, seconds: float, wake_fds: Sequence[int] = ()) -> Outcome:
        """The next outcome within ``seconds``; TIMED_OUT or WOKEN if there is none."""
        deadline = time.monotonic() + seconds
        sources: list[Any] = [self._monitor, *wake_fds]
        items = [(source, int(zmq.POLLIN)) for source in sources]
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Outcome.TIMED_OUT
            ready = [source for source, _ in zmq.zmq_poll(items, max(1, int(remaining * 1000)))]
            if self._monitor in ready:
                outcome = self._interpret(*_EVENT.unpack(self._monitor.recv_multipart()[0]))
                if outcome is not None:
                    return outcome
            elif ready:
                return Outcome.WOKEN

    def close(self) -> None:
        """Stop watching; must come before the socket is closed or used for messages."""
        if not self._monitor.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)

    def _interpret(self, event: int, value: int) -> Outcome | None:
        """What an event means; None: nothing by itself."""
        outcome: Outcome | None = None
        match event:
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                outcome = Outcome.READY
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                outcome = Outcome.KEY_REFUSED
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                mismatch = value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
                outcome = Outcome.MECHANISM if mismatch else Outcome.FOREIGN
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                outcome = Outcome.SILENT if value == errno.EAGAIN else Outcome.BROKEN_OFF
            case zmq.EVENT_DISCONNECTED if not self._explained:
                outcome = Outcome.FOREIGN
            case zmq.EVENT_CONNECT_RETRIED if not self._explained:
                outcome = Outcome.UNREACHABLE if self._resolved else Outcome.UNRESOLVED
        if event in (zmq.EVENT_CONNECT_DELAYED, zmq.EVENT_CONNECTED):
            self._resolved = True
        if event in (zmq.EVENT_CONNECTED, zmq.EVENT_DISCONNECTED):
            self.connected = event == zmq.EVENT_CONNECTED
        if event in _FAILURES:
            self._explained = True  # The DISCONNECTED and CONNECT_RETRIED that follow belong to this failure.
        elif event in (zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_CONNECTED):
            self._explained = False
        return outcome
