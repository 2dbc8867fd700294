"""``import dadc_net`` for programs, and tasks that stand in one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dadc_net
from dadc_net import user_code
from dadc_net.config import resolve, structure_argument
from dadc_net.errors import UsageError
from dadc_net.named_code import load_structure, load_task
from dadc_net.team.conformance import check_task
from tests.process.commands import run

EXAMPLES = Path(__file__).parent.parent / "launch" / "examples"
SMALL = {"learner.num_envs": 4, "learner.batch_steps": 40}


def test_every_name_is_there_documented_and_typed() -> None:
    assert 12 <= len(dadc_net.__all__) <= 18
    stub = (Path(dadc_net.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    for name in dadc_net.__all__:
        assert getattr(dadc_net, name).__doc__, name
        assert f" as {name}\n" in stub
    assert stub.count(" as ") == len(dadc_net.__all__)
    with pytest.raises(AttributeError, match="simulat"):
        dadc_net.simulat  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'zmq', 'gymnasium'}"
    code = f"import sys, dadc_net; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    loaded = "import sys, dadc_net; dadc_net.FiniteModel; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "True\n"


def test_simulate_tells_of_every_update_and_its_rule_acts() -> None:
    told: list[int] = []
    learned = dadc_net.simulate("mabc", updates=2, seed=3, settings=SMALL, on_update=lambda now: told.append(now.number))
    assert told == [1, 2]
    again = dadc_net.simulate(load_task("mabc"), updates=2, seed=3, settings=SMALL)
    assert again.digests == learned.digests
    assert dadc_net.simulate("mabc", updates=2, seed=4, settings=SMALL).digests != learned.digests
    rule = learned.rule()
    actions = [rule.act([[0, 0, 0]], [[[1]], [[0]]]).tolist() for _ in range(3)]
    rule.begin()
    assert [rule.act([[0, 0, 0]], [[[1]], [[0]]]).tolist() for _ in range(3)] == actions
    assert dadc_net.plan("mabc").value == pytest.approx(0.868426, abs=1e-6)


@pytest.mark.parametrize("example", ["sensor_team", "cart_team", "three_transmitters", "random_team"])
def test_examples_conform_and_learn(example: str) -> None:
    name = f"{EXAMPLES / example}.py:make_task"
    assert check_task(load_task(name)) == []
    learned = dadc_net.simulate(name, updates=1, settings=SMALL)
    assert len(set(learned.digests.values())) == 1


def test_a_file_is_named_with_its_whole_path_and_its_structure_is_found_by_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team.py").write_text("from tests.user_task import Overheard as Base, make_task as base\n"
        "from dataclasses import replace\nclass Mine(Base):\n    name = 'mine'\n"
        "def make_task():\n    return replace(base(), structure=Mine())\n", encoding="utf-8")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    config = resolve("team.py:make_task")
    assert config.task_argument == f"{tmp_path}/team.py:make_task"
    assert structure_argument(config) == f"{tmp_path}/team.py:Mine"
    assert load_structure(structure_argument(config)).name == "mine"
    (tmp_path / "bad.py").write_text("raise KeyError('gone')", encoding="utf-8")
    for name, said in (("none.py:f", "there is no file"), ("bad.py:f", "KeyError"), ("team.py:x", "no attr")):
        with pytest.raises(UsageError, match=said):
            resolve(name)
    assert user_code.absolute("tests.user_task:make_task") == "tests.user_task:make_task"
    assert user_code.absolute("pettingzoo:sea.py:Buoys") == f"pettingzoo:{tmp_path}/sea.py:Buoys"
    assert user_code.absolute("pettingzoo:mpe2.simple_spread_v3") == "pettingzoo:mpe2.simple_spread_v3"


def test_a_factory_may_return_a_finite_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiger.py").write_text(
        "from dadc_net.team.finite.models.shipped import SHIPPED\nmake = SHIPPED['dec-tiger']\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    assert resolve("tiger.py:make").settings == resolve("dec-tiger").settings


@pytest.mark.process
def test_conform_says_what_to_change(tmp_path: Path) -> None:
    good = run(tmp_path, "dadc", "conform", "mabc")
    assert (good.code, good.out) == (0, "mabc: no broken rules found\n")
    (tmp_path / "bad.py").write_text(
        "from dataclasses import replace\nfrom dadc_net.team.tasks import TASKS\n"
        "def make_task():\n    return replace(TASKS['mabc'], default_discount=1.5)\n", encoding="utf-8")  # fmt: skip
    bad = run(tmp_path, "dadc", "conform", "bad.py:make_task")
    assert bad.code == 1
    assert "default_discount is 1.5" in bad.out
    assert "1 broken rule found" in bad.out
