"""Journals that forget with their process: for measuring what the real ones cost, and for nothing else.

They keep the newest rows only, as many as a living team can ask for. A run on them does not survive a killed process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError
from dadc_net.node.rows import AgentRow, Answers, Arrays, ServerRow
from dadc_net.storage.journals import Journals

_ROWS_KEPT = 256


class MemoryServerJournal:
    """Satisfies ``node.rows.ServerJournal``; made like ``ServerJournalFile``."""

    def __init__(self, folder: Path, num_agents: int, mode: str) -> None:
        self.facts: dict[str, Any] = {}
        self.tip = -1
        self._rows: dict[int, ServerRow] = {}
        self._answers: dict[int, Answers] = {}

    def open_or_create(self, facts: Mapping[str, Any]) -> bool:
        """There is never one to open."""
        self.facts = dict(facts)
        return False

    def row(self, step: int) -> ServerRow | None:
        """Record ``step``, while it is kept."""
        return self._rows.get(step)

    def answers(self, step: int) -> Answers | None:
        """The answers to record ``step``, while they are kept."""
        return self._answers.get(step)

    def commit(self, answers: Answers | None, row: ServerRow | None, world: Arrays | None) -> None:
        """Keep them; the state of the environment is of no use."""
        if answers is not None:
            self._answers[answers.step] = answers
            self._answers.pop(answers.step - _ROWS_KEPT, None)
        if row is not None:
            self.tip = row.common.step
            self._rows[self.tip] = row
            self._rows.pop(self.tip - _ROWS_KEPT, None)

    def settle(self) -> None:
        """Nothing waits."""

    def worlds(self) -> Sequence[int]:
        """None."""
        return ()

    def world(self, step: int) -> Arrays:
        """Raises CorruptStateError: nothing was kept."""
        raise _forgotten(step)

    def note(self, name: str, value: Any) -> None:
        """Keep one fact."""
        self.facts[name] = value

    def sync(self) -> None:
        """There is no disk."""

    def close(self) -> None:
        """Nothing is left behind."""


class MemoryAgentJournal:
    """Satisfies ``node.rows.AgentJournal``; made like ``AgentJournalFile``."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.facts: dict[str, Any] = {}
        self.tip = -1
        self._rows: dict[int, AgentRow] = {}

    def create(self, facts: Mapping[str, Any]) -> None:
        """Begin."""
        self.facts = dict(facts)

    def row(self, step: int) -> AgentRow | None:
        """Record ``step``, while it is kept."""
        return self._rows.get(step)

    def write(self, rows: Sequence[AgentRow]) -> None:
        """Keep rows."""
        for row in rows:
            self.tip = max(self.tip, row.step)
            self._rows[row.step] = row
            self._rows.pop(row.step - _ROWS_KEPT, None)

    def note(self, name: str, value: Any) -> None:
        """Keep one fact."""
        self.facts[name] = value

    def checkpoints(self) -> Sequence[int]:
        """None."""
        return ()

    def load(self, step: int) -> tuple[Arrays, Mapping[str, Any]]:
        """Raises CorruptStateError: nothing was kept."""
        raise _forgotten(step)

    def save(self, step: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Not kept."""

    def sync(self) -> None:
        """There is no disk."""

    def close(self) -> None:
        """Nothing is left behind."""


def _forgotten(step: int) -> CorruptStateError:
    return CorruptStateError(f"the state after record {step} was not kept: this run has no journal. Run it with one.")


IN_MEMORY = Journals(MemoryServerJournal, MemoryAgentJournal)
