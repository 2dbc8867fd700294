"""Progress of a sweep: a bar on a terminal, one line per run elsewhere, nothing when quiet."""

from __future__ import annotations

import sys

import pytest

from dadc_net.cli.sweep_progress import SweepProgress
from dadc_net.errors import NumericError
from dadc_net.experiment.sweep.trial import Trial

RECORD = {"gap": 0.0125, "value": 0.85, "wall_s": 3.0}


def _trial(seed: int) -> Trial:
    return Trial("curve", "panel", "label", "curve", seed, seed, {})


def _drive(progress: SweepProgress) -> None:
    with progress:
        for seed in (0, 1):
            progress.started(_trial(seed))
        progress.progressed(_trial(1), 0.5)
        progress.finished(_trial(0), RECORD)
        progress.failed(_trial(1), NumericError("NaN. Here. Stop."))


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    _drive(SweepProgress(4, 3, quiet=False))
    shown = capsys.readouterr().err
    *_, before, last = shown.rstrip("\n").split("\r")
    assert "2/4, 1 running" in before
    assert "curve, seed 0: value 0.8500, gap 1.25 %" in before
    assert before.startswith("[###############.........]")  # One was done before, one is done, one half: 2.5 of 4.
    assert "2/4, 1 failed, 0 running" in last
    assert "h left" in last
    assert shown.endswith("\n")
    assert max(map(len, shown.split("\r"))) <= 160


def test_lines_elsewhere_and_silence(capsys: pytest.CaptureFixture[str]) -> None:
    _drive(SweepProgress(4, 3, quiet=False))
    assert capsys.readouterr().err.splitlines() == [
        "2/4  curve, seed 0: value 0.8500, gap 1.25 %, 3 s",
        "curve, seed 1 failed: NaN. Here. Stop.",
    ]
    _drive(SweepProgress(4, 3, quiet=True))
    assert capsys.readouterr().err == ""
