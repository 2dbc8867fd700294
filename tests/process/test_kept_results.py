"""A finished training is never lost: its folder can be read back, and no figure of its summary ends the command."""

from __future__ import annotations

import json
import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dadc_net.experiment.sweep.collection import read_results
from dadc_net.runtime.metrics import read_metrics
from tests.process.commands import SMALL, run, start
from tests.process.test_recovery import wait_for_update

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
LENGTH = ["--updates", "25", "--num-envs", "2", "--set", "learner.batch_steps=100"]


def test_a_task_with_odd_defaults_resumes_and_is_evaluated(tmp_path: Path) -> None:
    task = "tests.user_task:make_numpy_task"
    simulated = run(tmp_path, "dadc", "simulate", task, "--seed", "7", *LENGTH, "--out", "s", "--json")
    assert simulated.code == 0, simulated.err
    digest = simulated.last["learner_digest"]
    command = ("dadc", "run", task, "--seed", "7", *LENGTH, "--out", "r", "--json")
    process = start(tmp_path, *command)
    wait_for_update(tmp_path / "r/server", 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = run(tmp_path, *command)
    assert (resumed.code, resumed.last["learner_digest"]) == (0, digest), resumed.err
    assert "resumes at record" in resumed.err
    for folder in ("s", "r"):
        evaluated = run(tmp_path, "dadc", "evaluate", folder, "--task", task, "--json")
        assert (evaluated.code, evaluated.last["learner_digest"]) == (0, digest), evaluated.err
        held = tomllib.loads((tmp_path / folder / "config.toml").read_text(encoding="utf-8"))["env"]
        assert (held["success_reward"], held["samples"], held["verbose"]) == (1.0, 300, False)
        assert (held["traces"], held["note"]) == ('my traces/"1".csv', "line\nnext \x7f ü")
    refused = run(tmp_path, "dadc", "run", task, *SMALL, "--set", 'env.note="\\ud83d"', "--out", "x")
    assert refused.code == 2
    assert not (tmp_path / "x").exists()


WORTHLESS = ["--set", "menu=all", "--set", "env.success_reward=0.3", "--set", "env.transmission_cost=0.4"]
"""A transmission costs more than it brings: the optimum is to do nothing, and V* = 0."""


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def test_an_optimum_of_zero_loses_nothing(tmp_path: Path) -> None:
    for command in ("simulate", "run"):
        ended = run(tmp_path, "dadc", command, "mabc", *SMALL, *WORTHLESS, "--out", command)
        assert ended.code == 0, ended.err
        assert "no relative gap, V* is 0" in ended.out
        kept = result(tmp_path / command)
        assert (kept["optimum"], kept["gap"], kept["valued"], kept["valuation_troubles"]) == (0.0, None, True, [])
        assert kept["value"] <= 0
    evaluated = run(tmp_path, "dadc", "evaluate", "run")
    assert evaluated.code == 0, evaluated.err
    assert "no relative gap, V* is 0" in evaluated.out
    again = run(tmp_path, "dadc", "run", "mabc", *SMALL, *WORTHLESS, "--out", "run")
    assert (again.code, "no relative gap, V* is 0" in again.out) == (0, True), again.err
    gaps = [line["gap"] for line in read_metrics(tmp_path / "run") if line["kind"] == "value"]
    assert gaps
    assert set(gaps) == {None}
    (tmp_path / "f.toml").write_text(
        '''[[curve]]
name = "zero"
task = "mabc"
seeds = 2
updates = 2
menu = "all"
env = { success_reward = 0.3, transmission_cost = 0.4 }
learner = { num_envs = 4, batch_steps = 40 }
evaluation = { trajectories = 20, progress_trajectories = 10, monte_carlo_trajectories = 10 }
''',
        encoding="utf-8",
    )
    swept = run(tmp_path, "dadc", "sweep", "f.toml", "--jobs", "1", "--out", "w", "--json")
    assert swept.code == 0, swept.err
    assert [(curve["seeds"], curve["gap"]) for curve in swept.last["curves"]] == [(2, None)]


def test_an_environment_without_the_copies_for_an_evaluation_keeps_what_was_learned(tmp_path: Path) -> None:
    task = "tests.user_task:make_scarce_task"
    for command in ("simulate", "run"):
        ended = run(tmp_path, "dadc", command, task, *SMALL, "--out", command, "--json")
        assert ended.code == 0, ended.err
        assert "could not be valued: RuntimeError: only 8 simulators are there, not 100" in ended.err
        assert "or 0 to leave this valuation out" in ended.err
        assert (ended.last["value_monte_carlo"], ended.last["valued"]) == (None, True)
        assert ended.last == result(tmp_path / command)
    evaluated = run(tmp_path, "dadc", "evaluate", "run", "--task", task)
    assert (evaluated.code, "only 8 simulators" in evaluated.err) == (2, True), evaluated.err
    fewer = run(tmp_path, "dadc", "evaluate", "run", "--task", task, "--returns", "8", "--json")
    assert (fewer.code, fewer.last["learner_digest"]) == (0, result(tmp_path / "simulate")["learner_digest"]), fewer.err
    assert fewer.last["value_monte_carlo"] is not None
    kinds = ("monte_carlo_trajectories", "trajectories", "progress_trajectories")
    none = [part for kind in kinds for part in ("--set", f"evaluation.{kind}=0")]
    off = run(tmp_path, "dadc", "simulate", task, *SMALL, *none, "--out", "off")
    assert (off.code, "could not" in off.err) == (0, False), off.err
    assert "not valued by plain Monte Carlo" in off.out
    (shown,) = read_results([tmp_path / "off"])  # Of a rule that nobody has valued, dadc plot shows what was earned.
    assert len(shown["learning"]["value"]) > 0
    few = run(tmp_path, "dadc", "evaluate", "run", "--task", task, "--copies", "8", "--json")
    assert (few.code, few.last["value_monte_carlo"] is not None) == (0, True), few.err
    curve = f'[[curve]]\nname = "c"\ntask = "{task}"\nseeds = 1\nupdates = 2\n'
    copies = "[curve.learner]\nnum_envs = 4\nbatch_steps = 40\n"
    (tmp_path / "f.toml").write_text(curve + copies, encoding="utf-8")
    swept = run(tmp_path, "dadc", "sweep", "f.toml", "--jobs", "1", "--out", "w")
    assert swept.code != 0
    assert "Nothing was trained" in swept.err


def test_a_run_that_was_killed_while_it_was_valued_is_valued_by_the_same_command(tmp_path: Path) -> None:
    command = ("dadc", "run", "mabc", *SMALL, "--out", "r", "--json")
    ended = run(tmp_path, *command)
    assert ended.code == 0, ended.err
    whole = result(tmp_path / "r")
    unvalued = {**whole, "value": None, "gap": None, "optimum": None, "value_monte_carlo": None, "valued": False}
    (tmp_path / "r/result.json").write_text(json.dumps(unvalued), encoding="utf-8")
    again = run(tmp_path, *command)
    # The rank of the AIS was that of the last checkpoint, which the second command did not see.
    seen = {"ais_rank", "ais_collapsed"}
    assert (again.code, {**again.last, **{key: whole[key] for key in seen}}) == (0, whole), again.err
    assert result(tmp_path / "r") == again.last
