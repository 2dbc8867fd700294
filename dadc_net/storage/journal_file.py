"""The file behind a journal: one SQLite database per party, in WAL mode, readable by its owner alone.

Format 4. ``facts`` holds JSON values by name: format, agent (0: the server), run_id, epoch, settings, settings_digest,
last_step, state (running or finished), learner_digest, host, and what else a party wants to remember.

    every party    records       step, head, common              the common log, byte for byte, and its chain
    server         observations_k  step, observation, checked   what agent k alone was told
                   answers_k     step, actions, step_digest, learner_digest, checked       what agent k answered
                   worlds        step, state, checked            state of the environment after that record
    agent          private       step, observation, actions, checked                        its own, nobody else's
                   steps         step, parameters, ais, prescription, step_digest, checked
                   updates       step, number, learner_digest, tensors, checked     tensors: a digest each, names in
                                                                                    facts.tensors

Common and private data are different tables of one file, and so are the private data of different agents: tables, so that a
question about the common log, or about one agent, cannot reach what is another's; one file, so that one transaction covers
them. ``checked`` is ``node.rows.row_check`` of step and columns.

The newest rows of the server are in a file beside its database, ``journal.sqlite-tail`` (``server_journal`` says why,
``tail_file`` and ``tail_entry`` how). It is there as long as the server has the journal open.

Modes. ``process``: what was written survives kill -9 of the process, not a loss of power. ``host``: it is synced to the
disk before it counts. Both keep the file consistent. SQLite does not see a rotten page, and drops the end of a WAL with a
bad checksum without a word: therefore checks in every row, the chain, and agents that remember where the log ended.

A clean ``close`` leaves a single file that can be copied. One that was copied while its party ran, without the -wal file or
the tail, is refused by ``refuse_without``: its rows would end too early and nobody would notice.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.atomic_file import replacing, sync_folder
from dadc_net.descriptors import for_files, opened
from dadc_net.errors import CorruptStateError, TemporaryError, UsageError
from dadc_net.exact.digest import GENESIS, chain
from dadc_net.node.record import Record
from dadc_net.storage.tail_file import TAIL_SUFFIX

JOURNAL_NAME = "journal.sqlite"
WAL_SUFFIX = "-wal"
FORMAT = 4
_SYNCHRONOUS = {"process": "NORMAL", "host": "FULL"}
_WAL_PAGES = 4000
"""Pages (4 KiB) after which SQLite folds the WAL into the database. That syncs, so it should be rare."""
_WAL_VERSION = 2
"""Byte 18 of a database header that is in WAL mode."""
_COMMON_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (step INTEGER PRIMARY KEY, head BLOB NOT NULL, common BLOB NOT NULL);
"""


