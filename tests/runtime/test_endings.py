"""How a party ends when two things come together: what ended the run must not be hidden by what came after it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dadc_net import atomic_file
from dadc_net.errors import DivergenceError, Interrupted, TemporaryError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import Fault
from dadc_net.node.server.terms import ServerPhase
from dadc_net.runtime.agent_process import AgentOptions, AgentProcess
from dadc_net.runtime.control import Control, StopRequest
from dadc_net.runtime.events import Observers
from dadc_net.runtime.launcher import Launcher, LaunchOptions
from dadc_net.runtime.sabotage import Sabotage
from dadc_net.runtime.server_process import ServerOptions, ServerProcess
from dadc_net.storage.run_folder import STOPPED_FILE
from dadc_net.wire.framing import encode
from tests.team_in_memory import MakeConfig, Team


def _server(small: MakeConfig, folder: Path) -> ServerProcess:
    options = ServerOptions(small(), seed_bytes(1), "tcp://127.0.0.1:*", b"r" * 16, folder, None)
    return ServerProcess(options, Control())


def test_a_wish_to_stop_does_not_hide_a_divergence(small: MakeConfig, tmp_path: Path) -> None:
    process = _server(small, tmp_path)
    process.control.stop.request("SIGTERM")
    broken = Team(small(updates=6), tamper={2: Sabotage("flip-bit", 7)}).run().server
    assert broken.phase is ServerPhase.FAILED
    with pytest.raises(DivergenceError, match="component ais"):
        process._result(broken)
    stopped = Team(small()).server
    stopped.stop("SIGTERM")
    assert isinstance(stopped.error, TemporaryError)
    with pytest.raises(Interrupted, match="SIGTERM"):
        process._result(stopped)


def test_a_missing_journal_does_not_hide_a_divergence(small: MakeConfig, tmp_path: Path) -> None:
    options = LaunchOptions(small(), seed_bytes(7), seed_bytes(1), tmp_path)
    launcher = Launcher(options, Observers(), StopRequest())
    launcher._failures += [("agent-1", TemporaryError("gone")), ("agent-2", DivergenceError("the replicas diverged"))]
    with pytest.raises(DivergenceError, match=r"the replicas diverged\nThe journals say no more: .* holds no"):
        launcher._result()


def test_a_full_disk_does_not_hide_a_divergence(small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Team(small(updates=2)).run().agents[1]
    process = AgentProcess(
        AgentOptions(agent=1, server="tcp://127.0.0.1:1", shared_seed=seed_bytes(7), state_dir=tmp_path, keys=None),
        Control(),
    )

    def full(_name: str, _value: object) -> None:
        raise TemporaryError("the disk is full")

    monkeypatch.setattr(node.log.store, "note", full)
    with pytest.raises(DivergenceError, match="they differ"):
        process._react(node, encode(Fault(DivergenceError.exit_code, "they differ")))
    assert (tmp_path / STOPPED_FILE).exists()


def test_a_full_disk_before_the_run_is_said(small: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = _server(small, tmp_path)

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_file, "replace", full)
    with pytest.raises(TemporaryError, match="cannot be written: No space left"):
        process._keep_configuration(tmp_path)
