"""A log has so much room and no more, and nobody who can make lines takes that of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dadc_net.runtime import log_file
from dadc_net.runtime.log_file import BURST, LOG_NAME, about, log_to_file

_log = logging.getLogger("dadc_net.tests")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger("dadc_net")
    former = root.handlers, root.level, root.propagate
    log_to_file(tmp_path)
    yield tmp_path
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level, root.propagate = former


def test_each_agent_has_its_share_and_what_is_left_out_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(log_file.time, "monotonic", lambda: now)
    for number in range(5000):
        _log.warning("agent 2 says %d", number, extra=about(2))
        if number % 1000 == 0:
            _log.warning("agent 1 says %d", number, extra=about(1))
            _log.warning("the server says %d", number)
    now += 60.0
    _log.warning("agent 2 says it again", extra=about(2))
    lines = (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    assert sum("agent 2 says" in line for line in lines) == BURST + 1
    assert sum("agent 1 says" in line for line in lines) == 5
    assert sum("the server says" in line for line in lines) == 5
    told = f"agent 2 says it again (after {5000 - BURST:.0f} more lines because of it, which were left out)"
    assert lines[-1].endswith(told)


def test_four_files_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logging.getLogger("dadc_net").handlers[0].close()
    monkeypatch.setattr(log_file, "_FILE_BYTES", 2000)
    log_to_file(folder)
    for number in range(1000):
        _log.info("line %d", number)
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == [LOG_NAME, f"{LOG_NAME}.1", f"{LOG_NAME}.2", f"{LOG_NAME}.3"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4 * 2000
    assert "line 999" in (folder / LOG_NAME).read_text(encoding="utf-8")


def test_a_disk_that_refuses_takes_lines_and_prints_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.getLogger("dadc_net").handlers[0]

    def refuse(_record: logging.LogRecord) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handler, "format", refuse)
    _log.warning("nobody will read this")
    assert capsys.readouterr().err == ""
