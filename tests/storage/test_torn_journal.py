"""A journal whose last record is torn at any byte: it was written or it was not, and nothing in between.

An agent's last rows are in SQLite's log. The server's last record is in its tail; in its log is a group of rows, and while
that is being written the tail still has them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dadc_net.audit.journal_audit import audit
from dadc_net.node.rows import Answers, ServerRow
from dadc_net.storage.agent_journal import AgentJournalFile
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.server_journal import ServerJournalFile
from dadc_net.storage.tail_file import TAIL_SUFFIX, TailFile
from tests.storage.test_journal import FACTS, agent_rows, agent_store, common_rows, server_journal

_RECORDS = 6
_FRAME_HEADER = 24
_LOG, _TAIL = f"{JOURNAL_NAME}-wal", JOURNAL_NAME + TAIL_SUFFIX


def torn_at(before: Path, after: Path, name: str, stride: int) -> list[int]:
    """Lengths of a file between two writes: in the log every byte of the headers, every ``stride``-th of the pages."""
    first, last = os.path.getsize(before / name), os.path.getsize(after / name)
    assert last > first
    if name == _TAIL:
        return list(range(first, last + 1))
    frame = 4096 + _FRAME_HEADER
    return [at for at in range(first, last + 1) if (at - first) % frame <= _FRAME_HEADER or (at - first) % stride == 0]


def copies_around_the_last_record(kind: str, folder: Path) -> tuple[Path, Path]:
    """The folder before and after its last record was written; neither was closed."""
    live = folder / "live"
    live.mkdir(parents=True)
    writer: ServerJournalFile | AgentJournalFile
    if kind == "server":
        writer = server_journal(live, _RECORDS - 1)
        shutil.copytree(live, folder / "before")
        last = common_rows(_RECORDS)[-1]
        answers = Answers(last.step - 1, (b"a1", b"a2"), (b"d" * 32, b"e" * 32), (b"", b""))
        writer.commit(answers, ServerRow(last, (b"o1", b"o2")), None)
    else:
        writer = agent_store(live, _RECORDS - 1)
        shutil.copytree(live, folder / "before")
        writer.write(agent_rows(_RECORDS)[-1:])
    shutil.copytree(live, folder / "after")
    writer.close()
    return folder / "before", folder / "after"


def check_every_length(kind: str, tmp_path: Path, stride: int) -> None:
    before, after = copies_around_the_last_record(kind, tmp_path)
    name = _TAIL if kind == "server" else _LOG
    whole = (after / name).read_bytes()
    tips = []
    for length in torn_at(before, after, name, stride):
        torn = tmp_path / "torn"
        shutil.copytree(after, torn)
        (torn / name).write_bytes(whole[:length])
        reader = JournalReader(torn)
        tips.append(audit(reader))
        reader.close()
        opened: ServerJournalFile | AgentJournalFile
        opened = ServerJournalFile(torn, 2, "process") if kind == "server" else AgentJournalFile(torn, "process")
        if isinstance(opened, ServerJournalFile):
            opened.open_or_create(FACTS)
        assert opened.tip == tips[-1], f"torn at byte {length}"
        assert opened.row(opened.tip) is not None
        assert opened.row(opened.tip + 1) is None
        opened.close()
        shutil.rmtree(torn)
    assert tips[0] == _RECORDS - 2
    assert tips[-1] == _RECORDS - 1
    assert set(tips[:-1]) == {_RECORDS - 2}, "a part of a transaction was taken for the whole"


def check_every_length_of_a_group(tmp_path: Path, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server killed in the middle of writing a group into its database, before the tail was cut."""
    live = tmp_path / "live"
    live.mkdir()
    writer = server_journal(live, _RECORDS)
    shutil.copytree(live, tmp_path / "before")
    monkeypatch.setattr(TailFile, "cut", lambda _: shutil.copytree(live, tmp_path / "after"))
    writer.sync()
    monkeypatch.undo()
    whole = (tmp_path / "after" / _LOG).read_bytes()
    for length in torn_at(tmp_path / "before", tmp_path / "after", _LOG, stride):
        torn = Path(shutil.copytree(tmp_path / "after", tmp_path / "torn"))
        (torn / _LOG).write_bytes(whole[:length])
        reader = JournalReader(torn)
        assert audit(reader) == _RECORDS - 1, f"torn at byte {length}"
        reader.close()
        opened = ServerJournalFile(torn, 2, "process")
        assert opened.open_or_create(FACTS)
        opened.close()
        assert [path.name for path in torn.iterdir()] == [JOURNAL_NAME]
        reader = JournalReader(torn)
        assert audit(reader) == _RECORDS - 1, f"torn at byte {length}"
        reader.close()
        shutil.rmtree(torn)
    writer.close()


@pytest.mark.parametrize("kind", ["server", "agent"])
def test_the_last_record_torn_at_many_bytes(kind: str, tmp_path: Path) -> None:
    check_every_length(kind, tmp_path, 97)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["server", "agent"])
def test_the_last_record_torn_at_every_byte(kind: str, tmp_path: Path) -> None:
    check_every_length(kind, tmp_path, 1)


def test_a_group_torn_at_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_every_length_of_a_group(tmp_path, 997, monkeypatch)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_group_torn_at_every_third_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_every_length_of_a_group(tmp_path, 3, monkeypatch)
