"""``dadc sweep`` on real processes: results, resuming after kill -9, Ctrl-C, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.process.commands import descendants, finish, run, start, wait_for, wait_until_gone

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

LONG = """
seeds = 3
[common]
evaluation = { trajectories = 20, progress_trajectories = 10, monte_carlo_trajectories = 10, every_updates = 100000 }
[[curve]]
name = "short"
updates = 2
learner = { num_envs = 4, batch_steps = 40 }
[[curve]]
name = "long"
seeds = [0]
updates = 3000
learner = { num_envs = 4, batch_steps = 40 }
"""

BROKEN = """
from dataclasses import replace
from dadc_net.errors import NumericError
from dadc_net.team.tasks import find_task

class Broken:
    def __init__(self, parameters, num_envs):
        self._inner = find_task("mabc").make(parameters, num_envs)
        self.spec, self.num_envs, self._steps = self._inner.spec, num_envs, 0

    def advance(self, *arguments):
        self._steps += 1
        if self._steps == 15:
            raise NumericError("the environment broke. At step 14. Mend it.")
        return self._inner.advance(*arguments)

def make_task():
    return replace(find_task("mabc"), name="broken", make=Broken)
"""


def _file(folder: Path, text: str = LONG) -> str:
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return "s.toml"


def test_a_sweep_runs_everything_once_and_shows_a_table(tmp_path: Path) -> None:
    options = ["dadc", "sweep", _file(tmp_path), "--only", "short", "--jobs", "2", "--json", "--collect", "all.json"]
    first = run(tmp_path, *options)
    assert first.code == 0, first.err
    (curve,) = first.last["curves"]
    assert (curve["curve"], curve["seeds"], curve["seeds_wanted"], curve["env_steps"]) == ("short", 3, 3, 80)
    assert "3/3" in first.err
    results = sorted((tmp_path / "runs" / "s-sweep").rglob("*"))
    assert [path.name for path in results] == ["short", "seed-0000.json", "seed-0001.json", "seed-0002.json"]
    written = [path.stat().st_mtime_ns for path in results]
    assert len(json.loads((tmp_path / "all.json").read_text())["curves"][0]["seeds"]) == 3
    again = run(tmp_path, *options)
    assert (again.code, again.last) == (0, first.last)
    assert [path.stat().st_mtime_ns for path in results] == written
    changed = run(tmp_path, *options, "--set", "ais.size=3")
    assert changed.code == 11
    assert "ais.size: 16 -> 3" in changed.err


def test_a_failing_run_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    broken = LONG.replace("updates = 3000", 'task = "broken:make_task"\nupdates = 3')
    ended = run(tmp_path, "dadc", "sweep", _file(tmp_path, broken), "--jobs", "2")
    assert ended.code == 16, ended.err
    assert "long, seed 0: the environment broke" in ended.err
    assert "Traceback" not in ended.err
    assert "3/3" in ended.out
    assert "0/1" in ended.out


def test_a_sweep_that_was_killed_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    options = ["dadc", "sweep", _file(tmp_path), "--jobs", "2", "--out", "r"]
    killed = start(tmp_path, *options)
    results = tmp_path / "r" / "short"
    wait_for(lambda: len(list(results.glob("seed-*.json"))) == 3 or killed.poll() is not None, "three results")
    children = descendants(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    finish(killed)
    assert wait_until_gone(children) == set()
    kept = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    assert len(kept) == 3
    assert not (tmp_path / "r" / "long").exists()
    resumed = run(tmp_path, *options, "--set", "updates=2", "--again", "--only", "long")
    assert resumed.code == 0, resumed.err
    assert "1 of 1 runs to do" in resumed.err
    shown = run(tmp_path, *options[:3], "--out", "r", "--only", "short", "--show", "--json")
    assert shown.last["curves"][0]["seeds"] == 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_ctrl_c_ends_a_sweep_cleanly(tmp_path: Path) -> None:
    options = ["dadc", "sweep", _file(tmp_path), "--jobs", "2", "--out", "r"]
    process = start(tmp_path, *options)
    wait_for(lambda: (tmp_path / "r" / "short" / "seed-0000.json").exists() or process.poll() is not None, "a result")
    children = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130, ended.err
    assert "goes on from there" in ended.err
    assert "Traceback" not in ended.err
    assert "short" in ended.out
    assert wait_until_gone(children) == set()
