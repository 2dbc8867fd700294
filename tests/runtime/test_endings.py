"""How a party ends when two things come together: what ended the run must not be hidden by what came after it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dadc_net import atomic_file
from dadc_net.audit.consistency import check
from dadc_net.errors import DivergenceError, Interrupted, TemporaryError
from dadc_net.node.server.terms import ServerPhase
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.endings import first_cause, keep_configuration, keep_divergence, raise_if_unfinished, with_journals
from dadc_net.runtime.sabotage import Sabotage
from dadc_net.storage.run_folder import STOPPED_FILE
from tests.team_in_memory import MakeConfig, Team


def test_a_wish_to_stop_does_not_hide_a_divergence(small: MakeConfig) -> None:
    stop = StopRequest()
    stop.request("SIGTERM")
    broken = Team(small(updates=6), tamper={2: Sabotage("flip-bit", 7)}).run().server
    assert broken.phase is ServerPhase.FAILED
    with pytest.raises(DivergenceError, match="component ais"):
        raise_if_unfinished(broken, stop)
    stopped = Team(small()).server
    stopped.stop("SIGTERM")
    assert isinstance(stopped.error, TemporaryError)
    with pytest.raises(Interrupted, match="SIGTERM"):
        raise_if_unfinished(stopped, stop)
    raise_if_unfinished(Team(small(updates=2)).run().server, stop)


def test_a_missing_journal_does_not_hide_a_divergence(tmp_path: Path) -> None:
    broken = DivergenceError("the replicas diverged")
    assert first_cause([TemporaryError("gone"), broken]) is broken
    with pytest.raises(DivergenceError, match=r"the replicas diverged\nThe journals say no more: .* holds no"):
        raise with_journals(broken, lambda: check([tmp_path]).first_divergence)
    assert with_journals(gone := TemporaryError("gone"), lambda: check([tmp_path]).first_divergence) is gone


def test_a_full_disk_does_not_hide_a_divergence(small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Team(small(updates=2)).run().agents[1]

    def full(_name: str, _value: object) -> None:
        raise TemporaryError("the disk is full")

    monkeypatch.setattr(node.log.store, "note", full)
    keep_divergence(node, tmp_path)
    assert (tmp_path / STOPPED_FILE).exists()
    keep_divergence(node, tmp_path / "not there")


def test_a_full_disk_before_the_run_is_said(small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_file, "replace", full)
    with pytest.raises(TemporaryError, match="cannot be written: No space left"):
        keep_configuration(small(), tmp_path)
