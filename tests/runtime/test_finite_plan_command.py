"""dadc plan for finite tasks and files."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import dadc_net
from dadc_net.cli.main import dadc
from dadc_net.config import resolve
from dadc_net.errors import UsageError
from dadc_net.experiment import finite_plan
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.finite_files import save_dpomdp
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.team.finite.models.shipped import SHIPPED


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(dadc, ["plan", *arguments])


def record(*arguments: str) -> dict[str, object]:
    result = plan(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_a_horizon_and_a_structure() -> None:
    found = record("dec-tiger", "--horizon", "3", "--set", "structure=delayed-sharing", "--set", "structure.delay_steps=1")
    assert found["lower"] == pytest.approx(8.815, abs=1e-6)
    assert found["upper"] == pytest.approx(8.815, abs=1e-6)
    assert (found["horizon"], found["discount"], found["structure"]) == (3, 1.0, "delayed-sharing")
    assert {"beliefs", "seconds", "residual", "stopped", "memory_mib"} <= set(found)


def test_a_file_is_planned_for_as_its_task_is(tmp_path: Path) -> None:
    path = tmp_path / "tiger.dpomdp"
    save_dpomdp(path, SHIPPED["dec-tiger"]())
    found = record(str(path), "--horizon", "3", "--set", "structure=no-sharing")
    assert found["value"] == pytest.approx(5.190813, abs=1e-6)
    discounted = record(str(path), "--horizon", "2", "--set", "structure=full-sharing", "--set", "discount=0.5")
    assert discounted["discount"] == 0.5


def test_without_a_structure_it_is_the_one_that_runs() -> None:
    found = record("dec-tiger", "--horizon", "3")
    assert found["structure_text"] == "control-sharing (memory_steps 0)"
    assert found["value"] == pytest.approx(-2.405, abs=1e-6)


def test_the_screen_says_bounds_cost_and_policy() -> None:
    output = plan("dec-tiger", "--horizon", "2", "--set", "structure=no-sharing").output
    assert "-4.000000 <= V* <= -4.000000" in output
    assert "team beliefs" in output
    assert "decision 1 (100.0 %): agent 1 listen; agent 2 listen" in output


def test_too_large_ends_with_bounds() -> None:
    found = record("box-pushing", "--horizon", "6", "--set", "structure=no-sharing", "--memory", "1")
    assert found["stopped"] == "memory"
    assert isinstance(found["lower"], float)
    assert isinstance(found["upper"], float)
    assert found["lower"] < found["upper"]


OWN = """
from dataclasses import dataclass
from dadc_net.team.structures.own_memory import NoSharing


@dataclass(frozen=True)
class Forgetful(NoSharing):
    name = "forgetful"
"""


def test_structures_that_are_code_and_mean_fields(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    own = record("dec-tiger", "--horizon", "3", "--set", f"structure={path}:Forgetful", "--set", "structure.memory_steps=1")
    assert (own["structure"], own["structure_text"]) == ("forgetful", "forgetful (memory_steps 1)")
    assert own["value"] == pytest.approx(5.190813, abs=1e-6)
    assert record("dec-tiger", "--horizon", "3", "--set", f"structure={path}:Forgetful")["value"] == pytest.approx(-6.0)
    counted = record("dec-tiger", "--horizon", "4", "--set", "structure=mean-field-sharing")
    # Two agents that know how many hear what know what the other hears: as much as under full sharing.
    assert counted["value"] == pytest.approx(22.701124, abs=1e-6)


def test_the_optimum_under_them_stands_beside_a_run() -> None:
    chosen = {"structure": "mean-field-sharing", "env.horizon": 3, "discount": 1.0, "evaluation.plan_seconds": 60.0}
    asked = dadc_net.plan("dec-tiger", chosen)
    beside = Evaluator(resolve("dec-tiger", (), chosen)).plan
    assert beside is not None
    for found in (asked, beside):
        assert found.value == pytest.approx(13.015487, abs=1e-6)
        assert found.residual < 1e-6
        assert "mean-field-sharing (values 2)" in found.method


def test_ctrl_c_ends_with_the_bounds_found_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    def enough(*parts: object, **options: object) -> TeamPlan:
        os.kill(os.getpid(), signal.SIGINT)
        return plan_team(*parts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(finite_plan, "plan_team", enough)
    before = signal.getsignal(signal.SIGINT)
    result = plan("dec-tiger", "--horizon", "8", "--set", "structure=no-sharing")
    assert result.exit_code == 130
    assert "stopped by Ctrl-C" in result.output
    assert "<= V* <=" in result.output
    assert signal.getsignal(signal.SIGINT) is before


def test_the_planners_by_name_say_their_bounds_too() -> None:
    found = record("mabc")
    assert found["value"] == pytest.approx(0.868426, abs=1e-6)
    assert {"lower", "upper", "horizon", "beliefs", "seconds"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mabc", "--horizon", "3"), "no finite model"),
        (("dec-tiger", "--set", "structure=none"), "neither built in nor the task's own"),
        (("dec-tiger", "--set", "structure=mean-field-sharing", "--set", "structure.value=3"), "no key structure.value."),
        (("dec-tiger", "--horizon", "0"), "--horizon is 0"),
        (("dec-tiger", "--horizon", "2", "--gap", "-1"), "--gap"),
        (("dec-tiger", "--horizon", "2", "--gap", "nan"), "--gap is nan"),
        (("dec-tiger", "--horizon", "2", "--time", "0"), "--time"),
        (("dec-tiger", "--horizon", "2", "--time", "nan"), "--time is nan"),
    ],
)
def test_wrong_requests_end_in_a_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = plan(*arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
