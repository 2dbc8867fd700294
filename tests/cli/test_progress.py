"""What every user sees of a run: a bar on a terminal, some lines elsewhere, and a summary that says less of many agents."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dadc_net.cli import status_line
from dadc_net.cli.event_text import party_text
from dadc_net.cli.figures_text import duration_text, fitting, rate_text
from dadc_net.cli.progress import Progress, _digest_lines
from dadc_net.runtime.events import AgentResumed, Evaluated, Joined, Left, ServerResumed, Troubled, Updated


def test_a_large_team_that_agrees_takes_one_line_and_one_that_does_not_is_listed() -> None:
    equal = {str(agent): "ab" for agent in range(1, 101)}
    assert _digest_lines(equal) == ["agents 1 to 100  ab"]
    assert len(_digest_lines(equal | {"7": "cd"})) == 100
    assert len(_digest_lines({"1": "ab", "2": "ab"})) == 2


def test_slow_rates_are_not_shown_as_zero() -> None:
    assert (rate_text(0.394), rate_text(321.4)) == ("0.39", "321")


def updated(update: int, reward: float = 0.5) -> Updated:
    return Updated(
        update=update,
        updates=20,
        env_steps=40 * update,
        reward_per_step=reward,
        lock_steps=10 * update,
        lock_steps_here=10 * update,
        seconds=0.1 * update,
    )


def evaluated(value: float | None, share: float | None) -> Evaluated:
    return Evaluated(update=1, env_steps=40, value=value, value_stderr=None, gap=None, round_robin_share=share)


def drive(progress: Progress) -> None:
    """A run of twenty updates with a value and a trouble on the way."""
    progress.note("a headline")
    for update in range(1, 21):
        progress.on(updated(update))
        if update == 10:
            progress.on(evaluated(0.8, 0.25))
            progress.on(Left(agent=2, step=99))
            progress.on(Joined(agent=2, hostname="right", missing=[]))
    progress.close()


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(status_line, "_REDRAW_SECONDS", 0.0)
    drive(Progress(20, quiet=False))
    shown = capsys.readouterr().err
    lines = shown.split("\n")
    assert lines[0] == "a headline"
    first, last = lines[1].split("\r")[1], lines[-2].split("\r")[-1]
    assert "update 1/20  100 lock-steps/s  2 s left  reward/step +0.5000  digests equal" in first
    assert first.startswith("[#....")
    assert "value" not in first
    assert "value 0.8000  (+25 % of round-robin to optimum)  100 lock-steps/s" in last
    assert last.startswith("[#####")
    assert "." not in last.split("]")[0]
    assert "agent 2 has gone at record 99; waiting for it" in lines
    assert not any("joined" in line for line in lines), "a run of one command does not tell who joins"
    assert max(len(part) for line in lines for part in line.split("\r")) <= 149


def test_a_line_fits_eighty_columns_and_says_what_matters_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(bytes(1_234_567))
    drive(Progress(20, quiet=False, folder=tmp_path))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("update ")]
    assert lines[6] == "update 14/20  value 0.8000  100 lock-steps/s  1 s left  1.2 MB  digests equal"
    assert max(map(len, lines)) <= 80
    told = [duration_text(seconds) for seconds in (0.4, 61, 700, 3660, 90_000)]
    assert told == ["0 s", "1 min 1 s", "11 min", "1 h 1 min", "1 d 1 h"]
    assert fitting([(0, "a" * 30), (9, "b"), (1, "c")], 33) == f"{'a' * 30}  c"


def test_a_redrawn_line_is_not_drawn_for_every_update(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(status_line, "_REDRAW_SECONDS", 1e9)
    progress = Progress(20, quiet=False)
    for update in range(1, 21):
        progress.on(updated(update))
    assert capsys.readouterr().err.count("\r") == 1, "the last update alone is drawn whatever the time"


def test_ten_plain_lines_elsewhere_and_silence(capsys: pytest.CaptureFixture[str]) -> None:
    drive(Progress(20, quiet=False, agreed="common log equal"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("update ")] == [f"{n}/20" for n in range(2, 21, 2)]
    assert all(line.endswith("common log equal") for line in lines if line.startswith("update "))
    drive(Progress(20, quiet=True))
    assert capsys.readouterr().err == ""


def test_a_party_by_itself_tells_more(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(20, quiet=False, describe=party_text)
    progress.on(Joined(agent=1, hostname="left", missing=[2]))
    progress.on(Joined(agent=2, hostname="right", missing=[]))
    progress.on(ServerResumed(step=-1, lost=0, mended=[], epoch=2))
    progress.on(AgentResumed(agent=1, step=5, computed=3))
    progress.on(evaluated(None, None))
    progress.on(Troubled(agent=1, text=""))
    assert capsys.readouterr().err.splitlines() == [
        "agent 1 joined from left; waiting for agent 2",
        "agent 2 joined from right; all joined",
        "server resumes before its first record, epoch 2",
        "agent 1 resumes at record 5, 3 of them computed again",
    ]
