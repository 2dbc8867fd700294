"""Every socket option that we set, with its reason. Nothing is left to a default that matters.

Both ends of a connection must agree on nothing here: each protects itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

import zmq

from dadc_net.wire import limits
from dadc_net.wire.key_files import KeyPair, require_curve

Socket: TypeAlias = "zmq.Socket[bytes]"
Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

ZAP_DOMAIN = b"dadc-net"
FLUSH_MS = 2000
"""How long a graceful close waits for the last messages to leave."""
SEND_TIMEOUT_MS = 5000
"""A socket whose session has died would block in send for ever."""
_QUEUE_MESSAGES = 64
"""Lock-step keeps one message per peer under way; a full queue to a peer is one that does not read."""
_HANDSHAKE_MS = 5000
"""A TCP client that says nothing holds a descriptor this long."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """When a silent connection counts as gone. Any traffic counts as a beat; the transport's own thread beats."""

    interval_ms: int = 1000
    timeout_ms: int = 5000
    ttl_ms: int = 6000
    """How long the peer may be silent before *it* is to give up; rounded to tenths of a second by the transport."""

    @classmethod
    def for_team(cls, agents: int) -> Heartbeat:
        """A server's: the more agents, which may share its cores and compute at once, the later one counts as gone."""
        patience_ms = 5000 + 250 * max(0, agents - 4)
        return cls(timeout_ms=patience_ms, ttl_ms=patience_ms + 1000)

    @classmethod
    def of_agent(cls) -> Heartbeat:
        """An agent's, which knows of no team yet: the server notices a vanished agent by its own patience."""
        return cls(timeout_ms=20_000, ttl_ms=30_000)


def new_context(io_core: int | None = None, io_threads: int = 1) -> Context:
    """A context; ``io_core``: where its threads stay; None, or one that this process may not use: anywhere."""
    context: Context = zmq.Context(io_threads)
    if io_core is not None and _may_stay_on(io_core):
        context.set(zmq.THREAD_AFFINITY_CPU_ADD, io_core)
    return context


def _may_stay_on(core: int) -> bool:
    """Whether a thread of this process may be kept there: where it may not, the transport would end the process."""
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, allowed)  # A sandbox may forbid it.
    except OSError:
        return False
    return core in allowed


def configure_server(socket: Socket, keys: KeyPair | None, heartbeat: Heartbeat, frame_bytes: int) -> None:
    """Options of the environment server's ROUTER; ``frame_bytes``: the largest frame that it takes."""
    _configure(socket, heartbeat)
    # 0 would drop messages to a peer that has vanished; 1 turns that into an error that we report as False.
    socket.set(zmq.ROUTER_MANDATORY, 1)
    # ROUTER_HANDOVER stays 0 and agents set no routing id: identity is the key, so no peer can take another's messages.
    socket.set(zmq.BACKLOG, 1024)  # K agents may connect in the same instant.
    socket.set(zmq.MAXMSGSIZE, frame_bytes)
    if keys is not None:
        require_curve()
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, keys.secret)
        require_authentication(socket)


def require_authentication(socket: Socket) -> None:
    """Both are needed: with only one of the two, a stranger's key is admitted when no handler answers, or always."""
    socket.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


def configure_agent(
    socket: Socket,
    keys: KeyPair | None,
    server_public: bytes,
    heartbeat: Heartbeat,
    frame_bytes: int = limits.agent_frame_bytes(),
) -> None:
    """Options of an agent's DEALER; ``frame_bytes``: the largest frame that it takes."""
    _configure(socket, heartbeat)
    # Stays 0. With 1 a disconnection throws away what has arrived and was not read yet (libzmq 4.3.5): measured, one
    # last message in seven (End, Fault) was lost when the server closed right after sending it. The price of 0 is that
    # a message sent without a connection waits for the next one and arrives there before any Join; the server ignores
    # whoever has not joined.
    socket.set(zmq.IMMEDIATE, 0)
    socket.set(zmq.CONNECT_TIMEOUT, 5000)
    socket.set(zmq.TCP_MAXRT, 15000)
    socket.set(zmq.RECONNECT_IVL, 100)
    socket.set(zmq.RECONNECT_IVL_MAX, 2000)  # Backs off to this; a person who starts the server second waits no longer.
    socket.set(zmq.MAXMSGSIZE, frame_bytes)
    if keys is not None:
        require_curve()
        socket.set(zmq.CURVE_PUBLICKEY, keys.public)
        socket.set(zmq.CURVE_SECRETKEY, keys.secret)
        socket.set(zmq.CURVE_SERVERKEY, server_public)


def _configure(socket: Socket, heartbeat: Heartbeat) -> None:
    socket.set(zmq.LINGER, 0)  # The default waits for ever at exit; a graceful close asks for FLUSH_MS.
    socket.set(zmq.SNDTIMEO, SEND_TIMEOUT_MS)
    socket.set(zmq.SNDHWM, _QUEUE_MESSAGES)
    # No bound: a full queue of arrivals makes libzmq 4.3.5 stop reading, count its own peer as dead, and abort the process
    # when the queue moves again (zeromq/libzmq #3937). Whoever owns the socket reads it all the time; see ``minder``.
    socket.set(zmq.RCVHWM, 0)
    socket.set(zmq.HEARTBEAT_IVL, heartbeat.interval_ms)
    socket.set(zmq.HEARTBEAT_TIMEOUT, heartbeat.timeout_ms)
    socket.set(zmq.HEARTBEAT_TTL, heartbeat.ttl_ms)
    socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.set(zmq.TCP_KEEPALIVE, 1)


def bound_address(socket: Socket) -> str:
    """The address that ``socket`` was bound to last, with the port that was chosen."""
    address = socket.get(zmq.LAST_ENDPOINT)
    return str(address, "ascii").rstrip("\0") if isinstance(address, bytes) else ""
