"""Who may connect: ZAP over CurveZMQ, closed unless a key is on the list.

CURVE alone encrypts but admits every key. Three things make the server fail closed: this handler runs before the socket
is bound, the socket has a ZAP domain, and it enforces it. The server then tries itself: a stranger's key must be refused.
"""

from __future__ import annotations

from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from dadc_net.errors import InvariantError
from dadc_net.wire.keys import ServerKeys

DOMAIN = b"dadc-net"
_PROBE_MS = 5000


class KeyList(ThreadAuthenticator):
    """Admits the agents on the list; a connection's User-Id is its agent id."""

    def __init__(self, context: zmq.Context[Any], agents: dict[bytes, int]) -> None:
        super().__init__(context)
        self._agents = agents
        self.configure_curve_callback(DOMAIN.decode("ascii"), credentials_provider=self)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the Z85 public key is on the list; called in the authenticator's thread."""
        return bytes(key) in self._agents

    def curve_user_id(self, client_public_key: bytes) -> str:
        """The agent id of a key that was admitted."""
        return str(self._agents[z85.encode(client_public_key)])


def secure(socket: zmq.Socket[bytes], keys: ServerKeys) -> None:
    """Make ``socket`` a CURVE server that asks the authenticator and admits nobody without it."""
    socket.curve_server = True
    socket.curve_publickey = keys.pair.public
    socket.curve_secretkey = keys.pair.secret
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def refuse_unless_closed(context: zmq.Context[Any], endpoint: str, server_public: bytes) -> None:
    """Connect with a fresh key and see it refused.

    Raises:
        InvariantError: if the stranger was admitted, or no verdict came.
    """
    probe = context.socket(zmq.DEALER)
    probe.setsockopt(zmq.LINGER, 0)
    probe.curve_publickey, probe.curve_secretkey = zmq.curve_keypair()
    probe.curve_serverkey = server_public
    monitor = probe.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    try:
        probe.connect(endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"))
        if not monitor.poll(_PROBE_MS):
            raise InvariantError("the server's own admission test got no verdict; it does not start")
        if recv_monitor_message(monitor)["event"] != zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise InvariantError("the server admitted a key that is not on its list; it does not start")
    finally:
        probe.disable_monitor()
        monitor.close(0)
        probe.close(0)
