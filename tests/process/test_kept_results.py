"""A finished training is never lost: its folder can be read back, and no figure of its summary ends the command."""

from __future__ import annotations

import os
import signal
import tomllib
from pathlib import Path

import pytest

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
        evaluated = run(tmp_path, "dadc", "evaluate", folder, "--json")
        assert (evaluated.code, evaluated.last["learner_digest"]) == (0, digest), evaluated.err
        held = tomllib.loads((tmp_path / folder / "config.toml").read_text(encoding="utf-8"))["env"]
        assert (held["success_reward"], held["restart_steps"], held["verbose"]) == (1.0, 300, False)
        assert (held["traces"], held["note"]) == ('my traces/"1".csv', "line\nnext \x7f ü")
    refused = run(tmp_path, "dadc", "run", task, *SMALL, "--set", 'env.note="\\ud83d"', "--out", "x")
    assert refused.code == 2
    assert not (tmp_path / "x").exists()
