"""``dadc bench``: what was measured is printed and kept at once, and a row has an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dadc_net.bench import lockstep, paces
from dadc_net.bench.lockstep import BenchResult, Unmeasured
from dadc_net.bench.shares import Shares
from dadc_net.cli.bench import bench_command
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Began, Updated

_SHARES = Shares(acting=0.1, learning=0.1, environment=0.1, journal=0.1, transport=0.1, waiting=0.5)
_OPTIONS = ["-K", "2,10", "--num-envs", "1,16", "--out", "table.json", "--json"]


def _row(agents: int, copies: int) -> BenchResult:
    return BenchResult(
        full=100.0,
        raw=400.0,
        ratio=0.25,
        cpu_full=None,
        cpu_raw=None,
        cpu_ratio=None,
        env_steps=100.0 * copies,
        shares=_SHARES,
        full_rounds=[100.0],
        raw_rounds=[400.0],
        num_agents=agents,
        num_envs=copies,
        start_s=1.5,
    )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, list[tuple[int, int]]]]:
    """``bench(measure, *options)``: the command with ``measure`` for a row; its end, and the rows that were asked for."""
    monkeypatch.chdir(tmp_path)

    def run(measure: Callable[[int, int], Any], *options: str) -> tuple[Any, list[tuple[int, int]]]:
        asked: list[tuple[int, int]] = []

        def row(_bench: object, agents: int, copies: int) -> Any:
            asked.append((agents, copies))
            return measure(agents, copies)

        monkeypatch.setattr(lockstep.LockStepBench, "row", row)
        return CliRunner().invoke(bench_command, [*_OPTIONS, *options]), asked

    return run


def _cells(told: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["num_agents"], row["num_envs"]) for row in told["bench"]]


def _kept() -> dict[str, Any]:
    return dict(json.loads(Path("table.json").read_text(encoding="utf-8")))


def test_what_was_measured_survives_a_stop_and_is_gone_on_with(bench: Any) -> None:
    def until_the_third(agents: int, copies: int) -> BenchResult:
        assert agents == 2 or Path("table.json").exists(), "a row is kept before the next one is measured"
        if (agents, copies) == (10, 1):
            raise KeyboardInterrupt
        return _row(agents, copies)

    stopped, _ = bench(until_the_third)
    assert stopped.exit_code != 0
    assert _cells(json.loads(stopped.stdout.splitlines()[-1])) == [(2, 1), (2, 16)] == _cells(_kept())
    assert [line.split()[:3] for line in stopped.stderr.splitlines() if line.startswith("   2")] == [
        ["2", "1", "100"],
        ["2", "16", "100"],
    ]
    ended, asked = bench(_row)
    assert (ended.exit_code, asked) == (0, [(10, 1), (10, 16)])
    assert "2 lines are in table.json already" in ended.stderr
    assert _cells(json.loads(ended.stdout.splitlines()[-1])) == [(2, 1), (2, 16), (10, 1), (10, 16)] == _cells(_kept())


def test_a_row_that_took_too_long_is_named_and_the_next_one_measured(bench: Any) -> None:
    def one_too_slow(agents: int, copies: int) -> BenchResult | Unmeasured:
        found = _row(agents, copies)
        return Unmeasured(num_agents=2, num_envs=16, reason="too slow") if (agents, copies) == (2, 16) else found

    ended, _ = bench(one_too_slow)
    assert ended.exit_code == 0
    assert "not measured: too slow" in ended.stderr
    assert _cells(_kept()) == [(2, 1), (10, 1), (10, 16)]
    assert _kept()["unmeasured"] == [{"num_agents": 2, "num_envs": 16, "reason": "too slow"}]
    _, asked = bench(_row)
    assert asked == [(2, 16)], "with more time, perhaps"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ('{"bench": [], "terms": {}}', (), "was measured otherwise: version = "),
        ("{}", (), "no table of dadc bench"),
        ("a text", (), "no table of dadc bench"),
        (None, ("--steps", "600"), "steps = 3000 (given 600)"),
    ],
)
def test_other_tables_are_left_as_they_are(bench: Any, content: str | None, options: tuple[str, ...], words: str) -> None:
    if content is None:
        bench(_row)
    else:
        Path("table.json").write_text(content, encoding="utf-8")
    before = Path("table.json").read_text(encoding="utf-8")
    refused, asked = bench(_row, *options)
    assert words in str(refused.exception)
    assert asked == []
    assert Path("table.json").read_text(encoding="utf-8") == before


def _updated(update: int) -> Updated:
    lock_steps = update * paces.BATCH_LOCK_STEPS
    counts = {"lock_steps": lock_steps, "lock_steps_here": lock_steps, "env_steps": lock_steps}
    return Updated(update=update, updates=9, reward_per_step=0.0, seconds=2.0 * update, **counts)


def _asked(stop: StopRequest) -> str:
    return stop.reason


def test_a_run_is_measured_from_its_first_update_and_stopped_when_that_is_enough() -> None:
    stop = StopRequest()
    measuring = paces.Measuring(stop, 2 * paces.BATCH_LOCK_STEPS, 3600.0)
    for event in (Began(agent=1, run_id=""), _updated(1), _updated(2)):
        measuring.on(event)
        assert not stop.reason
    measuring.on(_updated(3))
    measuring.close()
    assert stop.reason == "the end of its steps"
    assert measuring.rate().rate == paces.BATCH_LOCK_STEPS / 2.0


def test_a_run_that_is_too_slow_is_stopped_and_has_no_rate() -> None:
    stop = StopRequest()
    measuring = paces.Measuring(stop, 3000, 0.0)
    measuring.on(_updated(1))
    assert not _asked(stop), "its time begins with its agents"
    measuring.on(Began(agent=1, run_id=""))
    measuring._timer.join(10.0)
    assert _asked(stop) == "the end of its time"
    with pytest.raises(paces.TooSlowError, match="1 batches of 300 lock-steps"):
        measuring.rate()
