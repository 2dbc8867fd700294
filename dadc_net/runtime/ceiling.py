"""The lock-step ceiling: what the transport alone allows, with the same sockets, options, keys and byte counts.

One server process and K agent processes pass frames of the sizes of a real run back and forth and do nothing else: no
codec, no digest, no learner, no book. The rate of a real run divided by this one says what everything of ours costs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dadc_net.wire.keys import load_agent_keys, load_server_keys
from dadc_net.wire.sockets import AgentSocket, ServerSocket

_CONNECT_SECONDS = 30.0
_PATIENCE_MS = 30_000


@dataclass(frozen=True)
class CeilingOrder:
    """What a process of the raw loop is told."""

    agent: int
    """0: the server."""
    num_agents: int
    steps: int
    step_bytes: tuple[int, ...]
    """Sizes of the frames of a Step."""
    act_bytes: tuple[int, ...]
    keys_dir: Path
    server: str = "tcp://127.0.0.1:*"


def server_child(order: CeilingOrder, connection: Connection) -> None:
    """Serve ``order.steps`` lock-steps; report the endpoint, then the seconds they took."""
    socket = ServerSocket(order.server, load_server_keys(order.keys_dir))
    frames = [bytes(size) for size in order.step_bytes]
    try:
        connection.send(socket.endpoint)
        peers = _gather(socket, order.num_agents)
        begun = time.perf_counter()
        for _ in range(order.steps):
            for peer in peers:
                socket.send(peer, frames)
            _gather(socket, order.num_agents)
        connection.send(time.perf_counter() - begun)
        for peer in peers:
            socket.send(peer, [b"end"])
    finally:
        socket.close()


def _gather(socket: ServerSocket, count: int) -> Sequence[bytes]:
    peers: list[bytes] = []
    while len(peers) < count:
        received = socket.receive(_PATIENCE_MS)
        if not received:
            raise TimeoutError("an agent of the raw loop stayed silent")
        peers += [message.peer for message in received]
    return peers


def agent_child(order: CeilingOrder, connection: Connection) -> None:
    """Answer every message with frames of an Act's sizes until the end."""
    socket = AgentSocket(order.server, load_agent_keys(order.keys_dir, order.agent), _CONNECT_SECONDS)
    frames = [bytes(size) for size in order.act_bytes]
    try:
        socket.connect()
        socket.send(frames)
        while True:
            received = socket.receive(_PATIENCE_MS)
            if received is None or received == [b"end"]:
                return
            socket.send(frames)
    finally:
        socket.close()
