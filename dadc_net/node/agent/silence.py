"""An agent's doubts about its connection: when to give a sign of life, when to connect anew, when to give up.

The transport reconnects without a word, or believes for ever in a connection that is dead. The server says something at
least once a second; silence is therefore the one symptom that every failure has in common.
"""

from __future__ import annotations

from enum import Enum

BEAT_SECONDS = 1.0
DOUBT_SECONDS = 6.0


class Verdict(Enum):
    """What silence means by now."""

    CALM = "calm"
    BEAT = "beat"
    """Say something: a server that does not know the connection will ask who is there."""
    DOUBT = "doubt"
    """Close the connection, make a new one, join again."""
    LOST = "lost"
    """The server has been gone for as long as the agent is willing to wait."""


class SilenceWatch:
    """Times are monotonic seconds."""

    def __init__(self, patience_s: float) -> None:
        """``patience_s``: how long a lost server is waited for."""
        self.patience_s = patience_s
        self.last = 0.0
        """When the server said something last, monotonic s; to be set by whoever hears it."""
        self._beat = 0.0
        self._doubted = 0.0

    def heard(self, now: float) -> None:
        """The server said something."""
        self.last = now

    def silent(self, now: float) -> float:
        """Seconds since then."""
        return now - self.last

    def look(self, now: float) -> Verdict:
        """The verdict; asking again at once is calm."""
        if now - self.last >= self.patience_s:
            return Verdict.LOST
        if now - max(self.last, self._doubted) >= DOUBT_SECONDS:
            self._doubted = self._beat = now
            return Verdict.DOUBT
        if now - max(self.last, self._beat) >= BEAT_SECONDS:
            self._beat = now
            return Verdict.BEAT
        return Verdict.CALM
