"""Whom the server may ask for a sign of life: nobody who has not answered the last question, however long that takes.

An agent may compute for minutes without reading; questions must not pile up in front of it meanwhile. One that is silent
is asked again after pauses that double, because a question may be lost and because only sending finds out that a
connection has gone.
"""

from __future__ import annotations

from dataclasses import dataclass

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class Question:
    """The last Probe that an agent was sent."""

    sent: float
    pause: float = PAUSE_SECONDS
    answered: bool = False


class Probing:
    """By agent."""

    def __init__(self) -> None:
        self._questions: dict[int, Question] = {}
        self.unanswered: set[int] = set()
        """Agents that were asked and have said nothing since."""

    def ask(self, agent: int, now: float) -> bool:
        """Whether ``agent`` may be asked now; if so, it counts as asked."""
        last = self._questions.get(agent)
        pause = PAUSE_SECONDS if last is None or last.answered else min(2 * last.pause, LONGEST_PAUSE_SECONDS)
        if last is not None and now - last.sent < pause:
            return False
        self._questions[agent] = Question(now, pause)
        self.unanswered.add(agent)
        return True

    def heard(self, agent: int) -> None:
        """``agent`` said something."""
        if agent in self.unanswered:
            self._questions[agent].answered = True
            self.unanswered.discard(agent)

    def forget(self, agent: int) -> None:
        """Another process has its place, or nobody."""
        self._questions.pop(agent, None)
        self.unanswered.discard(agent)
