"""A torn tail and a rotten middle of SQLite's log: SQLite treats them alike, we must not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dadc_net.storage.wal_file import find_damage

_ROWS = 12


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of a database with one row per transaction."""
    database = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
    for number in range(_ROWS):
        database.execute("INSERT INTO t VALUES (?, ?)", (number, bytes([number]) * 900))
    yield tmp_path / "d.sqlite-wal"
    database.close()


def rows(log: Path, wal: bytes, folder: Path) -> int:
    """What SQLite finds with ``wal`` as the log."""
    folder.mkdir()
    shutil.copy(log.with_name("d.sqlite"), folder / "d.sqlite")
    (folder / "d.sqlite-wal").write_bytes(wal)
    database = sqlite3.connect(folder / "d.sqlite")
    try:
        return int(database.execute("SELECT COUNT(*) FROM t").fetchone()[0])
    finally:
        database.close()


def test_a_whole_log_and_a_missing_one_are_fine(log: Path, tmp_path: Path) -> None:
    assert find_damage(log) is None
    assert find_damage(tmp_path / "none") is None


def test_a_torn_tail_is_not_damage(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    for cut in (1, 100, 4119, 4120, 4121, 9000, len(whole) - 10):
        (tmp_path / "cut").write_bytes(whole[:-cut])
        assert find_damage(tmp_path / "cut") is None


def test_a_flipped_bit_drops_rows_in_silence_and_is_found(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    assert rows(log, whole, tmp_path / "whole") == _ROWS
    frames = (len(whole) - 32) // 4120
    for index in range(2, frames - 2):
        for offset in (3, 9, 17, 2000):
            at = 32 + index * 4120 + offset
            damaged = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
            (tmp_path / "damaged").write_bytes(damaged)
            found = find_damage(tmp_path / "damaged")
            assert found is not None, (index, offset)
            assert (found.frame, found.dropped) == (index, frames - 1 - index)
    at = 32 + (frames // 2) * 4120 + 2000
    damaged = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
    assert rows(log, damaged, tmp_path / "rotten") < _ROWS


def test_a_transaction_cut_short_and_overwritten_in_part_is_not_damage(log: Path, tmp_path: Path) -> None:
    database = sqlite3.connect(log.with_name("d.sqlite"), isolation_level=None)
    before = len(log.read_bytes())
    database.execute("INSERT INTO t VALUES (?, ?)", (100, bytes(40_000)))
    whole = log.read_bytes()
    database.close()
    assert len(whole) - before > 6 * 4120
    killed = tmp_path / "killed"
    assert rows(log, whole[:-4120], killed) == _ROWS  # Without the frame that commits it.
    (killed / "d.sqlite").write_bytes(log.with_name("d.sqlite").read_bytes())
    (killed / "d.sqlite-wal").write_bytes(whole[:-4120])
    again = sqlite3.connect(killed / "d.sqlite", isolation_level=None)
    try:
        again.execute("INSERT INTO t VALUES (?, ?)", (101, b"short"))
        left = (killed / "d.sqlite-wal").read_bytes()
        assert len(left) == len(whole) - 4120  # Frames of the cut one still stand behind it.
        assert left != whole[:-4120]
        assert find_damage(killed / "d.sqlite-wal") is None
    finally:
        again.close()
