"""metrics.jsonl: every update once, one schema wherever a run is made, and a disk that refuses takes no run."""

from __future__ import annotations

import json
import logging
import re
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadc_net
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime import json_lines
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.runtime.events import Evaluated, Learned, Left, Observers, Updated
from dadc_net.runtime.metrics import METRICS_NAME, MetricsFile, line_of, read_metrics
from tests.team_in_memory import MakeConfig, Team

COMMON = {"kind", "update", "env_steps"}
SCHEMA = {
    "reward": COMMON | {"reward_per_step", "lock_steps", "seconds"},
    "losses": COMMON | {"agent", "losses"},
    "value": COMMON
    | {"value", "value_stderr", "gap", "round_robin_share"}
    | {"best_constant_share", "no_better_than_blind", "ais_collapsed"},
}


def updated(update: int) -> Updated:
    return Updated(
        update=update, updates=9, env_steps=40, reward_per_step=0.5, lock_steps=10, lock_steps_here=10, seconds=1.0
    )


def learned(update: int, agent: int = 1) -> Learned:
    return Learned(agent=agent, update=update, env_steps=40, losses={"entropy": 1 / 3})


def valued(update: int) -> Evaluated:
    return Evaluated(update=update, env_steps=40, value=None, value_stderr=None, gap=None, round_robin_share=None)


def numbers(folder: Path, kind: str) -> list[int]:
    return [line["update"] for line in read_metrics(folder) if line["kind"] == kind]


def test_the_schema_is_that_of_the_documentation() -> None:
    lines = [line_of(event) for event in (updated(1), learned(1), valued(1))]
    assert {line["kind"]: set(line) for line in lines if line is not None} == SCHEMA
    assert line_of(Left(agent=1, step=3)) is None
    page = Path(dadc_net.__file__).parent / "docs" / "file-formats.md"
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    told = {kind: COMMON | set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows if kind in SCHEMA}
    assert told == SCHEMA


def test_a_run_that_goes_on_logs_no_update_twice_and_mends_a_line_that_was_cut(tmp_path: Path) -> None:
    first = MetricsFile(tmp_path)
    for update in (1, 2, 3):
        first.on(updated(update))
        first.on(learned(update))
    first.on(learned(3, agent=2))
    first.close()
    path = tmp_path / METRICS_NAME
    path.write_bytes(path.read_bytes()[:-7])  # As a kill may leave it.
    again = MetricsFile(tmp_path)
    for update in (2, 3, 4):
        again.on(updated(update))
        again.on(learned(update))
    again.on(learned(3, agent=2))
    again.close()
    assert numbers(tmp_path, "reward") == [1, 2, 3, 4]
    lines = [line for line in read_metrics(tmp_path) if line["kind"] == "losses"]
    assert [(line["agent"], line["update"]) for line in lines] == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 3)]
    assert lines[0]["losses"] == {"entropy": 1 / 3}


def test_a_run_takes_over_what_its_parties_logged_while_nobody_listened(tmp_path: Path) -> None:
    for party, kinds in (("server", (updated,)), ("agent-1", (learned,))):
        (tmp_path / party).mkdir()
        own = MetricsFile(tmp_path / party)
        for update in (1, 2, 3):
            for kind in kinds:
                own.on(kind(update))
        own.close()
    whole = MetricsFile(tmp_path)
    whole.on(updated(1))
    for party in ("server", "agent-1", "agent-2"):
        whole.catch_up(tmp_path / party)
    whole.on(updated(3))
    whole.on(updated(4))
    whole.close()
    assert numbers(tmp_path, "reward") == [1, 2, 3, 4]
    assert numbers(tmp_path, "losses") == [1, 2, 3]


def test_a_full_disk_takes_lines_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    log = logging.getLogger(json_lines.__name__)
    monkeypatch.setattr(log, "warning", lambda text, *values: warned.append(text % values))
    file = MetricsFile(tmp_path)
    file.on(updated(1))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / METRICS_NAME).stat().st_size, limit[1]))
    try:
        file.on(updated(2))
        file.on(updated(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert warned == ["metrics.jsonl cannot be written: File too large"] * 2
    file.on(updated(4))
    file.close()
    assert numbers(tmp_path, "reward") == [1, 4]
    nowhere = MetricsFile(tmp_path / "not there")
    nowhere.on(updated(1))
    nowhere.close()
    assert len(warned) == 3


@pytest.mark.parametrize(
    "changed",
    [
        *({"kind": 3}, {"update": "9"}, {"update": True}, {"env_steps": None}, {"lock_steps": 0}, {"lock_steps": 10**400}),
        *({"seconds": "long"}, {"reward_per_step": float("nan")}, {"reward_per_step": None}),
    ],
    ids=str,
)
def test_a_line_that_is_none_of_ours_is_left_out(tmp_path: Path, changed: dict[str, Any]) -> None:
    sound = line_of(updated(2))
    assert sound is not None
    odd = {**(line_of(updated(1)) or {}), **changed}
    lines = [json.dumps(odd).encode(), b"[" * 100_000, b"{", json.dumps(sound).encode()]
    (tmp_path / METRICS_NAME).write_bytes(b"\n".join(lines) + b"\n")
    assert list(read_metrics(tmp_path)) == [sound]
    again = MetricsFile(tmp_path)
    again.on(updated(2))
    again.on(updated(3))
    again.close()
    assert numbers(tmp_path, "reward") == [2, 3]


def lines_of_a_simulation(config: Any, folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    told = Observers(MetricsFile(folder))
    Simulation(config, seed_bytes(7), seed_bytes(1)).run(told)
    told.close()
    return [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]


@pytest.mark.parametrize("learning", ["shared", "independent"])
def test_every_update_of_a_simulation_is_there(small: MakeConfig, tmp_path: Path, learning: str) -> None:
    config = small(updates=40, learning=learning)
    lines = lines_of_a_simulation(config, tmp_path / "s")
    agents = [1] if learning == "shared" else [1, 2]
    assert [line["update"] for line in lines if line["kind"] == "reward"] == list(range(1, 41))
    for agent in agents:
        own = [line for line in lines if line["kind"] == "losses" and line["agent"] == agent]
        assert [line["update"] for line in own] == list(range(1, 41))
        assert all({"ais_spread", "ais_rank", "entropy"} <= set(line["losses"]) for line in own)
    assert all(set(line) == SCHEMA[line["kind"]] for line in lines)


def test_the_server_logs_the_rewards_of_a_simulation_also_where_it_comes_back(small: MakeConfig, tmp_path: Path) -> None:
    config = small(updates=3)
    told = [line for line in lines_of_a_simulation(config, tmp_path / "s") if line["kind"] == "reward"]
    expected = [line["reward_per_step"] for line in told]
    assert len(set(expected)) == 3
    server = Team(config).run().server
    reward, closed = BatchReward(config.settings.learner.num_envs), list[tuple[int, float]]()

    def close(update: int) -> None:
        closed.append((update, reward.close()))

    reward.take_up(server.log.journal, server.terms.batch_lock_steps, server.log.step, close)
    # At the last record the batch before the last is closed; the last one is whole, and told when its answers are there.
    assert closed == [(2, expected[1])]
    assert reward.close() == expected[2]


def test_a_reward_is_a_mean_over_the_steps_that_began_nothing() -> None:
    reward = BatchReward(2)
    reward.add(np.array([0.0, 3.0], dtype="<f8").tobytes() + bytes([1, 0]))
    reward.add(np.array([1.0, 2.0], dtype="<f8").tobytes() + bytes([0, 0]))
    assert reward.close() == 2.0
    assert reward.close() == 0.0
