"""What a few steps before a run find: hidden randomness, writes into what was given, values outside their spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from dadc_net.cli.main import dadc
from dadc_net.config import build
from dadc_net.errors import ConfigError, DadcError, NumericError, UserCodeError
from dadc_net.team.conformance.trial import try_out
from dadc_net.team.environment import Outcome
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import TASKS, Task

GENERATOR = np.random.default_rng()


class Lucky(MultiAccessBroadcast):
    """Has a generator that nobody seeds."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        return super().advance(joint_action, begin, GENERATOR.random(draws.shape))


class OfItsOwn(MultiAccessBroadcast):
    """Has a generator of its own that is no part of its state: the same in two runs, until one is taken up again."""

    def __init__(self, parameters: MultiAccessBroadcastParameters, num_envs: int) -> None:
        super().__init__(parameters, num_envs)
        self._generator = np.random.default_rng(7)

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        return super().advance(joint_action, begin, self._generator.random(draws.shape))


class Writing(MultiAccessBroadcast):
    """Writes into what it was given."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        joint_action[:] = 0
        draws[:] = 0.0
        return outcome


class Sharing(MultiAccessBroadcast):
    """Gives the same array again and again."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        if not hasattr(self, "_kept"):
            self._kept = outcome.rewards
        self._kept[:] = draws[:, 0]
        return outcome._replace(rewards=self._kept)


class Nowhere(MultiAccessBroadcast):
    """Rewards that are no numbers."""

    def advance(self, joint_action: Any, begin: Any, draws: Any) -> Outcome:
        outcome = super().advance(joint_action, begin, draws)
        return outcome._replace(rewards=np.full_like(outcome.rewards, np.nan))


class Raising(MultiAccessBroadcast):
    def state(self) -> dict[str, NDArray[Any]]:
        raise RuntimeError("no state today")


class Guessing(ControlSharing):
    """A structure that tosses coins."""

    def common(self, history: Any, step_in_episode: Any) -> Any:
        found = super().common(history, step_in_episode)
        return GENERATOR.integers(0, 2, found.shape)


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        (Lucky, UserCodeError, "'determinism'.*Take every random number from the draws"),
        (OfItsOwn, UserCodeError, "'state'.*Save and restore every array"),
        (Writing, UserCodeError, "'arguments'.*changed its argument joint_action"),
        (Sharing, UserCodeError, "'arguments'.*rewards returned at lock-step 0 changed"),
        (Nowhere, NumericError, "the reward is an array"),
        (Raising, UserCodeError, "the environment failed: RuntimeError in test_trial.py"),
    ],
)
def test_what_would_spoil_a_run_is_found_before_it(kind: Any, error: type[DadcError], said: str) -> None:
    make = partial(kind, MultiAccessBroadcastParameters())
    with pytest.raises(error, match=f"(?s){said}"):
        try_out(make, ControlSharing(), 16)


def test_a_structure_that_tosses_coins_is_found() -> None:
    with pytest.raises(UserCodeError, match="the information structure breaks the rule 'common'"):
        try_out(partial(MultiAccessBroadcast, MultiAccessBroadcastParameters()), Guessing(), 16)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_built_in_tasks_pass(name: str) -> None:
    task = TASKS[name]
    try_out(partial(task.environment, task.parameters_type()), task.structure, 3)


def a_task(**changed: Any) -> Task:
    return replace(TASKS["mabc"], name="mine", presets={}, **changed)


def raising(*_: Any) -> Any:
    raise OSError("no licence for the simulator")


class Parameters(MultiAccessBroadcastParameters):
    def __post_init__(self) -> None:
        raise ZeroDivisionError("nothing to divide")


class Unfinished(ControlSharing):
    def common_space(self, spec: Any) -> Any:
        raise NotImplementedError("later")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"make": raising}, "making the environment failed: OSError in test_trial.py"),
        ({"make": partial(raising)}, "making the environment failed: OSError in test_trial.py"),
        ({"parameters_type": Parameters}, "making the parameters of the environment failed: ZeroDivisionError"),
        ({"structure": Unfinished()}, "the information structure failed: NotImplementedError"),
        ({"families": {"own": raising}, "default_prescriptions": "own"}, "making the prescriptions failed: OSError"),
    ],
)
def test_code_that_fails_while_a_run_is_configured_is_told_as_its_authors(changed: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UserCodeError, match=said) as caught:
        build({"task": "mine"}, a_task(**changed))
    assert caught.value.exit_code == 17
    with pytest.raises(ConfigError, match=r"env\.nothing"):
        build({"task": "mine", "env": {"nothing": 1}}, a_task())


@pytest.mark.parametrize("options", [(), ("--no-trial",)])
def test_commands_try_before_they_begin_unless_told_not_to(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reached(Exception):
        """The run would begin now."""

    def begin(*_: object) -> None:
        raise Reached

    monkeypatch.setattr("dadc_net.experiment.run_folders.new_folder", begin)
    text = "from tests.team.test_trial import a_task, Lucky\nmake = lambda: a_task(make=Lucky)\n"
    (tmp_path / "lucky.py").write_text(text, encoding="utf-8")
    small = ["--updates", "1", "--num-envs", "2", "--set", "learner.batch_steps=4"]
    ended = CliRunner().invoke(dadc, ["simulate", f"{tmp_path / 'lucky.py'}:make", *small, *options])
    if options:
        assert isinstance(ended.exception, Reached)
    else:
        assert isinstance(ended.exception, UserCodeError)
        assert "--no-trial begins the run all the same" in str(ended.exception)
