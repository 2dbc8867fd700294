"""Finite models in files: read, saved, compressed, and as the TASK of a run."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dadc_net.config import resolve
from dadc_net.errors import ConfigError, UsageError
from dadc_net.experiment.simulation import Simulation
from dadc_net.finite_files import load_dpomdp, load_model_task, save_dpomdp
from dadc_net.team.conformance import check_task
from dadc_net.team.finite.dpomdp.writer import write_dpomdp
from dadc_net.team.finite.models.box_pushing import box_pushing
from dadc_net.team.finite.models.dec_tiger import dec_tiger

SMALL = ["updates=2", "learner.num_envs=2", "learner.batch_steps=20"]


@pytest.fixture
def tiger(tmp_path: Path) -> Path:
    path = tmp_path / "dec-tiger.dpomdp"
    save_dpomdp(path, dec_tiger())
    return path


@pytest.mark.parametrize("name", ["dec-tiger.dpomdp", "dec-tiger.dpomdp.gz"])
def test_a_saved_model_is_the_model(tmp_path: Path, name: str) -> None:
    save_dpomdp(tmp_path / name, dec_tiger())
    assert load_dpomdp(tmp_path / name).model == dec_tiger()


def test_a_file_is_a_task(tiger: Path) -> None:
    config = resolve(str(tiger))
    assert check_task(config.task, steps=16) == []
    assert (config.task.name, config.settings.num_agents, config.settings.discount) == ("dec-tiger.dpomdp", 2, 0.9)
    assert len(config.task.menus["all"].entries) == 81
    assert config.task.notes[0].startswith(
        "dec-tiger.dpomdp: 2 agents, 2 states, actions 3 x 3, observations 2 x 2; discount 0.9"
    )


def test_a_file_learns_what_the_task_of_its_name_learns(tiger: Path) -> None:
    ends = [Simulation(resolve(task, SMALL), b"s" * 32, b"e" * 32, "one").run() for task in (str(tiger), "dec-tiger")]
    assert ends[0].agent_digests == ends[1].agent_digests
    other = Simulation(resolve("dec-tiger", [*SMALL, "env.horizon=4"]), b"s" * 32, b"e" * 32, "one").run()
    assert other.agent_digests != ends[0].agent_digests


def test_the_configuration_of_a_run_names_the_file_wherever_one_stands(
    tiger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tiger.parent)
    config = resolve("dec-tiger.dpomdp")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert resolve(str(tmp_path / "config.toml")).settings.digest() == config.settings.digest()


def test_a_model_too_large_for_a_menu_is_a_task_too(tmp_path: Path) -> None:
    save_dpomdp(tmp_path / "box.dpomdp", box_pushing())
    config = resolve(str(tmp_path / "box.dpomdp"))
    assert (config.prescriptions, config.settings.algorithm, config.family.space.columns) == ("gibbs", "ppo", 40)


def test_a_file_that_changed_is_another_task(tiger: Path) -> None:
    first = load_model_task(str(tiger))
    assert load_model_task(str(tiger)) is first
    save_dpomdp(tiger, dec_tiger(hearing=0.75))
    assert load_model_task(str(tiger)) is not first


def test_discount_one_needs_a_horizon(tmp_path: Path) -> None:
    path = tmp_path / "one.dpomdp"
    path.write_text(write_dpomdp(dec_tiger()).replace("discount: 0.9", "discount: 1"), encoding="ascii")
    task = load_model_task(str(path))
    assert task.default_discount == 0.9
    assert any("discount 1 needs a horizon" in note for note in task.notes)
    with pytest.raises(ConfigError, match="discount is 1, but episodes of one do not end by themselves"):
        resolve(str(path), ["discount=1.0"])
    config = resolve(str(path), ["discount=1.0", "env.horizon=3", *SMALL])
    assert Simulation(config, b"s" * 32, b"e" * 32, "one").run().lock_steps > 0
    with pytest.raises(ConfigError, match="discount is 0"):
        resolve(str(path), ["discount=0.0"])


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.dpomdp cannot be read: No such file"):
        resolve(str(tmp_path / "none.dpomdp"))
    broken = tmp_path / "broken.dpomdp.gz"
    broken.write_bytes(gzip.compress(b"agents: 2\n")[:-9])
    with pytest.raises(UsageError, match=r"broken\.dpomdp\.gz cannot be read: "):
        load_dpomdp(broken)
    wrong = tmp_path / "wrong.dpomdp"
    wrong.write_bytes(b"# \xff\n" + write_dpomdp(dec_tiger()).replace("discount: 0.9", "discount: 2").encode("ascii"))
    with pytest.raises(UsageError, match=r"wrong\.dpomdp, line 3: found 2\. Expected a discount from 0 to 1"):
        resolve(str(wrong))
