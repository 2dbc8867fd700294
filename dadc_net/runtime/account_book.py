"""The account book of one party: a digest of everything it did, step by step, in one SQLite file.

    agents    per record: chain head, parameters, AIS, prescription and what was sent; per update: every tensor
    server    per record: chain head, and what each agent answered

Rows are written in groups, one transaction per update, so that the book costs a few microseconds a step. WAL mode
survives kill -9 of the process. ``close`` folds the WAL in, so that a clean end leaves one file that can be copied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dadc_net.errors import CorruptStateError
from dadc_net.exact.digest import DIGEST_BYTES
from dadc_net.node.messages import Act

if TYPE_CHECKING:
    # For the types only: the server keeps a book too, and has no use for the learner and its libraries.
    from dadc_net.node.replica import StepAccount

BOOK_NAME = "accounts.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
    step INTEGER PRIMARY KEY, head BLOB, parameters BLOB, ais BLOB, prescription BLOB, sent BLOB
);
CREATE TABLE IF NOT EXISTS updates (number INTEGER PRIMARY KEY, step INTEGER, learner BLOB, tensors BLOB);
CREATE TABLE IF NOT EXISTS answers (step INTEGER, agent INTEGER, sent BLOB, learner BLOB, PRIMARY KEY (step, agent));
"""


class UpdateRow(NamedTuple):
    """One update in an agent's book."""

    number: int
    step: int
    learner: bytes
    tensors: dict[str, bytes]


class AccountBook:
    """Appends to the book of one party."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Open a new book in ``folder``; ``facts`` (JSON data) say whose it is and of which run."""
        self.path = folder / BOOK_NAME
        for stale in (self.path, *(self.path.with_name(BOOK_NAME + suffix) for suffix in ("-wal", "-shm"))):
            stale.unlink(missing_ok=True)
        self._database = sqlite3.connect(self.path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)
        self._steps: list[tuple[Any, ...]] = []
        self._updates: list[tuple[Any, ...]] = []
        self._answers: list[tuple[Any, ...]] = []
        self._names_written = False
        for name, value in facts.items():
            self.note(name, value)

    def note(self, name: str, value: Any) -> None:
        """Write one fact (JSON data)."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def add_account(self, account: StepAccount) -> None:
        """An agent's account of one record; written at the next update or ``flush``."""
        self._steps.append(
            (
                account.step,
                account.head,
                account.parameters,
                account.ais,
                account.prescription,
                account.step_digest,
            )
        )
        if account.update is None:
            return
        report = account.update
        if not self._names_written:
            self.note("tensors", list(report.tensors))
            self._names_written = True
        self._updates.append((report.update, account.step, report.digest, b"".join(report.tensors.values())))
        self.flush()

    def add_answers(self, step: int, head: bytes, answers: Mapping[int, Act], closes: bool) -> None:
        """What the server got for one record; ``closes``: the record closed a batch, so the group is written."""
        self._steps.append((step, head, None, None, None, None))
        self._answers += [(step, agent, act.digest, act.update_digest) for agent, act in sorted(answers.items())]
        if closes:
            self.flush()

    def flush(self) -> None:
        """Write what is pending in one transaction."""
        if not (self._steps or self._updates or self._answers):
            return
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", self._steps)
        self._database.executemany("INSERT INTO updates VALUES (?, ?, ?, ?)", self._updates)
        self._database.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", self._answers)
        self._database.execute("COMMIT")
        self._steps, self._updates, self._answers = [], [], []

    def close(self) -> None:
        """Write what is pending and leave a single file."""
        self.flush()
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.execute("PRAGMA journal_mode=DELETE")
        self._database.close()


class BookReader:
    """Reads a book, as the checker does; the party may still be writing."""

    def __init__(self, folder: Path) -> None:
        """Open the book in ``folder``.

        Raises:
            CorruptStateError: if there is none, or it is not a readable book.
        """
        self.path = folder / BOOK_NAME
        if not self.path.is_file():
            raise CorruptStateError(
                f"{folder} holds no {BOOK_NAME}. A party's folder has one from its first step on. "
                "Give the folder of a run, or the folders of its parties."
            )
        if self.path.stat().st_size == 0:
            raise CorruptStateError(f"{self.path} is empty. It was cut or copied while open. Copy the folder whole.")
        self._database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            rows = self._database.execute("SELECT name, value FROM facts").fetchall()
        except sqlite3.DatabaseError as error:
            raise CorruptStateError(
                f"{self.path} cannot be read: {error}. The file is damaged, or its -wal file was not copied with it. "
                "Copy the party's folder whole."
            ) from error
        self.facts: dict[str, Any] = {name: json.loads(value) for name, value in rows}

    def steps(self) -> Iterator[tuple[Any, ...]]:
        """(step, chain head, digests of parameters, AIS and prescription, digest sent) in order."""
        yield from self._database.execute("SELECT * FROM steps ORDER BY step")

    def answers(self, agent: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(step, sent digest, learner digest) of one agent in the server's book, in order."""
        query = "SELECT step, sent, learner FROM answers WHERE agent = ? ORDER BY step"
        yield from self._database.execute(query, (agent,))

    def updates(self) -> Iterator[UpdateRow]:
        """An agent's updates in order."""
        names = self.facts.get("tensors", [])
        for number, step, learner, packed in self._database.execute("SELECT * FROM updates ORDER BY number"):
            parts = [packed[i : i + DIGEST_BYTES] for i in range(0, len(packed), DIGEST_BYTES)]
            yield UpdateRow(number, step, learner, dict(zip(names, parts, strict=True)))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
