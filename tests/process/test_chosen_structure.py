"""A task under another information structure than its own, on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.commands import run
from tests.test_chosen_structure import OWN_STRUCTURE

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
SMALL = ["--seed", "7", "--env-seed", "1", "--updates", "4", "--num-envs", "3", "--set", "learner.batch_steps=30"]
QUIET = [
    *("--set", "evaluation.monte_carlo_trajectories=4", "--set", "evaluation.progress_trajectories=2"),
    *("--set", "evaluation.trajectories=20", "--set", "evaluation.plan_seconds=1", "--json"),
]


@pytest.mark.parametrize(
    ("task", "chosen", "prescriptions"),
    [
        ("mabc", ["structure.delay_steps=2", "structure=delayed-sharing"], "gibbs"),
        ("dec-tiger", ["structure=delayed-sharing"], "menu"),
    ],
    ids=["mabc", "dec-tiger"],
)
def test_run_gives_the_digest_of_simulate(task: str, chosen: list[str], prescriptions: str, tmp_path: Path) -> None:
    options = [part for one in chosen for part in ("--set", one)]
    real = run(tmp_path, "dadc", "run", task, *options, *SMALL, *QUIET, "--out", "r")
    assert real.code == 0, real.err
    simulated = run(tmp_path, "dadc", "simulate", task, *options, *SMALL, *QUIET)
    assert set(real.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    assert real.last["structure"]["name"] == "delayed-sharing"
    assert real.last["prescriptions"] == prescriptions
    # The planner of a finite task knows every structure; that of mabc its own alone.
    assert [real.last[name] is None for name in ("optimum", "value")] == [task == "mabc"] * 2
    assert simulated.last["value"] == real.last["value"]
    assert real.last["value_monte_carlo"] is not None
    own = run(tmp_path, "dadc", "simulate", task, *SMALL, *QUIET)
    assert own.last["learner_digest"] != simulated.last["learner_digest"]
    checked = run(tmp_path, "dadc", "check", "r", "--recompute", "--seed", "7", "--json")
    assert (checked.code, checked.last["consistent"], checked.last["complete"]) == (0, True, True), checked.err
    # What the folder says is the whole configuration.
    again = run(tmp_path, "dadc", "simulate", "r/config.toml", *SMALL, *QUIET)
    assert again.last["learner_digest"] == simulated.last["learner_digest"]


def test_a_structure_and_maps_from_ones_own_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_STRUCTURE, encoding="utf-8")
    chosen = ["--set", "structure=own.py:Overheard", "--set", "prescriptions=neural", "--algorithm", "ppo"]
    real = run(tmp_path, "dadc", "run", "mabc", *chosen, *SMALL, *QUIET, "--out", "r")
    assert real.code == 0, real.err
    simulated = run(tmp_path, "dadc", "simulate", "mabc", *chosen, *SMALL, *QUIET)
    assert set(real.last["agent_digests"].values()) == {simulated.last["learner_digest"]}
    assert real.last["structure"]["name"] == "overheard-by-all"
    untold = run(tmp_path, "dadc", "evaluate", "r", "--returns", "2", "--json")
    assert untold.code == 2
    assert "own.py:Overheard" in untold.err
    named = run(tmp_path, "dadc", "evaluate", "r", "--returns", "2", "--structure", "own.py:Overheard", "--json")
    assert named.code == 0, named.err
    other = run(tmp_path, "dadc", "evaluate", "r", "--structure", "own.py:Strange")
    assert "Give the structure of the run" in other.err
    # The same command takes the run up, here one that has ended; under another structure nothing is touched.
    again = run(tmp_path, "dadc", "run", "mabc", *chosen, *SMALL, *QUIET, "--out", "r")
    assert (again.code, again.last["agent_digests"]) == (0, real.last["agent_digests"]), again.err
    other = run(tmp_path, "dadc", "run", "mabc", "--set", "structure=own.py:Strange", *SMALL, *QUIET, "--out", "r")
    assert other.code != 0
    page = run(tmp_path, "dadc", "report", "r", "--structure", "own.py:Overheard", "-o", "r.html")
    assert (page.code, "code to be imported" in (tmp_path / "r.html").read_text(encoding="utf-8")) == (0, False)


def test_a_structure_that_does_not_fit_ends_before_anything_starts(tmp_path: Path) -> None:
    ended = run(tmp_path, "dadc", "run", "box-pushing", "--set", "structure=mean-field-sharing", *SMALL, "--out", "r")
    assert ended.code != 0
    assert "structure.values is 2, but agent 1 of box-pushing has the observation" in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "r").exists()
