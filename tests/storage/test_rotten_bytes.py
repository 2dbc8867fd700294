"""One bit flipped anywhere in a journal: the check says so in a sentence, or the byte says nothing of the run."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from dadc_net.audit.consistency import check
from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.server_journal import ServerJournalFile
from dadc_net.storage.tail_file import tail_path
from tests.journals import write_journals
from tests.team_in_memory import MakeConfig, Team


def flip_everywhere(small: MakeConfig, folder: Path, party: int, stride: int, first: int) -> Counter[str]:
    """What became of each flipped bit: no error but one of ours may leave the check."""
    team = Team(small(updates=1, overrides=["learner.num_envs=1", "learner.batch_steps=4"])).run()
    folders = write_journals(team, folder)
    return flip_in(folders[party] / JOURNAL_NAME, folders, stride, first)


def flip_in(path: Path, folders: list[Path], stride: int, first: int) -> Counter[str]:
    """The same for one file of the journals in ``folders``."""
    sound = check(folders)
    whole = path.read_bytes()
    found: Counter[str] = Counter()
    for at in range(first, len(whole), stride):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        try:
            result = check(folders)
        except (CorruptStateError, UsageError):
            found["refused"] += 1
            continue
        assert result == sound or not (result.consistent and result.complete), f"byte {at} changed what is said"
        found["unused" if result == sound else "told"] += 1
    path.write_bytes(whole)
    assert check(folders) == sound
    return found


def flip_in_the_tail(small: MakeConfig, folder: Path, stride: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The journals of a server that was killed with all its records in its tail."""
    close, killed = ServerJournalFile.close, folder / "killed"

    def kill_and_close(journal: ServerJournalFile) -> None:
        shutil.copytree(folder / "run" / "server", killed)
        close(journal)

    monkeypatch.setattr(ServerJournalFile, "close", kill_and_close)
    team = Team(small(updates=1, overrides=["learner.num_envs=1", "learner.batch_steps=4"])).run()
    folders = [killed, *write_journals(team, folder / "run")[1:]]
    return flip_in(tail_path(killed / JOURNAL_NAME), folders, stride, 0)


def test_a_bit_flipped_in_the_tail(small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in a tail is without meaning: unused is only the last entry, which is dropped as torn and holds no record."""
    found = flip_in_the_tail(small, tmp_path, 13, monkeypatch)
    assert found["refused"] > 4 * (found["unused"] + found["told"]) > 0


@pytest.mark.parametrize("party", [0, 1])
def test_a_bit_flipped_at_many_bytes(party: int, small: MakeConfig, tmp_path: Path) -> None:
    assert flip_everywhere(small, tmp_path, party, 101, 7)["refused"] > 15


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("party", [0, 1])
def test_a_bit_flipped_at_every_third_byte(party: int, small: MakeConfig, tmp_path: Path) -> None:
    assert flip_everywhere(small, tmp_path, party, 3, 0)["refused"] > 500