class JournalFile:
    """One open database: transactions, facts and the common log."""

    def __init__(self, folder: Path, mode: str = "process") -> None:
        """Nothing is opened before ``create`` or ``open``."""
        self.path = folder / JOURNAL_NAME
        self.facts: dict[str, Any] = {}
        self._mode = mode
        self._connection: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a journal to open."""
        return self.path.is_file()

    def create(self, schema: str, facts: Mapping[str, Any]) -> None:
        """Make the database with ``schema`` and ``facts``, whole or not at all; ``open`` comes next.

        Raises:
            CorruptStateError: if the log or the tail of a former one lies there: it would be played into the new one.
            TemporaryError: if the disk refuses.
        """
        for suffix in (WAL_SUFFIX, TAIL_SUFFIX):
            left = self.path.with_name(JOURNAL_NAME + suffix)
            if left.exists():
                raise CorruptStateError(
                    f"{left} is there, but {self.path} is not. A part of the state folder was removed, and the run in it "
                    "must not be begun anew unnoticed. Restore the folder whole from a copy, or move it away."
                )
        values = {"format": FORMAT, **facts}
        with Translated(self.path), replacing(self.path) as temporary:
            made = sqlite3.connect(temporary, isolation_level=None)
            made.executescript(_COMMON_SCHEMA + schema)
            made.executemany("INSERT INTO facts VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()])
            made.close()

    def open(self) -> None:
        """Open what is there, and read the facts.

        Raises:
            CorruptStateError: if it is not a readable journal of this format.
        """
        with for_files():
            self._connection = sqlite3.connect(self.path, isolation_level=None)
        with Translated(self.path), for_files():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[self._mode]}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            self.facts = read_facts(self._connection)
        refuse_format(self.path, self.facts)

    @property
    def database(self) -> sqlite3.Connection:
        """The open database."""
        if self._connection is None:
            raise CorruptStateError(f"{self.path} is not open. Nothing was read. Open it first.")
        return self._connection

    def transact(self, statements: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
        """Run each statement with each of its rows, all in one transaction, or nothing.

        Raises:
            TemporaryError: if the disk is full or fails; nothing was written, and the caller must not go on.
        """
        with Translated(self.path):
            execute, many = self.database.execute, self.database.executemany
            execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in statements:
                    many(statement, rows)
                execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:
                    execute("ROLLBACK")
                raise

    def query(self, statement: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        """The first row of an answer, or None."""
        return next(iter(self.rows(statement, values)), None)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer, from tables other than facts."""
        with Translated(self.path):
            return list(typed_rows(self.database, statement, values))

    def note(self, name: str, value: Any) -> None:
        """Write one fact (JSON data)."""
        self.transact([("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(name, json.dumps(value))])])
        self.facts[name] = value

    def sync(self) -> None:
        """Make everything so far survive a loss of power.

        A checkpoint, SQLite's own way, leaves out what a reader such as ``dadc check`` holds up. SQLite locks other files.
        """
        with Translated(self.path):
            log = opened(self.path.with_name(JOURNAL_NAME + WAL_SUFFIX), os.O_RDONLY)
            try:
                os.fsync(log)
            finally:
                os.close(log)
            sync_folder(self.path.parent)

    @property
    def tip(self) -> int:
        """Number of the last record of the common log, -1 before the first."""
        found = self.query("SELECT step FROM records ORDER BY step DESC LIMIT 1")
        return -1 if found is None else int(found[0])

    def record(self, step: int, previous: bytes | None = None) -> Record | None:
        """Record ``step``, checked against the head before it; None where there is none.

        ``previous`` is that head, where the caller knows a newer one than the file.

        Raises:
            CorruptStateError: naming the file and the step.
        """
        found = self.query("SELECT head, common FROM records WHERE step = ?", (step,))
        if found is None:
            return None
        if previous is None:
            before = self.query("SELECT head FROM records WHERE step = ?", (step - 1,))
            previous = GENESIS if step == 0 else b"" if before is None else before[0]
        if not continues(previous, found[1], found[0]):
            raise rotten(self.path, "records", step)
        head, common = found
        return Record(step, head, common)

    def close(self) -> bool:
        """Leave a single file, and say whether that was possible. Can be called twice."""
        if self._connection is None:
            return True
        connection, self._connection = self._connection, None
        with for_files():
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
                return mode in ("delete", b"delete")
            except sqlite3.Error:
                return False  # A full disk, or a checker that reads: the -wal file stays beside it, and nothing is lost.
            finally:
                connection.close()


_NUMBERS = ("step", "number")
"""Columns of numbers; all others hold bytes."""
_NO_MEMORY = "a row would need more memory than there is"


def typed_rows(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows of one table other than facts. What a row holds is told to nobody: it may be one agent's alone.

    Raises:
        sqlite3.DatabaseError: at a row with a column of another type, or with wrong lengths.
    """
    connection.text_factory = bytes  # A type that has rotted is no reason to decode, and the row's check sees the rest.
    try:
        cursor = connection.execute(statement, values)
        names = [name for name, *_ in cursor.description]
        kinds = [int if name in _NUMBERS else bytes for name in names]
        for row in cursor:
            if list(map(type, row)) != kinds:
                wrong = next(place for place, kind in enumerate(kinds) if type(row[place]) is not kind)
                raise sqlite3.DatabaseError(f"the column {names[wrong]} of a row holds {type(row[wrong]).__name__}")
            yield row
    except MemoryError as error:
        raise sqlite3.DatabaseError(_NO_MEMORY) from error


class Translated:
    """Turns errors of SQLite and of the disk, at the file ``path``, into ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if getattr(error, "sqlite_errorname", "").startswith(_NO_SHARED_MAP):
            raise UsageError(
                f"{self._path.parent} lies on a file system without shared memory maps ({error}), which a journal needs. "
                "Nothing was sent that is not written down. Give a folder on a local file system with --state-dir or --out; "
                "a run that is in this one goes on in a copy of the folder."
            ) from error
        if isinstance(error, sqlite3.OperationalError | OSError):
            raise TemporaryError(
                f"{self._path} cannot be written or read: {error}. Nothing was sent that is not written down. Make room on "
                f"the volume of {self._path.parent}, or look at its disk, then start the same command again."
            ) from error
        if isinstance(error, sqlite3.DatabaseError):
            raise CorruptStateError(
                f"{self._path} cannot be read: {error}. The file is damaged, or its -wal file was not copied with "
                "it. Restore the party's folder whole from a copy."
            ) from error


class Facts(dict[str, Any]):
    """The facts of a journal, or what is inside one; they have no check, so a name can rot and be missing."""

    def __missing__(self, name: str) -> Any:
        raise CorruptStateError(
            f"a journal does not state {name!r} of its run, which every journal of this version does. Its table facts is "
            "damaged, and nothing was used. Restore the party's folder whole from a copy."
        )


_NO_SHARED_MAP = "SQLITE_IOERR_SHM"
"""How SQLite's names of errors begin where the index of a write-ahead log cannot be mapped: no room helps."""
_HEX_DIGITS = frozenset("0123456789abcdef")
_HEX = ("run_id", "settings_digest", "environment", "commitment", "private_commitment", "learner_digest")
_FACT_TYPES: dict[str, type] = {
    **dict.fromkeys(("agent", "num_agents", "epoch", "last_step"), int),
    **dict.fromkeys((*_HEX, "state"), str),
    **dict.fromkeys(("settings", "structure", "family", "observation_space", "action_space"), dict),
    **dict.fromkeys(("confirmed", "learner_digests"), list),
}


def read_facts(connection: sqlite3.Connection) -> Facts:
    """All facts. Raises sqlite3.DatabaseError if one of them is no JSON any more, or of another type."""
    try:
        connection.text_factory = bytes
        rows = connection.execute("SELECT name, value FROM facts")
        facts = Facts((name.decode("utf-8"), json.loads(value, object_hook=Facts)) for name, value in rows)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise sqlite3.DatabaseError(f"a fact is no JSON: {error}") from error
    except MemoryError as error:
        raise sqlite3.DatabaseError(_NO_MEMORY) from error
    for name, kind in _FACT_TYPES.items():
        value = facts.get(name)
        if name in facts and (not isinstance(value, kind) or isinstance(value, bool) or not _is_hex(name, value)):
            raise sqlite3.DatabaseError(f"the fact {name} is {repr(value)[:80]}")
    if not isinstance(facts.get("team", Facts()), dict):
        raise sqlite3.DatabaseError(f"the fact team is {repr(facts['team'])[:80]}")
    return facts


def _is_hex(name: str, value: Any) -> bool:
    texts = value if name == "learner_digests" else [value] if name in _HEX else []
    return all(isinstance(text, str) and len(text) % 2 == 0 and _HEX_DIGITS.issuperset(text) for text in texts)


def refuse_format(path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a journal that another version wrote.

    Raises:
        CorruptStateError: if so.
    """
    if facts.get("format") != FORMAT:
        raise CorruptStateError(
            f"{path} has the format {facts.get('format')!r}, this version reads {FORMAT}. Nothing was changed. Use the "
            "version of dadc-net that wrote it, or another folder."
        )


def continues(previous: object, common: object, head: object) -> bool:
    """Whether ``head`` is the chain hash of ``common`` after ``previous``; a byte can rot into another type."""
    return isinstance(previous, bytes) and isinstance(common, bytes) and chain(previous, common) == head


def rotten(path: Path, table: str, step: int) -> CorruptStateError:
    """The error of a row that fails its check."""
    return CorruptStateError(
        f"{path} is damaged: the row of record {step} in table {table} does not have the check that it states. It was not "
        "used. Restore the party's folder from a copy, or move it away and start again with an empty one."
    )


def refuse_without(path: Path, suffix: str) -> None:
    """Refuse a database that was left open and whose file with ``suffix`` is missing: its last rows are in that file.

    Raises:
        CorruptStateError: if so.
    """
    beside = path.with_name(path.name + suffix)
    if beside.exists():
        return
    with open(path, "rb") as file:
        header = file.read(20)
    if len(header) == 20 and header[18] == _WAL_VERSION and not beside.exists():  # It may have been opened just now.
        raise CorruptStateError(
            f"{path} was copied while its party was running, without the file {path.name}{suffix}. Its last rows are "
            "missing. Copy the party's folder whole."
        )
