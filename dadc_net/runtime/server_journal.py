"""The environment server's journal in SQLite: one transaction per lock-step, on the critical path of every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError
from dadc_net.node.journal import Arrays, Round, ServerRow, row_check
from dadc_net.runtime import arrays_file
from dadc_net.runtime.journal_file import JournalFile, rotten

_SCHEMA = """
CREATE TABLE observations (step INTEGER PRIMARY KEY, parts BLOB NOT NULL, checked BLOB NOT NULL);
CREATE TABLE answers (
    step INTEGER PRIMARY KEY, actions BLOB NOT NULL, sent BLOB NOT NULL, learner BLOB NOT NULL, checked BLOB NOT NULL
);
CREATE TABLE worlds (step INTEGER PRIMARY KEY, state BLOB NOT NULL, checked BLOB NOT NULL);
"""
_COMMON = "INSERT OR REPLACE INTO common VALUES (?, ?, ?)"
_OBSERVATIONS = "INSERT OR REPLACE INTO observations VALUES (?, ?, ?)"
_ANSWERS = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)"
_WORLD = "INSERT OR REPLACE INTO worlds VALUES (?, ?, ?)"
_WORLDS_KEPT = 2


class ServerJournalFile:
    """Satisfies ``node.journal.ServerJournal``."""

    def __init__(self, folder: Path, num_agents: int, mode: str) -> None:
        self._file = JournalFile(folder, mode)
        self._num_agents = num_agents

    def open_or_create(self, facts: Mapping[str, Any]) -> bool:
        """Open the journal, or begin one with ``facts``; whether it was there.

        Raises:
            CorruptStateError: if it cannot be read.
        """
        if self._file.exists:
            self._file.open()
            return True
        self._file.create(_SCHEMA, facts)
        return False

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run."""
        return self._file.facts

    @property
    def tip(self) -> int:
        """Number of the last record, -1 before the first."""
        return self._file.tip

    def row(self, step: int) -> ServerRow | None:
        """Record ``step``, checked."""
        common = self._file.common(step)
        found = self._file.query("SELECT parts, checked FROM observations WHERE step = ?", (step,))
        if common is None or found is None:
            return None
        parts, check = found
        if row_check(step, parts) != check:
            raise rotten(self._file.path, "observations", step)
        return ServerRow(common, split(parts, self._num_agents))

    def round(self, step: int) -> Round | None:
        """The answers to record ``step``, checked."""
        found = self._file.query("SELECT actions, sent, learner, checked FROM answers WHERE step = ?", (step,))
        if found is None:
            return None
        actions, sent, learner, check = found
        if row_check(step, actions, sent, learner) != check:
            raise rotten(self._file.path, "answers", step)
        agents = self._num_agents
        return Round(step, split(actions, agents), split(sent, agents), split(learner, agents))

    def commit(self, answers: Round | None, row: ServerRow | None, world: Arrays | None) -> None:
        """One transaction: answers to record t, record t+1, state of the environment after it."""
        statements: list[tuple[str, list[tuple[Any, ...]]]] = []
        if answers is not None:
            parts = [b"".join(answers.actions), b"".join(answers.digests), b"".join(answers.update_digests)]
            statements.append((_ANSWERS, [(answers.step, *parts, row_check(answers.step, *parts))]))
        if row is not None:
            step = row.common.step
            observations = b"".join(row.observations)
            statements.append((_COMMON, [row.common]))
            statements.append((_OBSERVATIONS, [(step, observations, row_check(step, observations))]))
            if world is not None:
                state = arrays_file.pack(world, {"step": step})
                statements.append((_WORLD, [(step, state, row_check(step, state))]))
                kept = "SELECT step FROM worlds ORDER BY step DESC LIMIT ?"
                statements.append((f"DELETE FROM worlds WHERE step NOT IN ({kept})", [(_WORLDS_KEPT,)]))
        self._file.transact(statements)

    def worlds(self) -> Sequence[int]:
        """Records after which the environment's state was kept, newest first."""
        rows = self._file.database.execute("SELECT step FROM worlds ORDER BY step DESC").fetchall()
        return [int(step) for (step,) in rows]

    def world(self, step: int) -> Arrays:
        """The environment's state after record ``step``, checked."""
        found = self._file.query("SELECT state, checked FROM worlds WHERE step = ?", (step,))
        if found is None or row_check(step, found[0]) != found[1]:
            raise rotten(self._file.path, "worlds", step)
        arrays, _ = arrays_file.unpack(found[0], f"{self._file.path}, world {step}")
        return arrays

    def note(self, name: str, value: Any) -> None:
        """Write one fact."""
        self._file.note(name, value)

    def sync(self) -> None:
        """Make everything so far survive a loss of power."""
        self._file.sync()

    def close(self) -> None:
        """Leave a single file."""
        self._file.close()


def split(joined: bytes, count: int) -> tuple[bytes, ...]:
    """K equal parts."""
    size, rest = divmod(len(joined), count)
    if rest:
        raise CorruptStateError(f"{len(joined)} bytes of a journal row are not {count} equal parts. It was not used.")
    return tuple(joined[k * size : (k + 1) * size] for k in range(count))
