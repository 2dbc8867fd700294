"""What is drawn of a table of ``dadc bench``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dadc_net.errors import CorruptStateError
from dadc_net.experiment.bench_figure import bench_panels, read_tables

ROWS = [
    {"num_agents": 2, "num_envs": 16, "full_rounds": [80.0, 100.0, 120.0], "raw_rounds": [400.0, 400.0, 400.0]},
    {"num_agents": 2, "num_envs": 1, "full_rounds": [200.0, 200.0, 200.0], "raw_rounds": [400.0, 500.0, 800.0]},
    {"num_agents": 10, "num_envs": 1, "full_rounds": [50.0, 50.0, 50.0], "raw_rounds": [100.0, 100.0, 100.0]},
]


def test_a_table_becomes_three_panels_with_a_line_for_each_number_of_agents(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("a line that was printed before\n" + json.dumps({"bench": ROWS}) + "\n", encoding="utf-8")
    rates, env_steps, share = bench_panels(read_tables([path]))
    assert [line.label for line in rates.lines] == ["K = 2", "K = 10"]
    assert rates.lines[0].env_steps.tolist() == [1.0, 16.0]
    assert rates.lines[0].quartiles.tolist() == [[200.0, 90.0], [200.0, 100.0], [200.0, 110.0]]
    assert env_steps.lines[0].quartiles[1].tolist() == [200.0, 1600.0]
    assert share.lines[0].quartiles[1].tolist() == [0.4, 0.25]
    assert share.lines[1].quartiles.tolist() == [[0.5], [0.5], [0.5]]


def test_other_results_are_left_to_others_and_a_cut_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"format": "another"}), encoding="utf-8")
    assert read_tables([tmp_path / "sweep.json"]) == []
    assert read_tables([tmp_path]) == []
    (tmp_path / "cut.json").write_text(json.dumps({"bench": ROWS})[:-9], encoding="utf-8")
    with pytest.raises(CorruptStateError, match="is not whole"):
        read_tables([tmp_path / "cut.json"])
