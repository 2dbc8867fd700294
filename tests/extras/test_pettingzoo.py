"""PettingZoo both ways: environments that others wrote train here, and tasks of ours pass PettingZoo's own tests."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadc_net
from dadc_net.config import resolve
from dadc_net.errors import ConfigError, NumericError, UsageError, UserCodeError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.named_code import load_task
from dadc_net.runtime.problem import try_environment
from dadc_net.team.conformance import check_task
from dadc_net.team.environment import Ended
from tests.process.commands import run

pytestmark = [pytest.mark.extras, pytest.mark.timeout(600)]
SPREAD = "pettingzoo:mpe2.simple_spread_v3"
MIXED = "pettingzoo:tests.extras.parallel_envs.Mixed"
SMALL = ("learner.num_envs=2", "learner.batch_steps=20", "evaluation.monte_carlo_trajectories=0")


@pytest.mark.parametrize("name", [SPREAD, "pettingzoo:mpe2.simple_reference_v3", MIXED])
def test_environments_of_others_conform(name: str) -> None:
    # Restoring is a part of it: the seed and the actions are the whole state.
    assert check_task(load_task(name), copies=2, steps=40) == []


def test_a_hidden_generator_is_found() -> None:
    found = check_task(load_task("pettingzoo:tests.extras.parallel_envs.Unseeded"), copies=2, steps=40)
    assert "determinism" in {finding.rule for finding in found}


def test_one_that_is_not_determined_by_its_seed_can_say_so() -> None:
    name = "pettingzoo:tests.extras.parallel_envs.Unseeded"
    config = resolve(name, (*SMALL, "env.replayable=false"))
    assert check_task(config.task, config.parameters, copies=2, steps=40) == []
    try_environment(config)
    with pytest.raises(UserCodeError, match="determinism"):
        try_environment(resolve(name, SMALL))
    assert (config.replayable, config.evaluation.trajectories) == (False, 0)


@pytest.mark.parametrize("name", ["mabc", "dec-tiger", "tests.measuring_team:make_task", MIXED])
def test_tasks_pass_the_tests_of_pettingzoo(name: str) -> None:
    with warnings.catch_warnings():
        # It warns of its own former interface while it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        from pettingzoo.test import parallel_api_test, parallel_seed_test
    parallel_api_test(dadc_net.to_pettingzoo(name), 120)
    parallel_seed_test(functools.partial(dadc_net.to_pettingzoo, name), 60)


def _advance(reward: str, steps: int) -> list[Any]:
    environment = resolve(MIXED, (*SMALL, f"env.reward={reward}")).task.make(
        resolve(MIXED, (*SMALL, f"env.reward={reward}")).parameters, 1
    )
    stream = Stream("test", seed_bytes(1))
    begin = np.ones(1, dtype=np.bool_)
    found = []
    for step in range(steps):
        found.append(environment.advance(np.ones((1, 2), dtype=np.int64), begin, stream.uniforms(step, 1, 1)))
        begin = np.asarray(found[-1].ended) != 0
    return found


def test_rewards_early_ends_and_both_kinds_of_ends() -> None:
    # Each step early earns 1, late 2; early has gone after two steps, late after four.
    assert [float(one.rewards[0]) for one in _advance("sum", 5)] == [0.0, 3.0, 3.0, 2.0, 2.0]
    assert [float(one.rewards[0]) for one in _advance("mean", 5)] == [0.0, 1.5, 1.5, 1.0, 1.0]
    assert [float(one.rewards[0]) for one in _advance("early", 5)] == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert [int(one.ended[0]) for one in _advance("sum", 5)] == [0, 0, 0, 0, Ended.TRUNCATED]
    # Whoever has gone keeps its last observation.
    early = [one.observations[0][0].tolist() for one in _advance("sum", 5)]
    assert early[2] == early[3] == early[4] != early[1]


def test_words_for_what_cannot_be_run() -> None:
    with pytest.raises(ConfigError, match=r"'earl', which is no agent.*Did you mean.*early"):
        resolve(MIXED, (*SMALL, "env.reward=earl"))
    with pytest.raises(UsageError, match="cannot be loaded"):
        resolve("pettingzoo:mpe2.no_such_world")
    with pytest.raises(ConfigError, match=r"not name=value"):
        resolve(MIXED, (*SMALL, 'env.arguments=["limit"]'))
    with pytest.raises(ConfigError, match=r"Text.*no space for"):
        resolve("pettingzoo:tests.extras.parallel_envs.Wordy")
    task = load_task("pettingzoo:tests.extras.parallel_envs.Broken")
    broken = task.make(task.parameters_type(), 1)
    with pytest.raises(NumericError, match=r"raised ValueError: out of order"):
        broken.advance(np.zeros((1, 2), np.int64), np.ones(1, np.bool_), np.zeros((1, 1)))


@pytest.mark.process
def test_real_processes_and_a_simulation_have_one_digest(tmp_path: Path) -> None:
    sets = [word for key in SMALL for word in ("--set", key)]
    lines = []
    for command in ("run", "simulate"):
        done = run(tmp_path, "dadc", command, MIXED, *sets, "--updates", "2", "--out", command, "--json")
        assert done.code == 0, done.err
        lines.append(done.last["learner_digest"])
    assert lines[0] == lines[1]
    checked = run(tmp_path, "dadc", "check", "run")
    assert checked.code == 0, checked.err
