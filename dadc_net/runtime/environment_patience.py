"""How long the environment may take for one record: as long as an agent may, ``runtime.lockstep_timeout_s``.

The environment runs in the server's main thread, so while it takes its time nothing else happens there. The thread that
minds the socket looks at the clock. Past the deadline it interrupts the environment, where that is Python or waits in a
system call, and tells the agents; code of another language that does not return cannot be interrupted, and then the
agents are told all the same and the log says what the server hangs in.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from dadc_net.descriptors import for_files
from dadc_net.errors import TemporaryError
from dadc_net.node.messages import Fault
from dadc_net.node.rows import ServerRow
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.world import World

_SIGNAL = signal.SIGRTMIN + 3
"""One that nobody else is likely to use."""
_log = logging.getLogger(__name__)


class TimedEnvironment(World):
    """The environment, and how long it has been at the record that it makes."""

    since: float | None = None
    """Monotonic seconds; None: it is not at work."""
    seconds = 0.0
    """What the last record took."""
    opens_files = True
    """Whether it or the information structure may do so at a record; none of this package does."""

    def advance(self, joint_action: NDArray[np.int64]) -> ServerRow:
        """As the base class, timed."""
        self.since = time.monotonic()
        try:
            with for_files() if self.opens_files else contextlib.nullcontext():
                return super().advance(joint_action)
        finally:
            self.seconds, self.since = time.monotonic() - self.since, None


def take_seconds(node: EnvironmentServerNode) -> float:
    """What the environment needed for records since the last call."""
    world = node.log.world
    if not isinstance(world, TimedEnvironment):
        return 0.0
    seconds, world.seconds = world.seconds, 0.0
    return seconds


class EnvironmentPatience:
    """A context of the main thread, in which an environment past its deadline is interrupted."""

    def __init__(self, node: EnvironmentServerNode) -> None:
        self._node = node
        self._main = threading.current_thread() is threading.main_thread()
        self._thread = threading.get_ident()
        self._warned = False

    def __enter__(self) -> EnvironmentPatience:
        if self._main:
            signal.signal(_SIGNAL, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(_SIGNAL, signal.SIG_IGN)

    def look(self, now: float) -> Fault | None:
        """On another thread: what to tell the agents if the environment is past its deadline."""
        error = self._error(now)
        if error is None:
            return None
        if not self._warned:
            self._warned = True
            _log.error("%s", error)
        if self._main:
            signal.pthread_kill(self._thread, _SIGNAL)
        return Fault(error.exit_code, str(error))

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        error = self._error(time.monotonic())
        if error is not None:  # Otherwise the environment has just finished.
            raise error

    def _error(self, now: float) -> TemporaryError | None:
        terms, world = self._node.terms, self._node.log.world
        since = world.since if isinstance(world, TimedEnvironment) else None
        if since is None or now - since <= terms.lockstep_timeout_s:
            return None
        return terms.environment_too_late(self._node.log.step + 1, now - since)
