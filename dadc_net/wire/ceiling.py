"""Lock-step with the same sockets, options, encryption and bytes, but nothing of ours in between.

This is the rate that ``dadc bench`` divides by: what the transport allows when nobody computes, encodes, hashes or
writes anything. Both loops use the frame loops of ``multipart``, which are faster than pyzmq's own, so that the ceiling
is not flattered into being low.

    agent    hello --->
    server             <--- step_frames   (to every agent)
    agent    act_frames --->              (until a message of one empty frame)
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import zmq

from dadc_net.errors import TemporaryError
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.multipart import receive_frames, send_frames
from dadc_net.wire.server_socket import ServerSocket

_HELLO = [b"hello"]
_STOP = [b""]


def wait_for_agents(server: ServerSocket, num_agents: int, timeout_s: float = 30.0) -> list[bytes]:
    """The connections of ``num_agents`` raw agents. Raises TemporaryError if they do not all come."""
    peers: list[bytes] = []
    deadline = time.monotonic() + timeout_s
    while len(peers) < num_agents:
        if time.monotonic() > deadline:
            raise TemporaryError(
                f"{len(peers)} of {num_agents} benchmark agents connected within {timeout_s:g} s. Nothing was "
                "measured. Try again on a quieter machine."
            )
        peers += [received.peer for received in server.receive(100)]
    return peers


def raw_server(server: ServerSocket, peers: Sequence[bytes], steps: int, step_frames: Sequence[bytes]) -> float:
    """Seconds for ``steps`` lock-steps with ``peers``. Can be called again with the same peers."""
    socket = server.raw
    timeout_before = socket.get(zmq.RCVTIMEO)
    socket.set(zmq.RCVTIMEO, 30_000)
    messages = [(peer, *step_frames) for peer in peers]
    started = time.perf_counter()
    try:
        for _ in range(steps):
            for message in messages:
                send_frames(socket, message)
            for _ in messages:
                receive_frames(socket)
    except zmq.Again as error:
        raise TemporaryError(
            "a benchmark agent did not answer within 30 s. The measurement was stopped. Try again on a quieter machine."
        ) from error
    finally:
        socket.set(zmq.RCVTIMEO, timeout_before)
    return time.perf_counter() - started


def stop_agents(server: ServerSocket, peers: Sequence[bytes]) -> None:
    """End the loops of the raw agents."""
    for peer in peers:
        server.send(peer, _STOP)


def raw_agent(agent: AgentSocket, act_frames: Sequence[bytes]) -> int:
    """Answer every message with ``act_frames`` until told to stop; returns how many were answered."""
    socket = agent.raw
    timeout_before = socket.get(zmq.RCVTIMEO)
    socket.set(zmq.RCVTIMEO, 60_000)
    send_frames(socket, _HELLO)
    answered = 0
    try:
        while True:
            frames = receive_frames(socket)
            if len(frames) == 1 and not frames[0].bytes:
                return answered
            send_frames(socket, act_frames)
            answered += 1
    except zmq.Again:
        return answered  # The server has gone; whoever started it reports that.
    finally:
        socket.set(zmq.RCVTIMEO, timeout_before)
