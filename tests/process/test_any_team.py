"""A user's task with agents that differ and a sensor that measures a real number, on real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.commands import descendants, finish, run, start
from tests.process.test_recovery import holder, wait_for_update

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
TASK = ["tests.measuring_team:make_task", "--seed", "7", "--env-seed", "1"]
SMALL = ["--updates", "4", "--num-envs", "3", "--set", "learner.batch_steps=30"]
ROOT = Path(__file__).parents[2]
QUIET = ["--set", "evaluation.monte_carlo_trajectories=2", "--set", "evaluation.trajectories=2", "--json"]


def test_run_gives_the_digest_of_simulate_and_is_checked(tmp_path: Path) -> None:
    real = run(tmp_path, "dadc", "run", *TASK, *SMALL, *QUIET, "--out", "a")
    assert real.code == 0, real.err
    simulated = run(tmp_path, "dadc", "simulate", *TASK, *SMALL, *QUIET)
    assert set(real.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    assert len(real.last["agent_digests"]) == 3
    other = run(tmp_path, "dadc", "simulate", *TASK, *SMALL, *QUIET, "--set", "env.drift=0.25")
    assert other.last["learner_digest"] != simulated.last["learner_digest"]
    checked = run(tmp_path, "dadc", "check", "a", "--recompute", "--seed", "7", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["complete"]) == (0, True, True), checked.err


def test_real_numbers_that_all_agents_see_are_learned_from_alike(tmp_path: Path) -> None:
    cart = ["launch/examples/cart_team.py:make_task", "--set", "structure=delayed-sharing", "--set", "prescriptions=neural"]
    shared = [str(ROOT / cart[0]), *cart[1:], *TASK[1:], *SMALL, *QUIET]
    real = run(tmp_path, "dadc", "run", *shared, "--out", "c")
    assert real.code == 0, real.err
    simulated = run(tmp_path, "dadc", "simulate", *shared)
    assert set(real.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    checked = run(tmp_path, "dadc", "check", "c", "--recompute", "--seed", "7", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["complete"]) == (0, True, True), checked.err


def test_killed_parties_come_back_to_the_same_digest(tmp_path: Path) -> None:
    longer = ["--updates", "60", "--num-envs", "3", "--set", "learner.batch_steps=30"]
    simulated = run(tmp_path, "dadc", "simulate", *TASK, *longer, *QUIET)
    process = start(tmp_path, "dadc", "run", *TASK, *longer, *QUIET, "--out", "r")
    for update, party in ((3, "agent-1"), (12, "server"), (21, "agent-3")):
        wait_for_update(tmp_path / "r/server", update, process)
        victim = holder(tmp_path / "r" / party, descendants(process.pid))
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    ended = finish(process, 240)
    assert ended.code == 0, ended.err
    assert set(ended.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    checked = run(tmp_path, "dadc", "check", "r", "--json")
    assert (checked.last["consistent"], checked.last["complete"]) == (True, True)


def test_a_sensor_that_breaks_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path, "dadc", "run", *TASK, *SMALL, *QUIET, "--set", "env.nan_at=7")
    assert ended.code == 16, ended.err
    assert "the observation of agent 1 in copy 0 is something else" in ended.err
    assert "in the environment room at lock-step 7" in ended.err
    assert "Traceback" not in ended.err


def test_types_that_are_narrower_are_taken(tmp_path: Path) -> None:
    narrow = run(tmp_path, "dadc", "run", *TASK, *SMALL, *QUIET, "--set", "env.narrow=true")
    simulated = run(tmp_path, "dadc", "simulate", *TASK, *SMALL, *QUIET, "--set", "env.narrow=true")
    assert narrow.code == 0, narrow.err
    assert set(narrow.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
