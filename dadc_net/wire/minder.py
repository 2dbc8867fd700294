"""A thread that looks after a socket while its owner is busy with something else.

An owner that computes for minutes does not read. What comes meanwhile would fill the transport's queue, which aborts the
process (libzmq 4.3.5 with heartbeats: ``Assertion failed: _input_stopped``), or would grow without bound where the queue
has no bound; and who waits for a sign of life would wait in vain. A socket may pass from thread to thread under a lock:
the owner holds it whenever it uses the socket, also while it waits for a message, so the minder gets it only when the
owner is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Minder:
    """Calls ``look(now)`` with ``lock`` held, about ten times a second while nobody else holds it; now: monotonic s.

    ``always(now)`` is called whoever holds the lock, and says in how many seconds again; it must not use the socket.
    """

    def __init__(
        self,
        lock: threading.Lock,
        look: Callable[[float], None],
        name: str,
        always: Callable[[float], float] = lambda _: INTERVAL_SECONDS,
    ) -> None:
        self._always = always
        self._lock = lock
        self._look = look
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. The caller must not hold the lock."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause, due = INTERVAL_SECONDS, 0.0
        while not self._ended.wait(pause):
            try:
                now = time.monotonic()
                pause = min(INTERVAL_SECONDS, self._always(now))
                if now >= due and self._lock.acquire(blocking=False):
                    due = now + INTERVAL_SECONDS
                    try:
                        self._look(now)
                    finally:
                        self._lock.release()
            except Exception:
                pause = INTERVAL_SECONDS
                _log.exception("what a socket needs while its owner is busy failed; the owner goes on without")
