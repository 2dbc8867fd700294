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
from dadc_net.experiment.baselines import baselines
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


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Lonely", r"has no possible_agents"),
        ("Old", r"returned a dict at reset\(seed=0\), where a tuple of observations, infos belongs"),
        ("Four", r"returned a tuple of 4 at step 1 .*PettingZoo's present ParallelEnv"),
        ("Silent", r"gives late no observation at reset"),
        ("Short", r"gives late an observation of 1 numbers at reset.*one of 2 numbers"),
        ("Wordily", r"raised ValueError: could not convert string to float: 'much', at step 1"),
    ],
)
def test_what_is_no_parallel_env_is_told(kind: str, message: str) -> None:
    def driven() -> None:
        task = load_task(f"pettingzoo:tests.extras.parallel_envs.{kind}")
        environment = task.make(task.parameters_type(), 1)
        for begin in (True, False):
            environment.advance(np.zeros((1, 2), np.int64), np.array([begin]), np.zeros((1, 1)))

    with pytest.raises((ConfigError, NumericError), match=message):
        driven()


def test_the_last_reward_can_be_public() -> None:
    config = resolve(MIXED, (*SMALL, "env.public_reward=2.5"))
    assert check_task(config.task, config.parameters, copies=2, steps=40) == []
    environment = config.task.make(config.parameters, 1)
    seen = []
    for begin in (True, False, False, False):
        found = environment.advance(np.ones((1, 2), np.int64), np.array([begin]), np.zeros((1, 1)))
        seen.append((float(found.rewards[0]), found.public[0].tolist()))
    assert seen == [(0.0, [0.0]), (3.0, [2.5]), (3.0, [2.5]), (2.0, [2.0])]


def test_a_team_that_counts_and_measures_is_valued_beside_rules_that_do_one_thing() -> None:
    """One agent's observations are whole numbers, the other's are not."""
    config = resolve(MIXED, SMALL)
    assert (config.evaluation.trajectories, config.evaluation.copies) == (200, 64)
    found = baselines(config, None, 8)
    # Whatever is done earns 3 for two steps and 2 for two more.
    worth = 3.0 + 3.0 * 0.95 + 2.0 * 0.95**2 + 2.0 * 0.95**3
    assert found.random is not None
    assert found.constant is not None
    assert (found.random.value, found.constant.value) == pytest.approx((worth, worth))
    assert "of agents 1 to 2, whatever is seen" in found.prescription


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
