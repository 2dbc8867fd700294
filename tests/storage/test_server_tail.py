"""The server's journal across its two files: killed, read, filled and damaged between the tail and the database."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dadc_net.audit.journal_audit import audit
from dadc_net.errors import CorruptStateError, TemporaryError
from dadc_net.node.rows import Answers, ServerRow
from dadc_net.storage import journal_reader, server_journal
from dadc_net.storage.journal_file import JOURNAL_NAME, JournalFile
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.server_journal import GROUP_ENTRIES, ServerJournalFile
from dadc_net.storage.tail_file import TAIL_SUFFIX, TailDamage, TailFile, key_of, read_tail
from tests.storage.test_journal import FACTS, common_rows

TAIL = JOURNAL_NAME + TAIL_SUFFIX
ROWS = common_rows(3 * GROUP_ENTRIES)


class Writer:
    """A server's journal that takes one record after the other."""

    def __init__(self, folder: Path, mode: str = "process") -> None:
        self.folder = folder
        self.journal = ServerJournalFile(folder, 2, mode)
        self.journal.open_or_create(FACTS)
        self.next = self.journal.tip + 1

    def write(self, count: int = 1, settle: bool = True) -> Writer:
        for _ in range(count):
            row = ROWS[self.next]
            world = {"x": np.arange(row.step)} if row.step % 10 == 0 else None
            self.journal.commit(answers(row.step - 1), ServerRow(row, observations(row.step)), world)
            if settle:
                self.journal.settle()
            self.next += 1
        return self

    def killed(self, name: str = "killed") -> Path:
        """The folder as a kill at this instant would leave it."""
        copy = self.folder.with_name(name)
        shutil.rmtree(copy, ignore_errors=True)
        return Path(shutil.copytree(self.folder, copy))


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """A writer in an empty folder."""
    (tmp_path / "live").mkdir()
    return Writer(tmp_path / "live")


def answers(step: int) -> Answers | None:
    return None if step < 0 else Answers(step, (b"a%04d" % step, b"b%04d" % step), (b"d" * 32, b"e" * 32), (b"", b""))


def observations(step: int) -> tuple[bytes, bytes]:
    return b"o%04d" % step, b"p%04d" % step


