"""Sending and receiving a list of frames, quickly, and waiting for them.

pyzmq's ``send_multipart`` examines every frame in Python first, which costs several microseconds a message here; these
loops do not. Receiving blocks in slices instead of polling: a poll with several descriptors before each receive was
measured to cost a tenth of a lock-step, and a stop that is noticed a tenth of a second late bothers nobody.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from math import ceil

import zmq

from dadc_net.wire.limits import FRAMES_MAX
from dadc_net.wire.options import Socket

WAKE_INTERVAL_MS = 100
"""A ready wake descriptor is noticed within this time, whether messages keep coming or not."""

_MORE = int(zmq.SNDMORE)
_FRAMES_KEPT = FRAMES_MAX + 2
"""One for the routing id, and one so that a message with too many frames shows as one."""


def send_frames(socket: Socket, frames: Sequence[bytes]) -> None:
    """Send one message. Raises zmq.ZMQError, before any frame has left."""
    send = socket.send
    last = len(frames) - 1
    for frame in frames[:last]:
        send(frame, _MORE)
    send(frames[last])


def receive_frames(socket: Socket) -> list[zmq.Frame]:
    """Receive one message, or its first frames if it has too many. Raises zmq.Again after the socket's RCVTIMEO."""
    receive = socket.recv
    frame = receive(0, False)
    frames = [frame]
    while frame.more:
        frame = receive(0, False)
        if len(frames) < _FRAMES_KEPT:
            frames.append(frame)
    return frames


class Intake:
    """Waits for messages on one socket, and for descriptors that are to interrupt the waiting."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._timeout_ms: int | None = None
        self._next_look = 0.0

    def receive(self, timeout_ms: int, wake_fds: Sequence[int] = ()) -> list[zmq.Frame] | None:
        """One message; None after ``timeout_ms``, or earlier when one of ``wake_fds`` is readable."""
        now = time.monotonic()
        deadline = now + timeout_ms / 1000
        if wake_fds and now >= self._next_look and self._woken(wake_fds, now):
            return None
        while True:
            remaining_ms = ceil((deadline - now) * 1000)
            self._set_timeout(max(0, min(remaining_ms, WAKE_INTERVAL_MS)))
            try:
                return receive_frames(self._socket)
            except zmq.Again:
                now = time.monotonic()
                if now >= deadline or (wake_fds and self._woken(wake_fds, now)):
                    return None

    def _set_timeout(self, timeout_ms: int) -> None:
        if timeout_ms != self._timeout_ms:
            self._socket.set(zmq.RCVTIMEO, timeout_ms)
            self._timeout_ms = timeout_ms

    def _woken(self, wake_fds: Sequence[int], now: float) -> bool:
        self._next_look = now + WAKE_INTERVAL_MS / 1000
        poller = select.poll()
        for descriptor in wake_fds:
            poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(0))
