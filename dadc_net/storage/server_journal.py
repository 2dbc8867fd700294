"""The environment server's journal: a tail, written at every lock-step, and a database, written in groups.

Every lock-step waits for its record to be written down. A transaction of SQLite costs several times what the appending of
one entry to a file does, so the entry in the tail *is* the transaction: answers to record t, record t+1 and the state of
the environment after it, whole or not at all. Some hundreds of entries later, while the agents compute and nobody waits for
the server (``settle``), their rows go into the database in one transaction, and then the tail is cut. Killed in between,
the server finds in the tail what the database has already, and puts it there again: rows replace what has their place.

    journal.sqlite         all but the newest rows (``journal_file`` has the format)
    journal.sqlite-tail    the newest entries, in order (``tail_file``, ``tail_entry``); there while the journal is open

A torn entry at the end never counted. A rotten one in the middle is passed over when the server comes back, and said; the
answers that it held are asked of the agents, as those of a rotten row are. ``dadc check`` refuses it. In mode ``process``
a loss of power can take a group out of the database and leave younger entries in the tail: a hole, treated alike.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dadc_net.errors import DadcError
from dadc_net.node.rows import Answers, Arrays, ServerRow, row_check
from dadc_net.storage import arrays_file
from dadc_net.storage.journal_file import JournalFile, Translated, rotten
from dadc_net.storage.tail_entry import TailEntry, answers_of, observations_of
from dadc_net.storage.tail_file import Tail, TailFile, key_of, read_tail, tail_path

_OF_AN_AGENT = """
CREATE TABLE {observations} (step INTEGER PRIMARY KEY, observation BLOB NOT NULL, checked BLOB NOT NULL);
CREATE TABLE {answers} (
    step INTEGER PRIMARY KEY, actions BLOB NOT NULL, step_digest BLOB NOT NULL, learner_digest BLOB NOT NULL,
    checked BLOB NOT NULL
);
"""
_WORLDS = """
CREATE TABLE worlds (step INTEGER PRIMARY KEY, state BLOB NOT NULL, checked BLOB NOT NULL);
"""
_WORLDS_KEPT = 2
_OLD_WORLDS = "DELETE FROM worlds WHERE step NOT IN (SELECT step FROM worlds ORDER BY step DESC LIMIT ?)"
GROUP_ENTRIES = 256
_GROUP_BYTES = 4 * 2**20
_ENTRIES_MAX = 1024
"""How many entries wait at most where nobody calls ``settle``."""
_log = logging.getLogger(__name__)


class ServerJournalFile:
    """Satisfies ``node.rows.ServerJournal``."""

    def __init__(self, folder: Path, num_agents: int, mode: str) -> None:
        self._file = JournalFile(folder, mode)
        self._tail = TailFile(tail_path(self._file.path), mode == "host")
        self._translated = Translated(self._tail.path)
        self._agents = range(1, num_agents + 1)
        self._pending: list[TailEntry] = []
        """Entries of the tail that the database does not have yet."""
        self._made: dict[int, TailEntry] = {}
        """Record -> the pending entry that holds it."""
        self._answered: dict[int, TailEntry] = {}
        """Record -> the pending entry that holds the answers to it."""
        self._refused: DadcError | None = None
        """Why the disk took something no more; the next ``commit`` says so."""

    def open_or_create(self, facts: Mapping[str, Any]) -> bool:
        """Open the journal, or begin one with ``facts``; whether it was there.

        Raises:
            CorruptStateError: if it cannot be read.
            TemporaryError: if the disk refuses.
        """
        there = self._file.exists
        if not there:
            self._file.create(_schema(self._agents), facts)
        with self._translated:
            self._tail.open()  # Before the database: one that is open without a tail is refused by readers.
        self._file.open()
        self._tail.key = tail_key(self._file.facts)
        with self._translated:
            found = read_tail(self._tail.path, self._tail.key)
        if found.damage is not None:
            damage = describe_damage(self._tail.path, found, len(self._agents))
            _log.warning("%s; the answers that it held are asked of the agents", damage)
        self._pending = [TailEntry.unpack(body, len(self._agents)) for body in found.bodies]
        self._write_group()
        return there

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run."""
        return self._file.facts

    @property
    def tip(self) -> int:
        """Number of the last record, -1 before the first."""
        return max((self._file.tip, *self._made))

    def row(self, step: int) -> ServerRow | None:
        """Record ``step``, checked."""
        if step in self._made:
            return self._made[step].row
        before = self._made.get(step - 1)
        record = self._file.record(step, None if before is None or before.row is None else before.row.record.head)
        if record is None:
            return None
        observations = [self._checked(observations_of(agent), "observation", step) for agent in self._agents]
        found = [columns[0] for columns in observations if columns is not None]
        return ServerRow(record, tuple(found)) if len(found) == len(self._agents) else None

    def answers(self, step: int) -> Answers | None:
        """The answers to record ``step``, checked."""
        if step in self._answered:
            return self._answered[step].answers
        rows = [self._checked(answers_of(agent), "actions, step_digest, learner_digest", step) for agent in self._agents]
        found = [row for row in rows if row is not None]
        return Answers(step, *zip(*found, strict=True)) if len(found) == len(self._agents) else None

    def _checked(self, table: str, columns: str, step: int) -> tuple[bytes, ...] | None:
        """These columns of record ``step`` in ``table``; None where it has no such row."""
        found = self._file.query(f"SELECT {columns}, checked FROM {table} WHERE step = ?", (step,))
        if found is not None and row_check(step, *found[:-1]) != found[-1]:
            raise rotten(self._file.path, table, step)
        return None if found is None else found[:-1]

    def commit(self, answers: Answers | None, row: ServerRow | None, world: Arrays | None) -> None:
        """One entry: answers to record t, record t+1, state of the environment after it.

        Raises:
            TemporaryError: if the disk refused it, or refused a group before; whoever is told so must not go on.
        """
        if self._refused is not None:
            raise self._refused
        state = b"" if row is None or world is None else arrays_file.pack(world, {"step": row.step})
        entry = TailEntry(answers, row, state)
        try:
            if len(self._pending) >= _ENTRIES_MAX:
                self._write_group()
            with self._translated:
                self._tail.append(entry.pack())
        except DadcError as error:
            self._refused = error
            raise
        self._pending.append(entry)
        if row is not None:
            self._made[row.step] = entry
        if answers is not None:
            self._answered[answers.step] = entry

    def settle(self) -> None:
        """Put a full group into the database; called when nobody waits. What is refused is said at the next ``commit``."""
        full = len(self._pending) >= GROUP_ENTRIES or self._tail.size >= _GROUP_BYTES
        if full and self._refused is None:
            try:
                self._write_group()
            except DadcError as error:
                self._refused = error

    def _write_group(self) -> None:
        """Put what is pending into the database, then cut the tail: in this order, nothing is nowhere."""
        if not self._tail.size:
            return
        rows: dict[str, list[tuple[int | bytes, ...]]] = {}
        for entry in self._pending:
            for table, row in entry.rows():
                rows.setdefault(table, []).append(row)
        statements: list[tuple[str, Sequence[tuple[Any, ...]]]] = [(_insert(t, rows[t][0]), rows[t]) for t in rows]
        if "worlds" in rows:
            statements.append((_OLD_WORLDS, [(_WORLDS_KEPT,)]))
        self._file.transact(statements)
        with self._translated:
            self._tail.cut()
        self._pending, self._made, self._answered = [], {}, {}

    def worlds(self) -> Sequence[int]:
        """Records after which the environment's state was kept, newest first."""
        rows = self._file.rows("SELECT step FROM worlds")
        pending = {step for step, entry in self._made.items() if entry.world}
        return sorted({int(step) for (step,) in rows} | pending, reverse=True)[:_WORLDS_KEPT]

    def world(self, step: int) -> Arrays:
        """The environment's state after record ``step``, checked."""
        state = self._made[step].world if step in self._made else b""
        if not state:
            found = self._file.query("SELECT state, checked FROM worlds WHERE step = ?", (step,))
            if found is None or row_check(step, found[0]) != found[1]:
                raise rotten(self._file.path, "worlds", step)
            state = found[0]
        arrays, _ = arrays_file.unpack(state, f"{self._file.path}, world {step}")
        return arrays

    def note(self, name: str, value: Any) -> None:
        """Write one fact, after all that came before it."""
        self._write_group()
        self._file.note(name, value)

    def sync(self) -> None:
        """Make everything so far survive a loss of power."""
        self._write_group()
        self._file.sync()

    def close(self) -> None:
        """Leave a single file; what the database does not take stays in the tail. Can be called twice."""
        if self._pending:
            try:
                self._write_group()
            except DadcError as error:
                _log.warning("%s", error)
        single = self._file.close()
        self._tail.close(remove=single and not self._tail.size)


def _schema(agents: Iterable[int]) -> str:
    """Two tables for each agent, and one for the environment's state."""
    own = [_OF_AN_AGENT.format(observations=observations_of(agent), answers=answers_of(agent)) for agent in agents]
    return "".join([*own, _WORLDS])


def _insert(table: str, row: Sequence[object]) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})"


def tail_key(facts: Mapping[str, Any]) -> int:
    """The key of the tail that belongs to a journal with these facts."""
    return key_of(str(facts.get("run_id")))


def describe_damage(path: Path, tail: Tail, num_agents: int) -> str:
    """File, byte and record of the damage in ``tail``, for a sentence."""
    if tail.damage is None:
        return f"{path} is whole"
    behind = TailEntry.unpack(tail.bodies[tail.damage.before], num_agents)
    return f"{path} is damaged at byte {tail.damage.byte}: an entry before that of record {behind.number} is rotten"
