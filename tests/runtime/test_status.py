"""The server's view of its agents: who is there, who lags, whom it waits for; and a file that may be missing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.errors import TemporaryError, UsageError
from dadc_net.node.messages import Act, Alive
from dadc_net.runtime import status
from dadc_net.runtime.status import OwnStatus, StatusFile, TeamStatus, Watchkeeper


def act(agent: int, step: int) -> Act:
    return Act(
        run_id=b"r" * 16, epoch=1, agent=agent, step=step, actions=b"", step_digest=bytes([agent]) * 32, learner_digest=b""
    )


def test_lag_silence_and_stragglers() -> None:
    keeper = Watchkeeper(3)
    for agent, when in ((1, 7.0), (2, 8.0)):
        keeper.heard(agent, act(agent, 4), when)
    keeper.heard(1, act(1, 5), 10.0)
    keeper.heard(1, Alive(1), 10.0)
    keeper.heard(None, Alive(3), 9.0)
    present = {1: "left", 2: "right"}
    early = keeper.status(5, present, [2, 3], 10.5)
    assert [one.straggler for one in early] == [False, False, False]
    first, second, third = keeper.status(5, present, [2, 3], 12.0)
    assert (first.answered, first.lag, first.straggler, first.silent_s, first.host) == (5, 0, False, 2.0, "left")
    assert (second.answered, second.lag, second.straggler, second.silent_s) == (4, 1, True, 4.0)
    assert (third.present, third.answered, third.straggler, third.silent_s) == (False, -1, False, None)
    assert second.step_digest == "02" * 32
    assert not any(one.straggler for one in keeper.status(6, present, [1, 2, 3], 12.5)), "record 6 is new"


def test_a_status_comes_back_and_is_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"status\.json"):
        status.read(tmp_path)
    agents = Watchkeeper(2).status(0, {1: "left"}, [1, 2], 0.0)

    def made(phase: str, written: float) -> TeamStatus:
        return TeamStatus(phase=phase, run_id="ab" * 16, epoch=2, step=0, last_step=30, written=written, agents=agents)

    found = made("running", time.monotonic())
    (tmp_path / "server").mkdir()
    StatusFile(tmp_path / "server").on(found)
    assert status.read(tmp_path) == status.read(tmp_path / "server") == found
    assert [path.name for path in (tmp_path / "server").iterdir()] == [status.STATUS_NAME]
    text = status.table(found)
    assert "epoch 2, running, record 0 of 30" in text
    assert "absent" in text
    assert "never" in text
    old = made("running", time.monotonic() - 60)
    assert "the server has ended or hangs" in status.table(old)
    for phase in ("finished", "failed", status.STOPPED):
        text = status.table(made(phase, time.monotonic() - 60))
        assert f"{phase}, record 0 of 30; ended 60 s ago" in text
        assert "absent" not in text, "whoever has ended is not missed"
    StatusFile(tmp_path / "not there").on(found)  # A disk that refuses is put up with.


def own(age: float, phase: str = "running") -> OwnStatus:
    return OwnStatus(
        agent=2, phase=phase, run_id="ab" * 16, step=7, server_silent_s=0.5, written=time.monotonic() - age
    )


def test_an_agent_writes_of_itself(tmp_path: Path) -> None:
    StatusFile(tmp_path).on(own(0.0))
    found = status.read(tmp_path)
    assert isinstance(found, OwnStatus)
    text = status.table(found)
    assert "agent 2, run abababab, running, at record 7; written 0 s ago; server heard 0.5 s before that" in text
    finished = own(-1e6, "finished")
    assert "finished, at record 7; an old file" in status.table(finished)


def test_who_lives_has_written_lately_or_has_ended(tmp_path: Path) -> None:
    status.require_alive(own(5.0), tmp_path, 10.0)
    status.require_alive(own(500.0, "finished"), tmp_path, 10.0)
    with pytest.raises(TemporaryError, match="written 11 s ago, and 10 s were allowed"):
        status.require_alive(own(11.0), tmp_path, 10.0)
    with pytest.raises(TemporaryError, match="before this host was booted"):
        status.require_alive(own(-3.0), tmp_path, 10.0)


HOSTILE = [
    "[]",
    "3",
    '{"agents": 3}',
    '{"agents": [{"agent": 1}]}',
    '{"agent": "1", "phase": 3}',
    '{"agent": [1], "phase": "x", "run_id": "", "step": 1, "server_silent_s": null, "written": 0}',
    '{"agent": 1, "phase": "x", "run_id": "", "step": 1, "server_silent_s": "z", "written": 0}',
    '{"agent": 1, "phase": "x", "run_id": "", "step": 1, "server_silent_s": null, "written": 0, "more": 1}',
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_status_of_anything_is_refused_with_a_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / status.STATUS_NAME).write_text(content)
    with pytest.raises(UsageError, match="is no status of this version"):
        status.read(tmp_path)


def test_a_status_steers_no_terminal_and_forges_no_line(tmp_path: Path) -> None:
    keeper = Watchkeeper(1)
    evil = "host\x1b[2J\n    2  ready \u202e"
    agents = keeper.status(1, {1: evil}, [], 0.0)
    team = TeamStatus(phase="run\x1b[31m", run_id="\n" * 9, epoch=1, step=1, last_step=2, written=0.0, agents=agents)
    StatusFile(tmp_path).on(team)
    shown = status.table(status.read(tmp_path))
    assert len(shown.splitlines()) == 3
    assert not set(shown) & set("\x1b\u202e")
    own = status.table(OwnStatus(agent=1, phase="x\x1b[2J\ny", run_id="ab", step=1, server_silent_s=None, written=0.0))
    assert len(own.splitlines()) == 1
    assert "\x1b" not in own


def test_a_watched_run_is_not_walked_through_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is known for a minute, and looked at once more at the end."""
    team = status.TeamStatus(phase="running", run_id="ab", epoch=1, step=3, last_step=9, written=0.0, agents=[])
    looks: list[Path] = []
    states = [*[team] * 5, replace(team, phase="finished")]
    monkeypatch.setattr("dadc_net.storage.kept_run.size_of", lambda path: looks.append(path) or 7)
    monkeypatch.setattr("dadc_net.runtime.status.read", lambda _: states.pop(0))
    monkeypatch.setattr("dadc_net.cli.status.time.sleep", lambda _: None)
    shown = CliRunner().invoke(dadc, ["status", str(tmp_path), "--watch"], catch_exceptions=False)
    assert (shown.exit_code, states, looks) == (0, [], [tmp_path, tmp_path])
    assert shown.output.count("7 B on disk") == 6
