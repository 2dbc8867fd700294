"""What a figure shows, as numbers; drawing needs matplotlib and is tested among the extras."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.errors import CorruptStateError, UsageError
from dadc_net.experiment.sweep.collection import read_results
from dadc_net.experiment.sweep.figure import draw, grid, limits, panels


def _record(curve: str, seed: int, value: list[float], **changed: Any) -> dict[str, Any]:
    learning = {"env_steps": [0, 10, 20], "value": value}
    return {
        **{"curve": curve, "panel": "p", "label": curve.upper(), "seed": seed, "optimum": 1.0, "round_robin": 0.5},
        **{"learning": learning, **changed},
    }


def test_lines_are_quartiles_over_seeds() -> None:
    values = [[-9.0, 0.0, 0.5], [-8.0, 0.4, 0.6], [-7.0, 0.2, 0.9], [-9.0, 0.6, 0.7], [-9.0, 0.8, 0.8]]
    records = [_record("a", seed, value) for seed, value in enumerate(values)]
    (panel,) = panels([*records, _record("b", 0, [0.0, 0.0, 0.75])])
    first, second = panel.lines
    assert (first.label, first.seeds, second.label, second.seeds) == ("A", 5, "B", 1)
    np.testing.assert_allclose(first.quartiles[:, 1:], [[0.2, 0.6], [0.4, 0.7], [0.6, 0.8]])
    assert (panel.optimum, panel.round_robin) == (1.0, 0.5)
    low, high = limits(panel)
    assert -0.3 < low < 0.0
    assert 1.0 < high < 1.2


def test_a_seed_with_points_of_its_own_is_read_off_its_curve() -> None:
    other = _record("a", 1, [0.0, 0.4], learning={"env_steps": [0, 20], "value": [0.0, 0.4]})
    (panel,) = panels([_record("a", 0, [0.0, 0.2, 0.4]), other])
    np.testing.assert_allclose(panel.lines[0].quartiles, np.tile([0.0, 0.2, 0.4], (3, 1)))


def test_one_panel_is_one_problem() -> None:
    with pytest.raises(UsageError, match="optimum differs"):
        panels([_record("a", 0, [0.0] * 3), _record("b", 0, [0.0] * 3, optimum=2.0)])
    shown = panels([_record("a", 0, [0.0] * 3), _record("b", 0, [0.0] * 3, optimum=2.0, panel="q")])
    assert [panel.optimum for panel in shown] == [1.0, 2.0]
    (unknown,) = panels([_record("a", 0, [0.0] * 3, optimum=None, round_robin=None)])
    assert (unknown.optimum, unknown.round_robin) == (None, None)


def test_an_optimum_is_known_as_well_as_all_records_together_know_it() -> None:
    """A planner that was stopped elsewhere, on a busier machine, proves other bounds of the same value."""
    one, other = ({"optimum": value, "optimum_residual": 0.01} for value in (1.0, 1.015))
    (panel,) = panels([_record("a", 0, [0.0] * 3, **one), _record("b", 0, [0.0] * 3, **other)])
    assert panel.optimum == pytest.approx(1.0075)
    with pytest.raises(UsageError, match=r"optimum differs: 1\.000000 and 1\.021000"):
        panels([_record("a", 0, [0.0] * 3, **one), _record("b", 0, [0.0] * 3, **{**other, "optimum": 1.021})])


def test_the_best_constant_is_shown_where_all_records_say_the_same() -> None:
    one, same = _record("a", 0, [0.0] * 3, best_constant=-2.0), _record("a", 1, [0.0] * 3, best_constant=-2.0)
    (panel,) = panels([one, same])
    assert panel.best_constant == -2.0
    assert limits(panel)[0] < -2.0
    for other in ({"best_constant": -1.5}, {}):
        (panel,) = panels([one, _record("a", 1, [0.0] * 3, **other)])
        assert panel.best_constant is None


@pytest.mark.parametrize(("count", "places"), [(1, (1, 1)), (4, (1, 4)), (5, (2, 3)), (8, (2, 4)), (10, (3, 4))])
def test_many_panels_stand_in_rows(count: int, places: tuple[int, int]) -> None:
    assert grid(count) == places


def test_a_finished_run_is_one_seed_of_a_curve(tmp_path: Path) -> None:
    for seed in ("0", "1"):
        options = ["--updates", "4", "--num-envs", "4", "--set", "learner.batch_steps=40", "--seed", seed, "--quiet"]
        ended = CliRunner().invoke(dadc, ["simulate", "mabc", *options, "--out", str(tmp_path / seed)])
        assert ended.exit_code == 0
    places = [tmp_path / "0", tmp_path / "1"]
    (panel,) = panels(read_results(places))
    assert (panel.name, panel.lines[0].label, panel.lines[0].seeds) == ("mabc", "actor-critic", 2)
    assert panel.lines[0].env_steps.tolist() == [40, 80, 120, 160]
    finals = [json.loads((place / "result.json").read_text())["value"] for place in places]
    assert panel.lines[0].quartiles[1, -1] == pytest.approx(np.median(finals))
    (tmp_path / "1" / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(CorruptStateError, match="not finished, or damaged"):
        read_results(places)


def test_runs_of_other_settings_are_other_curves_and_of_other_problems_other_panels(tmp_path: Path) -> None:
    small = ["--updates", "2", "--num-envs", "4", "--set", "learner.batch_steps=40", "--quiet", "--no-trial"]
    valued = ("trajectories", "progress_trajectories", "monte_carlo_trajectories")
    small += [f"--set=evaluation.{name}=10" for name in valued]
    given = {
        "plain": [],
        "larger": ["--set", "ais.size=7"],
        "same": ["--seed", "1", "--set", "evaluation.trajectories=12"],
        "dear": ["--set", "env.transmission_cost=0.2"],
        "many": ["--algorithm", "q-actor-critic"],
    }
    for name, options in given.items():
        ended = CliRunner().invoke(dadc, ["simulate", "mabc", *small, *options, "--out", str(tmp_path / name)])
        assert ended.exit_code == 0, ended.output
    shown = panels(read_results([tmp_path / name for name in given]))
    curves = {panel.name: {line.label: line.seeds for line in panel.lines} for panel in shown}
    first, second = sorted(curves, key=lambda name: "0.2" in name)
    assert ("env.transmission_cost" in first, "env.transmission_cost 0.2" in second) == (True, True)
    assert list(curves[second].values()) == [1]
    labels = curves[first]
    assert sorted(labels.values()) == [1, 1, 2]
    assert any(label.startswith("actor-critic: ") and "ais.size 7" in label for label in labels)
    assert "q-actor-critic" in labels, "algorithms need no more words"
    with pytest.raises(UsageError, match="seed 0 twice"):
        read_results([tmp_path / "plain", tmp_path / "plain"])


def test_what_cannot_be_drawn_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = panels([_record("a", 0, [0.0, 0.1, 0.2])])
    with pytest.raises(UsageError, match=r"ends with '\.txt'"):
        draw(shown, "", tmp_path / "f.txt")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'dadc-net\[plot\]'"):
        draw(shown, "", tmp_path / "f.png")
    assert list(tmp_path.iterdir()) == []
