"""One agent's journal in SQLite and its checkpoints beside it: all that an agent needs to come back.

Rows are written in groups, after the answers were sent: a killed agent may lack the last group, and the server sends those
records again. Nothing here is on the critical path of a step.

    journal.sqlite            common log, own observations and actions, accounts (``journal_file`` has the format)
    checkpoint-STEP.arrays    the state after record STEP: learner, local memory; the last two are kept
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError, TemporaryError
from dadc_net.exact.digest import DIGEST_BYTES
from dadc_net.node.rows import AgentRow, Arrays, UpdateRow, row_check
from dadc_net.storage import arrays_file
from dadc_net.storage.journal_file import JournalFile, rotten

_SCHEMA = """
CREATE TABLE private (step INTEGER PRIMARY KEY, observation BLOB NOT NULL, actions BLOB NOT NULL, checked BLOB NOT NULL);
CREATE TABLE steps (
    step INTEGER PRIMARY KEY, parameters BLOB NOT NULL, ais BLOB NOT NULL, prescription BLOB NOT NULL,
    sent BLOB NOT NULL, checked BLOB NOT NULL
);
CREATE TABLE updates (
    step INTEGER PRIMARY KEY, number INTEGER NOT NULL, learner BLOB NOT NULL, tensors BLOB NOT NULL, checked BLOB NOT NULL
);
"""
_COMMON = "INSERT OR REPLACE INTO common VALUES (?, ?, ?)"
_PRIVATE = "INSERT OR REPLACE INTO private VALUES (?, ?, ?, ?)"
_STEPS = "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)"
_UPDATES = "INSERT OR REPLACE INTO updates VALUES (?, ?, ?, ?, ?)"
_KEPT = 2
_PREFIX, _SUFFIX = "checkpoint-", ".arrays"


class AgentJournalFile:
    """Satisfies ``node.rows.AgentJournal``."""

    def __init__(self, folder: Path, mode: str) -> None:
        """Opens the journal, if there is one.

        Raises:
            CorruptStateError: if it cannot be read.
        """
        self.folder = folder
        self._file = JournalFile(folder, mode)
        if self._file.exists:
            self._file.open()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run; empty before ``create``."""
        return self._file.facts

    @property
    def tip(self) -> int:
        """Number of the last record, -1 before the first."""
        return self._file.tip if self._file.facts else -1

    def create(self, facts: Mapping[str, Any]) -> None:
        """Begin a journal."""
        self._file.create(_SCHEMA, facts)
        self._file.open()

    def row(self, step: int) -> AgentRow | None:
        """Record ``step``, every part of it checked."""
        file = self._file
        common = file.common(step)
        private = file.query("SELECT observation, actions, checked FROM private WHERE step = ?", (step,))
        account = file.query("SELECT parameters, ais, prescription, sent, checked FROM steps WHERE step = ?", (step,))
        if common is None or private is None or account is None:
            return None
        for table, found in (("private", private), ("steps", account)):
            if row_check(step, *found[:-1]) != found[-1]:
                raise rotten(file.path, table, step)
        (observation, actions, _), (parameters, ais, prescription, sent, _) = private, account
        return AgentRow(common, observation, actions, parameters, ais, prescription, sent, self._update(step))

    def _update(self, step: int) -> UpdateRow | None:
        found = self._file.query("SELECT number, learner, tensors, checked FROM updates WHERE step = ?", (step,))
        if found is None:
            return None
        number, learner, packed, check = found
        if row_check(step, learner, packed) != check:
            raise rotten(self._file.path, "updates", step)
        return UpdateRow(number, step, learner, unpack_tensors(self.facts, packed))

    def write(self, rows: Sequence[AgentRow]) -> None:
        """One transaction."""
        if any(row.update is not None for row in rows) and "tensors" not in self.facts:
            first = next(row.update for row in rows if row.update is not None)
            self.note("tensors", list(first.tensors))
        private, steps, updates = [], [], []
        for row in rows:
            step = row.step
            account = (row.parameters, row.ais, row.prescription, row.sent)
            private.append((step, row.observation, row.actions, row_check(step, row.observation, row.actions)))
            steps.append((step, *account, row_check(step, *account)))
            if row.update is not None:
                learner, packed = row.update.learner, b"".join(row.update.tensors.values())
                updates.append((step, row.update.number, learner, packed, row_check(step, learner, packed)))
        common = [row.common for row in rows]
        self._file.transact([(_COMMON, common), (_PRIVATE, private), (_STEPS, steps), (_UPDATES, updates)])

    def note(self, name: str, value: Any) -> None:
        """Write one fact."""
        self._file.note(name, value)

    def sync(self) -> None:
        """Make everything so far survive a loss of power."""
        self._file.sync()

    def checkpoints(self) -> Sequence[int]:
        """Records after which the state was kept, newest first."""
        return checkpoint_steps(self.folder)

    def load(self, step: int) -> tuple[Arrays, Mapping[str, Any]]:
        """State and meta data after record ``step``."""
        return arrays_file.load(checkpoint_path(self.folder, step))

    def save(self, step: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Keep the state after record ``step``; older ones than the last two go.

        Raises:
            TemporaryError: if it cannot be written; the older ones are still there.
        """
        path = checkpoint_path(self.folder, step)
        try:
            arrays_file.save(path, arrays, meta)
        except OSError as error:
            raise TemporaryError(
                f"the checkpoint {path} cannot be written: {error.strerror}. The ones before it are intact. Make room on "
                f"the volume of {self.folder}."
            ) from error
        for old in checkpoint_steps(self.folder)[_KEPT:]:
            checkpoint_path(self.folder, old).unlink(missing_ok=True)

    def close(self) -> None:
        """Leave a single file."""
        self._file.close()


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the state after record ``step`` is kept."""
    return folder / f"{_PREFIX}{step:012d}{_SUFFIX}"


def checkpoint_steps(folder: Path) -> list[int]:
    """Records after which a state was kept, newest first; damaged ones included."""
    found = []
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(ValueError):
            found.append(int(path.name[len(_PREFIX) : -len(_SUFFIX)]))
    return sorted(found, reverse=True)


def unpack_tensors(facts: Mapping[str, Any], packed: bytes) -> dict[str, bytes]:
    """Tensor name -> digest, of a row of ``updates``."""
    names: list[str] = facts.get("tensors", [])
    parts = [packed[i : i + DIGEST_BYTES] for i in range(0, len(packed), DIGEST_BYTES)]
    if len(names) != len(parts):
        raise CorruptStateError(
            f"a row of updates holds {len(parts)} digests, but the journal names {len(names)} tensors. It was not used. "
            "Restore the party's folder from a copy."
        )
    return dict(zip(names, parts, strict=True))
