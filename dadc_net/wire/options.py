"""Socket options: one explicit value for each that matters, with the reason.

Limits and times are ours, not the library's defaults: several of those (no heartbeat, no message limit, endless linger,
endless blocking) turn a fault into a hang.
"""

from __future__ import annotations

import zmq

from dadc_net.wire.framing import FRAME_BYTES_MAX

HEARTBEAT_INTERVAL_MS = 1000
HEARTBEAT_TIMEOUT_MS = 5000
HEARTBEAT_TTL_MS = 6000
HANDSHAKE_INTERVAL_MS = 5000
SEND_TIMEOUT_MS = 5000
FLUSH_MS = 2000
QUEUE_FRAMES = 64
BACKLOG = 1024
_CURVE_OVERHEAD_BYTES = 1024

COMMON: dict[int, int] = {
    zmq.LINGER: 0,  # closing never hangs; a graceful end asks for FLUSH_MS instead
    zmq.HEARTBEAT_IVL: HEARTBEAT_INTERVAL_MS,  # finds dead peers that TCP would keep for hours
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.HEARTBEAT_TTL: HEARTBEAT_TTL_MS,
    zmq.HANDSHAKE_IVL: HANDSHAKE_INTERVAL_MS,  # a silent stranger holds a descriptor for this long at most
    zmq.SNDTIMEO: SEND_TIMEOUT_MS,  # a send to a dead session would block for ever
    zmq.RCVTIMEO: SEND_TIMEOUT_MS,
    zmq.SNDHWM: QUEUE_FRAMES,  # lock-step needs one message in flight
    zmq.RCVHWM: QUEUE_FRAMES,
    zmq.MAXMSGSIZE: FRAME_BYTES_MAX + _CURVE_OVERHEAD_BYTES,  # last line of defence; sizes are checked before sending
    zmq.TCP_KEEPALIVE: 1,
}
ROUTER: dict[int, int] = {
    zmq.ROUTER_MANDATORY: 1,  # a send to a vanished peer is an error instead of silence
    zmq.BACKLOG: BACKLOG,  # a hundred agents join at once
}
DEALER: dict[int, int] = {
    zmq.IMMEDIATE: 1,  # nothing is queued for a connection that does not exist: no stale messages after a restart
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 2000,
    zmq.CONNECT_TIMEOUT: 5000,
}


def apply(socket: zmq.Socket[bytes], *groups: dict[int, int]) -> None:
    """Set groups of options on a socket."""
    for group in groups:
        for option, value in group.items():
            socket.setsockopt(option, value)
