"""Drawing with matplotlib: the file is there, of its kind, and holds what it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.process.commands import SMALL, run

pytestmark = [pytest.mark.extras, pytest.mark.process, pytest.mark.timeout(600)]

SWEEP = """
seeds = 2
[common]
updates = 3
learner = { num_envs = 4, batch_steps = 40 }
evaluation = { trajectories = 20, progress_trajectories = 10, monte_carlo_trajectories = 10 }
[[curve]]
name = "first problem"
label = "apples"
[[curve]]
name = "second problem"
panel = "another"
label = "pears"
env = { transmission_cost = 0.1 }
"""


def test_both_panels_of_a_sweep_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SWEEP, encoding="utf-8")
    swept = run(tmp_path, "dadc", "sweep", "s.toml", "--out", "r", "--collect", "all.json", "--json")
    assert swept.code == 0, swept.err
    for name, start in (("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")):
        drawn = run(tmp_path, "dadc", "plot", "r", "-o", name)
        assert drawn.code == 0, drawn.err
        assert "2 panels, 2 curves, 4 runs" in drawn.out
        assert (tmp_path / name).read_bytes().startswith(start)
    optima = [f"optimum {curve['optimum']:.4f}" for curve in swept.last["curves"]]
    # Text becomes outlines in an SVG; matplotlib writes what it was beside them.
    image = (tmp_path / "f.svg").read_text(encoding="utf-8")
    for words in ("apples (2 seeds)", "pears (2 seeds)", "another", "mabc", "blind round-robin", *optima):
        assert f"<!-- {words}" in image
    collected = run(tmp_path, "dadc", "plot", "all.json", "-o", "g.svg", "--title", "fruit")
    assert collected.code == 0, collected.err
    assert "<!-- fruit -->" in (tmp_path / "g.svg").read_text(encoding="utf-8")
    assert len(json.loads((tmp_path / "all.json").read_text())["curves"]) == 2


def test_a_run_is_drawn_and_an_empty_folder_is_not(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "simulate", "mabc", *SMALL, "--out", "r", "--quiet").code == 0
    drawn = run(tmp_path, "dadc", "plot", "r", "-o", "f.png")
    assert (drawn.code, (tmp_path / "f.png").is_file()) == (0, True)
    (tmp_path / "empty").mkdir()
    refused = run(tmp_path, "dadc", "plot", "empty", "-o", "g.png")
    assert (refused.code, (tmp_path / "g.png").exists()) == (2, False)
    assert "holds no results" in refused.err
    nowhere = run(tmp_path, "dadc", "plot", "r", "-o", "none/f.png")
    assert nowhere.code == 2
    assert "cannot be written" in nowhere.err
