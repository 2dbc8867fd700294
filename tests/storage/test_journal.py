"""Journals and checkpoints as files: what is written comes back, what is rotten, torn or incomplete is noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from dadc_net.errors import CorruptStateError, DuplicateAgentError, TemporaryError, UsageError
from dadc_net.exact.digest import GENESIS, chain
from dadc_net.node.record import Record
from dadc_net.node.rows import AgentRow, Answers, ServerRow, StepDigests, UpdateRow
from dadc_net.storage.agent_journal import AgentJournalFile, checkpoint_path
from dadc_net.storage.folder import locked
from dadc_net.storage.journal_file import JOURNAL_NAME, Translated
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.server_journal import ServerJournalFile

FACTS = {"agent": 0, "num_agents": 2, "run_id": "ab"}


def common_rows(count: int) -> list[Record]:
    rows, head = [], GENESIS
    for step in range(count):
        common = b"record %d" % step
        head = chain(head, common)
        rows.append(Record(step, head, common))
    return rows


def server_journal(folder: Path, count: int = 5, mode: str = "process") -> ServerJournalFile:
    journal = ServerJournalFile(folder, 2, mode)
    if not journal.open_or_create(FACTS):
        for row in common_rows(count):
            step = row.step
            answers = Answers(step - 1, (b"a1", b"a2"), (b"d" * 32, b"e" * 32), (b"", b"")) if step else None
            world = {"x": np.arange(step + 1)}
            journal.commit(answers, ServerRow(row, (b"o1", b"o2")), world)
    return journal


def agent_rows(count: int) -> list[AgentRow]:
    rows = []
    for row in common_rows(count):
        update = UpdateRow(row.step, row.step // 2, b"l" * 32, {"a": b"1" * 32, "b": b"2" * 32})
        digests = StepDigests(b"p" * 32, b"x" * 32, b"t" * 32, b"s" * 32)
        rows.append(AgentRow(row, b"obs", b"act", digests, update if row.step % 2 == 0 and row.step else None))
    return rows


def agent_store(folder: Path, count: int = 5) -> AgentJournalFile:
    store = AgentJournalFile(folder, "process")
    if not store.facts:
        store.create({"agent": 1, "run_id": "ab"})
        store.write(agent_rows(count))
    return store


@pytest.mark.parametrize("mode", ["process", "host"])
def test_the_servers_journal_comes_back(mode: str, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    running = server_journal(tmp_path / "open", mode=mode)
    shutil.copytree(tmp_path / "open", tmp_path / "killed")  # as a killed process leaves it
    running.close()
    folder = tmp_path / "killed"
    again = server_journal(folder, mode=mode)
    assert again.tip == 4
    assert again.row(4) == ServerRow(common_rows(5)[4], (b"o1", b"o2"))
    assert again.answers(3) == Answers(3, (b"a1", b"a2"), (b"d" * 32, b"e" * 32), (b"", b""))
    assert (again.row(5), again.answers(4)) == (None, None)
    assert list(again.worlds()) == [4, 3]
    assert again.world(4)["x"].tolist() == [0, 1, 2, 3, 4]
    again.note("state", "finished")
    again.close()
    assert [path.name for path in folder.iterdir()] == [JOURNAL_NAME]
    assert (folder / JOURNAL_NAME).stat().st_mode & 0o777 == 0o600
    reader = JournalReader(folder)
    assert reader.facts == {**FACTS, "format": 4, "state": "finished"}
    assert list(reader.records(2)) == common_rows(5)[2:]
    assert next(iter(reader.answers(2))) == (0, b"a2", b"e" * 32, b"")
    assert list(reader.observations(1))[4] == (4, b"o1")
    reader.close()


def test_an_agents_store_comes_back(tmp_path: Path) -> None:
    store = agent_store(tmp_path)
    for step in (1, 2, 3):
        store.save(step, {"v": np.full(2, step)}, {"step": step})
    again = agent_store(tmp_path)
    assert again.tip == 4
    assert [again.row(step) for step in range(5)] == agent_rows(5)
    assert again.row(5) is None
    assert list(again.checkpoints()) == [3, 2]
    arrays, meta = again.load(3)
    assert (arrays["v"].tolist(), meta) == ([3, 3], {"step": 3})
    assert checkpoint_path(tmp_path, 3).stat().st_mode & 0o777 == 0o600
    reader = JournalReader(tmp_path)
    assert [update.number for update in reader.updates()] == [1, 2]
    assert len(list(reader.steps())) == len(list(reader.private())) == 5
    reader.close()
    again.close()
    store.close()


def test_the_server_keeps_what_is_private_to_each_agent_apart(tmp_path: Path) -> None:
    """A question about agent 1 is answered without the tables of agent 2, and about the log without either."""
    server_journal(tmp_path).close()
    reader = JournalReader(tmp_path)
    before = list(reader.records()), list(reader.observations(1)), list(reader.answers(1))
    other = list(reader.observations(2))
    reader.close()
    assert all(before)
    database = sqlite3.connect(tmp_path / JOURNAL_NAME)
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"facts", "records", "worlds", *(f"{what}_{k}" for what in ("observations", "answers") for k in (1, 2))}
    held = {raw for (raw,) in database.execute("SELECT observation FROM observations_1")}
    assert held == {observation for _, observation in before[1]}
    assert not held & {observation for _, observation in other}
    for table in ("observations_2", "answers_2"):
        database.execute(f"DROP TABLE {table}")
    database.commit()
    database.close()
    reader = JournalReader(tmp_path)
    assert (list(reader.records()), list(reader.observations(1)), list(reader.answers(1))) == before
    with pytest.raises(CorruptStateError, match="no such table: observations_2"):
        list(reader.observations(2))
    reader.close()
    assert (tmp_path / JOURNAL_NAME).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("records", "head"), ("records", "common"), ("observations_1", "observation"), ("observations_2", "checked")),
        *(("answers_2", "actions"), ("answers_1", "step_digest"), ("answers_2", "checked"), ("worlds", "state")),
    ],
)
def test_a_rotten_byte_at_the_server_is_noticed_and_named(table: str, column: str, tmp_path: Path) -> None:
    server_journal(tmp_path).close()
    _rot(tmp_path, table, column)
    journal = server_journal(tmp_path)
    with pytest.raises(CorruptStateError, match=f"{JOURNAL_NAME} is damaged: the row of record 3 in table {table}"):
        journal.world(3), journal.row(3), journal.answers(3)
    journal.close()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("records", "common"), ("private", "observation"), ("private", "actions"), ("steps", "ais")),
        *(("steps", "step_digest"), ("updates", "learner_digest"), ("updates", "tensors")),
    ],
)
def test_a_rotten_byte_at_an_agent_is_noticed_and_named(table: str, column: str, tmp_path: Path) -> None:
    agent_store(tmp_path).close()
    step = 4 if table == "updates" else 3
    _rot(tmp_path, table, column, step)
    store = agent_store(tmp_path)
    with pytest.raises(CorruptStateError, match=f"the row of record {step} in table {table}"):
        store.row(step)
    assert store.row(1) == agent_rows(2)[1]
    store.close()


@pytest.mark.parametrize(
    ("table", "column", "changed"), [("updates", "tensors", 3), ("records", "head", 7), ("private", "observation", 0.5)]
)
def test_a_column_of_another_type_is_damage(table: str, column: str, changed: object, tmp_path: Path) -> None:
    agent_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / JOURNAL_NAME)
    database.execute(f"UPDATE {table} SET {column} = ? WHERE step = 4", (changed,))
    database.commit()
    database.close()
    reader = JournalReader(tmp_path)
    with pytest.raises(CorruptStateError, match=f"is damaged: the column {column} of a row holds .*before it is sound"):
        list({"updates": reader.updates, "records": reader.steps, "private": reader.private}[table]())
    reader.close()
    store = agent_store(tmp_path)
    with pytest.raises(CorruptStateError, match=f"cannot be read: the column {column} of a row holds (int|float)"):
        store.row(4)
    store.close()


@pytest.mark.parametrize("said", [b"PRIVATE", b"\xff\x80PRIVATE"])
def test_what_a_damaged_row_holds_is_told_to_nobody(said: bytes, tmp_path: Path) -> None:
    """The type of a column has rotted, and its content too; the words may be sent to all agents."""
    agent_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / JOURNAL_NAME)
    database.execute("UPDATE private SET observation = CAST(? AS TEXT) WHERE step = 3", (said,))
    database.commit()
    database.close()
    store = agent_store(tmp_path)
    with pytest.raises(CorruptStateError, match="the row of record 3 in table private") as caught:
        store.row(3)
    assert "PRIVATE" not in str(caught.value)
    store.close()


def _rot(folder: Path, table: str, column: str, step: int = 3) -> None:
    database = sqlite3.connect(folder / JOURNAL_NAME)
    (value,) = database.execute(f"SELECT {column} FROM {table} WHERE step = ?", (step,)).fetchone()
    changed = value[:-1] + bytes([value[-1] ^ 1])
    database.execute(f"UPDATE {table} SET {column} = ? WHERE step = ?", (changed, step))
    database.commit()
    database.close()


def test_a_copy_without_its_wal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    journal = server_journal(tmp_path / "a")
    shutil.copy(tmp_path / "a" / JOURNAL_NAME, tmp_path / "b")
    with pytest.raises(CorruptStateError, match=f"without the file {JOURNAL_NAME}-wal"):
        JournalReader(tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    assert len(list(JournalReader(tmp_path / "c").records())) == 5
    journal.close()


def test_the_log_of_a_journal_that_was_removed_is_not_played_into_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    running = server_journal(tmp_path / "open")
    shutil.copytree(tmp_path / "open", tmp_path / "killed")
    running.close()
    journal = tmp_path / "killed" / JOURNAL_NAME
    journal.unlink()
    with pytest.raises(CorruptStateError, match="begun anew unnoticed"):
        server_journal(journal.parent)
    assert not journal.exists()


def test_a_reader_does_not_hold_up_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = server_journal(tmp_path)
    reader = JournalReader(tmp_path)
    rows = reader.records()
    next(rows)  # Its transaction stays open.
    journal.note("state", "finished")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    journal.sync()
    assert (tmp_path / f"{JOURNAL_NAME}-wal").stat().st_ino in synced
    rows.close()
    reader.close()
    journal.close()


def test_a_folder_belongs_to_one_process_and_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-000000000001.arrays.77.dadc-tmp").write_bytes(b"half a file")
    with locked(tmp_path, "agent 1"):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        with pytest.raises(DuplicateAgentError, match=f"in use by another process \\(process {os.getpid()}\\)"), locked(
            tmp_path, "agent 1"
        ):
            pass
    with locked(tmp_path, "agent 1"):
        pass


def test_a_folder_that_cannot_be_locked_is_not_said_to_be_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(TemporaryError, match="cannot be locked: No locks available"), locked(tmp_path, "agent 1"):
        pass


@pytest.mark.parametrize(("name", "kind"), [("SQLITE_IOERR_SHMMAP", UsageError), ("SQLITE_IOERR_WRITE", TemporaryError)])
def test_no_room_helps_where_nothing_can_be_mapped(name: str, kind: type[Exception], tmp_path: Path) -> None:
    """SQLite says "disk I/O error" to both."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    with pytest.raises(kind) as caught, Translated(tmp_path / "journal.sqlite"):
        raise error
    assert ("Make room" in str(caught.value)) is (kind is TemporaryError)
    assert ("without shared memory maps" in str(caught.value)) is (kind is UsageError)
