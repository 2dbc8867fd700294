"""Sending and receiving a list of frames, quickly, and waiting for them.

pyzmq's ``send_multipart`` examines every frame in Python first, which costs several microseconds a message here; these
loops do not. Receiving blocks in slices instead of polling: a poll with several descriptors before each receive was
measured to cost a tenth of a lock-step, and a stop that is noticed a tenth of a second late bothers nobody.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil

import zmq

from dadc_net.wire.limits import FRAMES_MAX
from dadc_net.wire.options import Socket

WAKE_INTERVAL_MS = 100
"""A ready wake descriptor is noticed within this time, whether messages keep coming or not."""

_MORE = int(zmq.SNDMORE)
NOW = int(zmq.DONTWAIT)
"""The flag of a call that must not wait."""
_FRAMES_KEPT = FRAMES_MAX + 2
"""One for the routing id, and one so that a message with too many frames shows as one."""


def send_frames(socket: Socket, frames: Sequence[bytes], flags: int = 0) -> None:
    """Send one message. Raises zmq.ZMQError, before any frame has left."""
    send = socket.send
    last = len(frames) - 1
    for frame in frames[:last]:
        send(frame, flags | _MORE)
    send(frames[last], flags)


def receive_frames(socket: Socket, flags: int = 0) -> list[zmq.Frame]:
    """Receive one message, or its first frames if it has too many. Raises zmq.Again after the socket's RCVTIMEO."""
    receive = socket.recv
    frame = receive(flags, False)
    frames = [frame]
    while frame.more:
        frame = receive(flags, False)
        if len(frames) < _FRAMES_KEPT:
            frames.append(frame)
    return frames


class Intake:
    """Waits for messages on one socket, and for descriptors that are to interrupt the waiting.

    ``lock`` is held while the socket is used, so that a ``Minder`` can ``drain`` it while the owner is busy; what was
    drained comes first.
    """

    def __init__(
        self, socket: Socket, lock: threading.Lock | None = None, keep: Callable[[list[zmq.Frame]], bool] = lambda _: True
    ) -> None:
        """``keep`` is shown every message once, with the lock held; False: it is dropped."""
        self._socket = socket
        self._lock = threading.Lock() if lock is None else lock
        self._keep = keep
        self._inbox: deque[list[zmq.Frame]] = deque()
        self.held_bytes = 0
        """Of what was drained and not received yet."""
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
            frames = self._next(max(0, min(remaining_ms, WAKE_INTERVAL_MS)))
            if frames is not None:
                return frames
            now = time.monotonic()
            if now >= deadline or (wake_fds and self._woken(wake_fds, now)):
                return None

    def drain(self, most: int, keep: Callable[[list[zmq.Frame]], bool] | None = None) -> bool:
        """Take what has come, at most ``most`` messages, for ``receive``; whether that was all. The lock must be held."""
        keep = keep or self._keep
        try:
            for _ in range(most):
                frames = receive_frames(self._socket, NOW)
                if keep(frames):
                    self._inbox.append(frames)
                    self.held_bytes += sum(map(len, frames))
        except zmq.Again:
            return True
        return False

    @property
    def held_messages(self) -> int:
        """How many were drained and not received yet."""
        return len(self._inbox)

    def _next(self, timeout_ms: int) -> list[zmq.Frame] | None:
        """The next message worth keeping, if the first that comes within ``timeout_ms`` is one."""
        with self._lock:
            if self._inbox:
                frames = self._inbox.popleft()
                self.held_bytes -= sum(map(len, frames))
                return frames
            if timeout_ms != self._timeout_ms:
                self._socket.set(zmq.RCVTIMEO, timeout_ms)
                self._timeout_ms = timeout_ms
            try:
                frames = receive_frames(self._socket)
            except zmq.Again:
                return None
            return frames if self._keep(frames) else None

    def _woken(self, wake_fds: Sequence[int], now: float) -> bool:
        self._next_look = now + WAKE_INTERVAL_MS / 1000
        poller = select.poll()
        for descriptor in wake_fds:
            poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(0))
