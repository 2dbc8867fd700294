"""Which keys may connect, and the proof at start-up that no other key can.

The transport asks a handler (ZAP, over an in-process socket) about every connection. Ours admits exactly the keys of the
list, as it stands at that moment, and tells the transport which agent a key belongs to; every message then carries that
agent's id and that key, and no client can choose them. A transport that is configured a little wrong asks nobody and admits
everybody, silently. Therefore ``prove_closed`` knocks with a random key before the public address is opened, and the server
starts only if that knock was refused.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import zmq

from dadc_net.errors import InvariantError
from dadc_net.wire import options
from dadc_net.wire.handshake import HandshakeWatch, Outcome
from dadc_net.wire.key_files import KeyPair
from dadc_net.wire.key_list import KeyList, decoded
from dadc_net.wire.options import ZAP_DOMAIN, Context, Heartbeat, Socket

_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_ZAP_VERSION = b"1.0"
_KNOCK_SECONDS = 5.0
_LOG_INTERVAL_SECONDS = 10.0
_log = logging.getLogger(__name__)


class Authenticator:
    """Answers the transport's questions in a thread of its own, so that joining never waits for the environment."""

    def __init__(
        self,
        context: Context,
        admitted: KeyList,
        expected_stranger: bytes = b"",
        admits: Callable[[int, float], bool] = lambda _agent, _now: True,
    ) -> None:
        """Args:
        context: the context whose server sockets ask here.
        admitted: whose list may change at any time.
        expected_stranger: a public key whose refusal is not worth a line in the log.
        admits: whether the key of an agent may open one more connection now; called on the authenticator's thread.
        """
        self._admits = admits
        self._admitted = admitted
        self._expected_stranger = decoded(expected_stranger) if expected_stranger else b""
        self._logged_at = float("-inf")
        self.refused = 0
        """Connections refused so far."""
        self._socket: Socket = context.socket(zmq.REP)
        self._socket.set(zmq.LINGER, 0)
        self._thread = threading.Thread(target=self._serve, name="dadc-authenticator", daemon=True)
        try:
            # Bound here and not in the thread: a question that is asked before the thread runs must find an address.
            self._socket.bind(_ZAP_ADDRESS)
            self._thread.start()
        except BaseException:
            self._socket.close(0)
            raise

    def join(self) -> None:
        """Wait for the thread, which ends when its context is terminated."""
        self._thread.join(timeout=1.0)

    def _serve(self) -> None:
        try:
            while True:
                request = self._socket.recv_multipart()
                self._socket.send_multipart(self._answer(request))
        except zmq.ContextTerminated:
            pass
        except Exception:
            # Nobody answers from now on, so the transport refuses every newcomer: closed, not open.
            _log.exception("the authenticator ended; no further agent can connect")
        finally:
            # A socket left open here would block the termination of the context for ever.
            self._socket.close(0)

    def _answer(self, request: Sequence[bytes]) -> list[bytes]:
        """One reply: version, request id, status, reason, user id, metadata."""
        request_id = request[1] if len(request) > 1 else b""
        agent = self._agent(request)
        if agent is None:
            return [_ZAP_VERSION, request_id, b"400", b"unknown key", b"", b""]
        if not self._admits(agent, time.monotonic()):
            self._note_refusal(f"for a while the key of agent {agent}, which has misbehaved,", request)
            return [_ZAP_VERSION, request_id, b"300", b"later", b"", b""]
        return [_ZAP_VERSION, request_id, b"200", b"OK", user_id(agent, request[6]), b""]

    def _agent(self, request: Sequence[bytes]) -> int | None:
        """The agent whose key the request carries; None refuses it.

        A request is: version, request id, domain, address, routing id, mechanism, public key.
        """
        if len(request) != 7 or request[0] != _ZAP_VERSION or request[2] != ZAP_DOMAIN or request[5] != b"CURVE":
            self._note_refusal("a connection without CURVE", request)
            return None
        agent = self._admitted.agent_of(request[6])
        if agent is None and request[6] != self._expected_stranger:
            self._note_refusal("an unknown key", request)
        return agent

    def _note_refusal(self, what: str, request: Sequence[bytes]) -> None:
        """Log at most one line every few seconds: a stranger must not be able to fill the disk."""
        self.refused += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_INTERVAL_SECONDS:
            self._logged_at = now
            address = request[3].decode("ascii", "replace") if len(request) > 3 else "unknown"
            _log.warning("refused %s from %s; %d refused so far", what, address, self.refused)


def prove_closed(context: Context, server: Socket, server_public: bytes, stranger: KeyPair) -> None:
    """Knock at ``server`` with the unknown key pair ``stranger``, on an address that only this process knows yet.

    Raises:
        InvariantError: if the knock was not refused.
    """
    server.bind("tcp://127.0.0.1:*")
    address = options.bound_address(server)
    client: Socket = context.socket(zmq.DEALER)
    options.configure_agent(client, stranger, server_public, Heartbeat())
    watch = HandshakeWatch(client)
    try:
        client.connect(address)
        outcome = watch.wait(_KNOCK_SECONDS)
    finally:
        watch.close()
        client.close(0)
        server.unbind(address)
    if outcome is not Outcome.KEY_REFUSED:
        raise InvariantError(
            f"the server's self-test knocked with a random key, and the answer was {outcome.value!r}, not "
            f"{Outcome.KEY_REFUSED.value!r}. The public address was not opened. Please report this with the version of "
            f"pyzmq ({zmq.pyzmq_version()}) and of ZeroMQ ({zmq.zmq_version()})."
        )


def user_id(agent: int, public: bytes) -> bytes:
    """What the transport attaches to every message of a connection: whose it is, and by which key (32 bytes)."""
    return b"%d %s" % (agent, public.hex().encode("ascii"))


def owner_of(text: str) -> tuple[int, bytes]:
    """The inverse of ``user_id``. Raises ValueError."""
    agent, _, public = text.partition(" ")
    return int(agent), bytes.fromhex(public)
