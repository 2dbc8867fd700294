"""One bit flipped anywhere in a journal: the check says so in a sentence, or the byte says nothing of the run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.runtime.consistency import check
from dadc_net.runtime.journal_file import JOURNAL_NAME
from tests.journals import write_journals
from tests.team_in_memory import MakeConfig, Team


def flip_everywhere(small: MakeConfig, folder: Path, party: int, stride: int, first: int) -> Counter[str]:
    """What became of each flipped bit: no error but one of ours may leave the check."""
    team = Team(small(updates=1, overrides=["learner.num_envs=1", "learner.batch_steps=4"])).run()
    folders = write_journals(team, folder)
    sound = check(folders)
    path = folders[party] / JOURNAL_NAME
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


@pytest.mark.parametrize("party", [0, 1])
def test_a_bit_flipped_at_many_bytes(party: int, small: MakeConfig, tmp_path: Path) -> None:
    assert flip_everywhere(small, tmp_path, party, 101, 7)["refused"] > 15


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("party", [0, 1])
def test_a_bit_flipped_at_every_third_byte(party: int, small: MakeConfig, tmp_path: Path) -> None:
    assert flip_everywhere(small, tmp_path, party, 3, 0)["refused"] > 500
