"""What the cost of journals is measured against: the same processes, handed journals that forget."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadc_net.bench.lockstep import configured, full_pace
from dadc_net.bench.memory_journal import IN_MEMORY
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journals import ON_DISK, Journals

pytestmark = pytest.mark.process


@pytest.mark.parametrize(("journals", "kept"), [(IN_MEMORY, False), (ON_DISK, True)], ids=["in memory", "on disk"])
def test_the_processes_open_the_journals_that_they_are_handed(journals: Journals, kept: bool, tmp_path: Path) -> None:
    pace = full_pace(configured(2, 1, 300), tmp_path, journals)
    assert pace.rate > 0.0
    assert pace.cpu is None or pace.cpu > 0.0
    assert [(tmp_path / party / JOURNAL_NAME).exists() for party in ("server", "agent-1", "agent-2")] == [kept] * 3
