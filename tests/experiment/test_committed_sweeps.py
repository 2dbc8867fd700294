"""The sweeps of ``launch`` and the results that are kept beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.experiment.evaluation import plan_of
from dadc_net.experiment.sweep import collection
from dadc_net.experiment.sweep.result_folder import changes
from dadc_net.experiment.sweep.sweep_file import read_sweep
from dadc_net.experiment.sweep.trial import Trial


@pytest.mark.parametrize("name", ["figure-2.toml", "robustness.toml"])
def test_the_committed_sweeps_can_be_read_and_drawn_in_panels_of_one_problem(name: str) -> None:
    curves = read_sweep(Path(__file__).parents[2] / "launch" / name).curves
    problems: dict[str, Any] = {}
    for curve in curves:
        config = curve.config
        optimum = round(plan_of(config).value, 9)
        problem = (config.task.name, config.parameters, config.settings.discount, optimum)
        assert problems.setdefault(curve.panel, problem) == problem
        assert config.preset == "tuned"
        assert len(curve.seeds) == (25 if name == "figure-2.toml" else 10)
        default = (config.parameters, config.settings.discount) == (config.task.parameters_type(), 0.9)
        assert default == (name == "figure-2.toml")
    assert len(problems) == (3 if name == "figure-2.toml" else 9)


def test_the_benchmark_of_teams_has_one_setting_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    curves = read_sweep(Path("launch/teams.toml")).curves
    problems: dict[str, set[str]] = {}
    for curve in curves:
        config = curve.config
        assert (config.preset, len(curve.seeds)) == ("general", 10)
        assert config.settings.updates * config.settings.learner.batch_steps <= 1_000_000
        assert config.evaluation.plan_seconds > 0.0
        _assert_recipe(config)
        problems.setdefault(curve.panel, set()).add(config.settings.algorithm)
    assert len(problems) >= 8
    assert set().union(*problems.values()) == set(ALGORITHMS)
    assert all({"ppo", "actor-critic", "trpo"} <= known for known in problems.values())


def test_the_further_teams_have_the_recipe_and_problems_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    curves = read_sweep(Path("launch/further-teams.toml")).curves
    known = {curve.config.task.name for curve in read_sweep(Path("launch/teams.toml")).curves}
    assert not {curve.config.task.name for curve in curves} & known
    assert len({curve.panel for curve in curves}) == len(curves) == 5
    for curve in curves:
        _assert_recipe(curve.config)


def _assert_recipe(config: RunConfig) -> None:
    """The recipe as it stands: no curve says anything of the learner."""
    chosen = {"preset": "general", "algorithm": config.settings.algorithm, "prescriptions": config.prescriptions}
    horizon = getattr(config.parameters, "horizon", 0)
    usual = resolve(config.task_argument, (), {**chosen, **({"env.horizon": horizon} if horizon else {})}).settings
    assert (config.settings.learner, config.settings.ais) == (usual.learner, usual.ais)
    assert config.settings.own == usual.own


@pytest.mark.parametrize("name", ["teams", "further-teams"])
def test_the_committed_results_are_those_of_the_sweep_as_it_stands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    curves = {curve.name: curve for curve in read_sweep(Path(f"launch/{name}.toml")).curves}
    for record in collection.read_results([Path(f"launch/results/{name}.json")]):
        curve = curves[record["curve"]]
        trial = Trial(
            curve=curve.name,
            panel=curve.panel,
            label=curve.label,
            folder=curve.folder,
            seed=record["seed"],
            environment_seed=record["environment_seed"],
            configuration=curve.config.to_plain(),
        )
        assert changes({**record, "digest": ""}, trial) == []
