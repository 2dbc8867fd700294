"""Where a party's time goes, counted while it runs: what the metrics of a server and of an agent are made of.

A meter is told moments of the monotonic clock that its process reads anyhow, and decides nothing. Totals only grow, so that
whoever looks now and then sees rates.
"""

from __future__ import annotations

import os
from collections import Counter

from dadc_net.runtime.events import AgentMeasured, ServerMeasured

WAIT, ENVIRONMENT, SERVE = "wait", "environment", "serve"
"""Phases of a lock-step at the server: until the last answer has come; the environment's step; all that is its own."""
COMPUTE, KEEP = "compute", "keep"
"""Phases at an agent beside ``wait``: until its answer is sent; writing down and learning after it."""
BAD_MESSAGE = "message"
"""Why something was refused: a message that is none. The socket counts the others, keys and floods."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def memory_bytes() -> int:
    """What this process holds in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


class Phases:
    """Seconds by phase, of one round after another."""

    def __init__(self) -> None:
        self.rounds = 0
        self.seconds: dict[str, float] = {}
        self._end: float | None = None

    def begin(self, now: float) -> None:
        """The time before this moment belongs to no round."""
        self._end = now

    def close(self, *marks: tuple[str, float]) -> None:
        """A round is over: each phase lasted until the moment beside it; the first began when the last round ended."""
        if self._end is not None:
            self.rounds += 1
            before = self._end
            for phase, until in marks:
                self.seconds[phase] = self.seconds.get(phase, 0.0) + max(0.0, until - before)
                before = max(before, until)
        self._end = marks[-1][1]


class ServerMeter:
    """Of one server process."""

    def __init__(self) -> None:
        self._phases = Phases()
        self._took = 0.0
        self.resent = 0
        """Records that were sent again, unanswered."""
        self.refused: Counter[str] = Counter()
        self._compared = 0

    def took(self, seconds: float) -> None:
        """The environment needed these seconds for the record that is being made."""
        self._took += seconds

    def closed(self, heard: float, now: float, agents: int) -> None:
        """A record is answered by all: the last answer came at ``heard``, and at ``now`` the next one is sent."""
        self._phases.close((WAIT, heard), (ENVIRONMENT, heard + self._took), (SERVE, now))
        self._took = 0.0
        self._compared += agents

    def measured(self, tip: int, refused: Counter[str]) -> ServerMeasured:
        """All so far; ``refused``: what the socket refused, by reason."""
        return ServerMeasured(
            records=self._phases.rounds,
            phase_seconds=dict(self._phases.seconds),
            resent=self.resent,
            refused=dict(self.refused + refused),
            digests_compared=self._compared,
            tip=tip,
            memory_bytes=memory_bytes(),
        )


class AgentMeter:
    """Of one agent process."""

    def __init__(self) -> None:
        self._phases = Phases()

    def answered(self, heard: float, sent: float, kept: float) -> None:
        """A record came at ``heard``, was answered at ``sent`` and written down at ``kept``."""
        self._phases.close((WAIT, heard), (COMPUTE, sent), (KEEP, kept))

    def measured(self, agent: int, tip: int, silent: float | None) -> AgentMeasured:
        """All so far."""
        return AgentMeasured(
            agent=agent,
            records=self._phases.rounds,
            phase_seconds=dict(self._phases.seconds),
            tip=tip,
            server_silent_s=silent,
            memory_bytes=memory_bytes(),
        )