def assert_holds(folder: Path, records: int) -> None:
    """The reader and the next server find the same ``records``, each with its answers and worlds, none twice."""
    reader = JournalReader(folder)
    try:
        assert audit(reader) == records - 1
        assert list(reader.records()) == ROWS[:records]
        assert list(reader.records(records // 2)) == ROWS[records // 2 : records]
        assert [step for step, *_ in reader.steps()] == list(range(records))
        assert list(reader.observations(2)) == [(step, observations(step)[1]) for step in range(records)]
        assert [row[:2] for row in reader.answers(1)] == [(step, b"a%04d" % step) for step in range(records - 1)]
    finally:
        reader.close()
    again = Writer(folder).journal
    assert again.tip == records - 1
    for step in range(records):
        assert again.row(step) == ServerRow(ROWS[step], observations(step))
        assert again.answers(step) == (answers(step) if step < records - 1 else None)
    worlds = [step for step in range(records) if step % 10 == 0][-2:]
    assert list(again.worlds()) == worlds[::-1]
    assert [len(again.world(step)["x"]) for step in worlds] == worlds
    again.close()
    assert [path.name for path in folder.iterdir()] == [JOURNAL_NAME]


def in_database(folder: Path) -> int:
    """Number of records in the database of a killed server's folder."""
    copy = folder.with_name("looked-at")
    shutil.copytree(folder, copy)
    database = sqlite3.connect(copy / JOURNAL_NAME)
    try:
        return int(database.execute("SELECT COUNT(*) FROM records").fetchone()[0])
    finally:
        database.close()
        shutil.rmtree(copy)


@pytest.mark.parametrize("mode", ["process", "host"])
@pytest.mark.parametrize("records", [1, GROUP_ENTRIES - 1, GROUP_ENTRIES, GROUP_ENTRIES + 1, 2 * GROUP_ENTRIES + 7])
def test_killed_at_any_number_of_records_nothing_is_missing(records: int, mode: str, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    writer = Writer(tmp_path / "live", mode).write(records)
    assert in_database(writer.killed()) == records // GROUP_ENTRIES * GROUP_ENTRIES
    assert (writer.folder / TAIL).stat().st_mode & 0o777 == 0o600
    assert_holds(writer.killed(), records)
    assert_holds_open(writer.journal, records)
    writer.journal.close()
    assert_holds(writer.folder, records)


def assert_holds_open(journal: ServerJournalFile, records: int) -> None:
    assert journal.tip == records - 1
    assert [journal.row(step) for step in range(records + 1)] == [
        *(ServerRow(ROWS[step], observations(step)) for step in range(records)),
        None,
    ]
    assert [journal.answers(step) for step in range(records)] == [*map(answers, range(records - 1)), None]


def test_killed_between_the_group_and_the_cut_nothing_is_there_twice(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: Callable[[TailFile], None] = TailFile.cut
    monkeypatch.setattr(TailFile, "cut", lambda tail: (writer.killed(), cut(tail))[1])
    writer.write(GROUP_ENTRIES)
    monkeypatch.undo()
    killed = writer.folder.with_name("killed")
    assert in_database(killed) == len(read_tail(killed / TAIL, key_of("ab")).bodies) == GROUP_ENTRIES
    assert_holds(killed, GROUP_ENTRIES)
    assert_holds(writer.killed("after"), GROUP_ENTRIES)
    writer.journal.close()


def test_a_note_and_a_sync_come_after_the_rows_before_them(writer: Writer) -> None:
    writer.write(5).journal.note("state", "running")
    assert in_database(writer.killed()) == 5
    writer.write(2).journal.sync()
    assert in_database(writer.killed()) == 7
    assert (writer.folder / TAIL).stat().st_size == 0
    writer.journal.close()


def test_rows_that_nobody_settles_do_not_pile_up(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_journal, "_ENTRIES_MAX", 20)
    writer.write(50, settle=False)
    assert in_database(writer.killed()) == 40
    assert_holds(writer.killed(), 50)
    writer.journal.close()


def test_a_reader_of_a_living_server_sees_one_whole_state(writer: Writer) -> None:
    while writer.next < 2 * GROUP_ENTRIES + 3:
        seen = writer.write().next
        reader = JournalReader(writer.folder)
        rows = reader.records()
        assert next(rows) == ROWS[0]
        writer.write(writer.next % 7)  # Comes too late for this reader, in every table.
        assert list(rows) == ROWS[1:seen]
        assert audit(reader) == seen - 1
        reader.close()
    writer.journal.close()
    assert [path.name for path in writer.folder.iterdir()] == [JOURNAL_NAME]


@pytest.mark.parametrize("before", [1, GROUP_ENTRIES - 1, GROUP_ENTRIES + 5])
def test_no_hole_appears_while_a_reader_opens(before: int, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go from the tail to the database between the reader's look at the one and at the other."""

    def read_then_write(path: Path, key: int) -> object:
        found = read_tail(path, key)
        writer.write(GROUP_ENTRIES + 3)
        return found

    writer.write(before)
    monkeypatch.setattr(journal_reader, "read_tail", read_then_write)
    reader = JournalReader(writer.folder)
    assert audit(reader) >= before - 1
    reader.close()
    writer.journal.close()


def test_a_reader_that_looked_at_the_database_first_would_find_a_hole(writer: Writer) -> None:
    """The control of the test above: the other order loses rows."""
    writer.write(GROUP_ENTRIES - 1)
    database = sqlite3.connect(f"file:{writer.folder / JOURNAL_NAME}?mode=ro", uri=True)
    (seen,) = database.execute("SELECT COUNT(*) FROM records").fetchone()
    writer.write(2)
    bodies = read_tail(writer.folder / TAIL, key_of("ab")).bodies
    later = [server_journal.TailEntry.unpack(body, 2).number for body in bodies]
    assert (seen, later) == (0, [GROUP_ENTRIES])
    database.close()
    writer.journal.close()


def test_a_tail_that_is_cut_while_it_is_read_is_read_again(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def torn_at_first(path: Path, key: int) -> object:
        looks.append(path)
        found = read_tail(path, key)
        return found if len(looks) > 1 else found._replace(damage=TailDamage(0, 0))

    writer.write(3)
    monkeypatch.setattr(journal_reader, "read_tail", torn_at_first)
    reader = JournalReader(writer.folder)
    assert (len(looks), audit(reader)) == (2, 2)
    reader.close()
    writer.journal.close()


def rotten(folder: Path, entry: int) -> Path:
    """Flips a bit in one entry of the tail."""
    path = folder / TAIL
    raw = bytearray(path.read_bytes())
    at = raw.index(b"o%04d" % entry)
    raw[at] ^= 4
    path.write_bytes(raw)
    return path


def test_a_rotten_entry_is_named_and_the_others_are_kept(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    killed = writer.write(GROUP_ENTRIES + 9).killed()
    writer.journal.close()
    lost = GROUP_ENTRIES + 4
    said = rf"{rotten(killed, lost)} is damaged at byte \d+: an entry before that of record {lost + 1} is rotten"
    reader = JournalReader(killed)
    with pytest.raises(CorruptStateError, match=said):
        audit(reader)
    reader.close()
    with caplog.at_level(logging.WARNING):
        journal = Writer(killed).journal
    assert f"an entry before that of record {lost + 1} is rotten" in caplog.text
    assert (journal.tip, journal.row(lost), journal.answers(lost - 1)) == (GROUP_ENTRIES + 8, None, None)
    assert journal.row(lost - 1) == ServerRow(ROWS[lost - 1], observations(lost - 1))
    assert journal.answers(lost) == answers(lost)
    journal.close()
    reader = JournalReader(killed)
    with pytest.raises(CorruptStateError, match=f"no row of record {lost}"):
        audit(reader)  # Nobody has made it again yet, and it stays named.
    reader.close()


def test_a_row_that_was_made_again_counts_before_it_is_in_the_database(writer: Writer) -> None:
    writer.write(5).journal.close()
    database = sqlite3.connect(writer.folder / JOURNAL_NAME)
    database.execute("UPDATE records SET head = ? WHERE step = 2", (bytes(32),))
    database.commit()
    database.close()
    journal = Writer(writer.folder).journal
    for step in (2, 3):
        with pytest.raises(CorruptStateError, match=f"the row of record {step} in table records"):
            journal.row(step)
    journal.commit(None, ServerRow(ROWS[2], observations(2)), None)
    assert [journal.row(step) for step in (2, 3)] == [ServerRow(ROWS[step], observations(step)) for step in (2, 3)]
    reader = JournalReader(writer.folder)
    assert audit(reader) == 4
    reader.close()
    journal.close()


def test_a_copy_without_the_tail_is_refused(writer: Writer) -> None:
    killed = writer.write(GROUP_ENTRIES + 2).killed()
    (killed / TAIL).unlink()
    with pytest.raises(CorruptStateError, match=f"without the file {TAIL}. Its last rows are missing"):
        JournalReader(killed)
    writer.journal.close()


def test_the_tail_of_a_journal_that_was_removed_is_not_played_into_a_new_one(writer: Writer) -> None:
    killed = writer.write(2).killed()
    writer.journal.close()
    for name in (JOURNAL_NAME, f"{JOURNAL_NAME}-wal", f"{JOURNAL_NAME}-shm"):
        (killed / name).unlink()
    with pytest.raises(CorruptStateError, match=f"{TAIL} is there, but .* is not"):
        Writer(killed)
    assert [path.name for path in killed.iterdir()] == [TAIL]


def test_another_format_is_refused_by_reader_and_server(writer: Writer) -> None:
    writer.write(2).journal.close()
    database = sqlite3.connect(writer.folder / JOURNAL_NAME)
    database.execute("UPDATE facts SET value = '1' WHERE name = 'format'")
    database.commit()
    database.close()
    for opened in (JournalReader, Writer):
        with pytest.raises(CorruptStateError, match="has the format 1, this version reads 4"):
            opened(writer.folder)


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_refuses_the_entry_and_nothing_of_it_counts(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write(6)
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(TemporaryError, match=f"{TAIL} cannot be written or read: .*No space left"):
        writer.write()
    monkeypatch.undo()
    with pytest.raises(TemporaryError, match="No space left"):
        writer.write()  # Whoever was refused once is not to go on.
    assert_holds(writer.killed(), 6)
    writer.journal.close()
    assert_holds(writer.folder, 6)


def test_a_group_that_the_disk_refuses_stays_in_the_tail(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write(GROUP_ENTRIES - 1)

    def refuse(*_: object) -> None:
        raise TemporaryError("the database is full.")

    monkeypatch.setattr(JournalFile, "transact", refuse)
    writer.write()  # What is written down may be sent; the next record may not.
    with pytest.raises(TemporaryError, match="the database is full"):
        writer.write()
    assert in_database(writer.killed()) == 0
    writer.journal.close()
    monkeypatch.undo()
    assert (writer.folder / TAIL).stat().st_size > 0
    assert_holds(writer.folder, GROUP_ENTRIES)
