"""Presets are data that a task brings along: all of the built-in ones resolve, and a name never selects somebody else's."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dadc_net
from dadc_net.config import build, resolve
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.errors import ConfigError
from dadc_net.presets import preset, presets, recipe
from dadc_net.team.tasks import TASKS, Task

OWN: Mapping[str, Any] = {
    "tuned": {"ppo": {"updates": 7, "ppo": {"epochs": 3}}},
    "quick": {"actor-critic": {"updates": 2, "learner": {"num_envs": 2, "batch_steps": 8}}},
}
_offered: dict[str, Any] = {}


def offered() -> Task:
    """What ``tests.test_presets:offered`` names: the broadcast problem under its own name, with the presets of a test."""
    return replace(TASKS["mabc"], presets=_offered["presets"])


def offer(monkeypatch: pytest.MonkeyPatch, given: object) -> str:
    """TASK argument of a user's task that is called mabc too."""
    monkeypatch.setitem(_offered, "presets", given)
    return "tests.test_presets:offered"


def _built_in() -> Iterator[tuple[str, str, str]]:
    for task in TASKS.values():
        for name, by_algorithm in presets(task).items():
            yield from ((task.name, name, algorithm) for algorithm in by_algorithm)


@pytest.mark.parametrize(("task", "name", "algorithm"), list(_built_in()))
def test_every_built_in_preset_resolves_to_what_it_says(task: str, name: str, algorithm: str) -> None:
    config = resolve(task, [], {"algorithm": algorithm, "preset": name})
    plain = config.to_plain()
    said = preset(TASKS[task], algorithm, name)
    assert said
    for key, value in said.items():
        if isinstance(value, Mapping):
            assert {one: plain[key][one] for one in value} == value
        else:
            assert plain[key] == value


def test_the_files_belong_to_the_package() -> None:
    """They lie beside the tasks, and the patterns of pyproject.toml carry them into a wheel."""
    house = Path(dadc_net.__file__).parent
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    carried = {path for pattern in project["tool"]["setuptools"]["package-data"]["dadc_net"] for path in house.glob(pattern)}
    assert house / "general.toml" in carried
    named = [task.presets.partition(":") for task in TASKS.values() if isinstance(task.presets, str)]
    assert named
    for package, _, name in named:
        assert house.parent.joinpath(*package.split("."), name) in carried


def test_a_users_task_called_mabc_does_not_get_the_presets_of_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("mabc", [], {"algorithm": "ppo"}).settings.updates == 1200
    assert resolve(offer(monkeypatch, {}), [], {"algorithm": "ppo"}).settings.updates == recipe()["ppo"]["updates"]
    with pytest.raises(ConfigError, match=r"preset is 'paper', which does not exist .* Choose one of general\."):
        resolve(offer(monkeypatch, {}), [], {"algorithm": "ppo", "preset": "paper"})


def test_a_users_task_brings_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    argument = offer(monkeypatch, OWN)
    assert resolve(argument, [], {"algorithm": "ppo"}).settings.updates == 7
    quick = resolve(argument, ["learner.num_envs=4"], {"preset": "quick"})
    assert (quick.settings.updates, quick.settings.learner.num_envs, quick.settings.learner.batch_steps) == (2, 4, 8)
    package = tmp_path / "team_of_ours"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "ours.toml").write_text("# Why it is so.\n[quick.trpo]\nupdates = 9\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    argument = offer(monkeypatch, "team_of_ours:ours.toml")
    assert resolve(argument, [], {"algorithm": "trpo", "preset": "quick"}).settings.updates == 9


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_a_task_without_presets_gets_the_recipe(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name is, and the built-in task of that name gets its own."""
    prescriptions = None if "menu" in ALGORITHMS[algorithm].thetas else "opportunity"
    options = {"algorithm": algorithm, "prescriptions": prescriptions}
    config = resolve(offer(monkeypatch, {}), [], options)
    plain = config.to_plain()
    assert (config.preset, resolve("mabc", [], options).preset) == ("general", "tuned")
    assert set(recipe()) == {*ALGORITHMS, "other"}
    for key, value in recipe()[algorithm].items():
        assert ({one: plain[key][one] for one in value} if isinstance(value, Mapping) else plain[key]) == value
    chosen = resolve("mabc", ["preset=general"], options)
    assert chosen.settings == config.settings
    assert build(chosen.to_plain()) == chosen


def test_an_algorithm_without_a_table_has_the_recipe_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "newest", replace(ALGORITHMS["actor-critic"], name="newest"))
    config = resolve("mabc", [], {"algorithm": "newest"})
    assert config.preset == "general"
    usual = resolve("mabc", ["preset=general"], {"algorithm": "actor-critic"}).settings.learner
    assert usual.imitation_weight > 0.0
    assert config.settings.learner == replace(usual, imitation_weight=0.0, imitation_least=0.0)


def test_the_recipe_begins_afresh_when_little_is_left_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("dec-tiger").parameters.restart_steps == 20
    assert resolve("dec-tiger", ["discount=0.99"]).parameters.restart_steps == 200
    assert resolve("dec-tiger", ["env.restart_steps=7"]).parameters.restart_steps == 7
    assert resolve("mabc", ["preset=general"]).parameters.restart_steps == 20
    assert resolve("mabc").parameters.restart_steps == resolve("mabc", ["preset=paper"]).parameters.restart_steps != 20


def test_the_recipe_predicts_the_end_where_episodes_are_known_to_end() -> None:
    assert not resolve("dec-tiger").settings.ais.predicts_end
    assert resolve("dec-tiger", ["env.horizon=4"]).settings.ais.predicts_end
    assert not resolve("dec-tiger", ["env.horizon=4", "ais.predicts_end=false"]).settings.ais.predicts_end
    assert not resolve("dec-tiger", ["env.horizon=4", "preset=tuned"]).settings.ais.predicts_end
    chosen = resolve("dec-tiger", ["env.horizon=4"])
    assert build(chosen.to_plain()) == chosen


def test_the_recipe_is_the_packages_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"have a table 'general', which is the package's recipe"):
        resolve(offer(monkeypatch, {"general": {"ppo": {"updates": 1}}}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no_such_package:a.toml", r"the presets 'no_such_package:a\.toml' of the task mabc cannot be read"),
        ("dadc_net.team:presets/missing.toml", "cannot be read"),
        ("dadc_net.team:tasks.py", "cannot be read"),
        ({"tuned": {"pp0": {}}}, r"the algorithm 'pp0', which does not exist\. Did you mean 'ppo'\?"),
        ({"tuned": {"actor-critic": {"upadtes": 3}}}, r"no key upadtes in the preset 'tuned' of the task mabc"),
        ({"tuned": {"actor-critic": {"ais": 3}}}, "ais is a section, and was set to 3 in the preset"),
        ({"tuned": {"actor-critic": {"ais": {"size": 0}}}}, r"ais\.size is 0, which is out of range"),
        ({"tuned": {"actor-critic": {"updates": "many"}}}, "updates is 'many', which is not of type int"),
    ],
)
def test_presets_that_are_wrong_are_refused(given: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(offer(monkeypatch, given))
