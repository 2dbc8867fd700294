"""Folders of any name, with files of others in them, damaged or made up: a sentence, and nothing of others is touched."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from pathlib import Path

import pytest

from dadc_net import atomic_file
from dadc_net.errors import CorruptStateError
from dadc_net.experiment.result_file import RESULT_NAME, read_report
from dadc_net.experiment.sweep.result_folder import read_result
from dadc_net.experiment.sweep.trial import FORMAT
from dadc_net.storage import arrays_file
from dadc_net.storage.folder import locked
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.tail_file import key_of, read_tail, tail_path
from tests.storage.test_journal import server_journal


@pytest.mark.parametrize("name", ["a#b", "what?", "100%", "100%25", "a b;c&d=e", "é ✓", "'\"", "[x]*"])
def test_a_journal_is_read_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    server_journal(folder).close()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    reader = JournalReader(folder)
    assert len(list(reader.records())) > 0
    reader.close()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_files_of_others_survive_the_sweep(tmp_path: Path) -> None:
    theirs = [".thesis.tmp.tex", ".notes.tmp", ".a.77.tmp", ".x.dadc-tmp", "b.77.dadc-tmp", ".c.77.dadc-tmp.bak"]
    for name in theirs:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".config.toml.77.dadc-tmp").write_text("ours")
    (tmp_path / ".folder.77.dadc-tmp").mkdir()
    (tmp_path / ".link.77.dadc-tmp").symlink_to(tmp_path / ".notes.tmp")
    with locked(tmp_path, "agent 1"):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*theirs, ".folder.77.dadc-tmp", "lock"])
    assert all((tmp_path / name).read_text() == "mine" for name in theirs)


def test_a_planted_link_in_the_place_of_a_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "theirs"
    target.write_text("mine")
    path = tmp_path / "result.json"
    monkeypatch.setattr("dadc_net.atomic_file.secrets.token_hex", lambda _: "77")
    planted = tmp_path / ".result.json.77.dadc-tmp"
    planted.symlink_to(target)
    atomic_file.replace(path, b"new")
    assert (path.read_bytes(), target.read_text(), path.is_symlink()) == (b"new", "mine", False)


def test_a_tail_that_imitates_entries_is_damage_and_found_in_time(tmp_path: Path) -> None:
    path, key = tail_path(tmp_path / "d.sqlite"), key_of("run")
    path.write_bytes(b"dadT" * (12 * 2**20 // 4))
    assert read_tail(path, key).bodies == []
    size = 2**21
    entry = struct.pack(">4sII", b"dadT", size // 2, 7)
    path.write_bytes(entry * (size // len(entry)))
    found = read_tail(path, key)
    assert found.bodies == []
    assert found.damage is not None


FACTS = {
    "agent": ['"x"', "[1]", "null", "true", "1.5"],
    "num_agents": ['"two"', "{}"],
    "run_id": ["3", '"no hex"', '"abc"'],
    "settings": ["[]", '"x"'],
    "epoch": ['"x"'],
    "learner_digests": ["[3]", "{}"],
    "team": ["[]", "7"],
    "last_step": ["[" * 2000 + "]" * 2000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FACTS.items() for value in values])
def test_a_fact_of_another_type_is_damage(name: str, value: str, tmp_path: Path) -> None:
    server_journal(tmp_path).close()
    database = sqlite3.connect(tmp_path / JOURNAL_NAME)
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
    database.commit()
    database.close()
    with pytest.raises(CorruptStateError, match=f"the fact {name} is|a fact is no JSON"):
        JournalReader(tmp_path)


HEADERS = [
    b"not json",
    b"[]",
    b'{"arrays": 3, "meta": {}}',
    b'{"arrays": [["x", "object", [1]]], "meta": {}}',
    b'{"arrays": [["x", "float64", [-1]]], "meta": {}}',
    b'{"arrays": [["x", "float64", [1e9]]], "meta": {}}',
    b'{"arrays": [["x", "float64", [999999999999]]], "meta": {}}',
    b'{"arrays": [["x", ["y"], [1]]], "meta": {}}',
    b'{"arrays": [], "meta": []}',
    b'{"meta": {}}',
]


@pytest.mark.parametrize("header", HEADERS)
def test_an_arrays_file_that_describes_none_is_damaged(header: bytes) -> None:
    content = header + b"\n" + bytes(8)
    check = hashlib.sha256(content).hexdigest().encode()
    with pytest.raises(CorruptStateError, match="describes no arrays"):
        arrays_file.unpack(b"\n".join((b"dadc-net arrays 1", check, content)), "x.arrays")


REPORTS = ["", "[]", "3", "\xff", '{"value": "x", "learner_digest": "a"}', '{"learner_digest": 3}']


@pytest.mark.parametrize("content", REPORTS)
def test_a_report_of_anything_is_damage(content: str, tmp_path: Path) -> None:
    (tmp_path / RESULT_NAME).write_bytes(content.encode("latin-1"))
    with pytest.raises(CorruptStateError, match="is no report of a run"):
        read_report(tmp_path)


def test_a_result_of_a_sweep_of_anything_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "seed-0000.json"
    for content in ("{", "[]", json.dumps({"format": FORMAT}), json.dumps({"format": FORMAT, "curve": 3})):
        path.write_text(content)
        with pytest.raises(CorruptStateError, match=r"seed-0000\.json"):
            read_result(path)
