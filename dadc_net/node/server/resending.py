"""Which record each agent was sent last, and when it is sent again.

The transport keeps order within a connection and promises nothing else. A record that is not answered is therefore sent
again, after a pause that doubles: receiving is idempotent, so the worst that a needless repetition costs is its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class SentRecord:
    """A record that an agent has been sent and has not answered."""

    step: int
    sent: float
    pause: float = FIRST_PAUSE_SECONDS


class Outstanding:
    """What each agent was sent last and has not answered, by agent."""

    def __init__(self) -> None:
        self._outstanding: dict[int, SentRecord] = {}

    def sent(self, agent: int, step: int, now: float) -> None:
        """``agent`` was sent record ``step``; sending it again does not shorten its pause."""
        if self.awaits(agent, step):
            self._outstanding[agent].sent = now
        else:
            self._outstanding[agent] = SentRecord(step, now)

    def all_sent(self, agents: Iterable[int], step: int, now: float) -> None:
        """Record ``step``, which is new, was sent to ``agents``."""
        for agent in agents:
            self._outstanding[agent] = SentRecord(step, now)

    def awaits(self, agent: int, step: int) -> bool:
        """Whether ``agent`` was sent ``step`` last and has not answered it."""
        found = self._outstanding.get(agent)
        return found is not None and found.step == step

    def take(self, agent: int, step: int) -> bool:
        """Whether ``agent`` was awaited to answer ``step``; if so, it has answered."""
        found = self._outstanding.get(agent)
        if found is None or found.step != step:
            return False
        del self._outstanding[agent]
        return True

    def busy(self, agent: int) -> bool:
        """Whether ``agent`` owes an answer."""
        return agent in self._outstanding

    def postpone(self, seconds: float) -> None:
        """For ``seconds`` nothing could be received."""
        for one in self._outstanding.values():
            one.sent += seconds

    def answered(self, agent: int) -> None:
        """Nothing is outstanding at ``agent``: it answered, or it has gone."""
        self._outstanding.pop(agent, None)

    def due(self, now: float) -> list[tuple[int, int]]:
        """(agent, step) that are to be sent again now; their pauses double."""
        found = []
        for agent, one in sorted(self._outstanding.items()):
            if now - one.sent >= one.pause:
                one.sent, one.pause = now, min(2 * one.pause, LONGEST_PAUSE_SECONDS)
                found.append((agent, one.step))
        return found
