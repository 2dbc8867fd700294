"""Watching a party: meters, metrics for Prometheus, the log as JSON, names of processes, and a status in eighty columns."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dadc_net.cli.status_figures import figures, figures_text
from dadc_net.errors import UsageError
from dadc_net.runtime import log_format, status
from dadc_net.runtime.events import Evaluated, Joined, Learned, Left, Silent, Updated
from dadc_net.runtime.log_file import log_to_file
from dadc_net.runtime.meters import AgentMeter, ServerMeter, memory_bytes
from dadc_net.runtime.metrics import MetricsFile
from dadc_net.runtime.prometheus import PartyMetrics, serve_metrics
from dadc_net.runtime.status import AgentStatus, TeamStatus

ROOT = Path(__file__).parents[2]


def team(step: int = 50) -> TeamStatus:
    """Two agents, of which the second is waited for, on a host with a long name."""
    agents = [
        AgentStatus(
            agent=agent,
            present=True,
            answered=step - late,
            lag=late,
            silent_s=0.5 * agent,
            straggler=bool(late),
            step_digest="ab" * 32,
            host="a-host-with-a-very-long-name.example.org",
        )
        for agent, late in ((1, 0), (2, 1))
    ]
    facts = {"phase": "running", "run_id": "ab" * 16, "epoch": 1, "step": step, "last_step": 200}
    return TeamStatus(**facts, written=time.monotonic(), agents=agents)


def updated(update: int) -> Updated:
    done = {"update": update, "updates": 20, "env_steps": 40 * update, "lock_steps": 10 * update}
    return Updated(**done, reward_per_step=0.5, lock_steps_here=10 * update, seconds=0.5 * update)


def full() -> PartyMetrics:
    """Everything that a server or an agent may say, said to one observer."""
    metrics = PartyMetrics()
    meter = ServerMeter()
    for start in (0.0, 1.0, 2.0):
        meter.took(0.25)
        meter.closed(start + 0.5, start + 1.0, agents=2)
    meter.resent, meter.refused["message"] = 3, 4
    for event in (
        meter.measured(50, Counter(key=2, flood=0)),
        team(),
        updated(5),
        Learned(agent=1, update=5, env_steps=200, losses={"critic": 0.5}),
        Evaluated(update=5, env_steps=200, value=0.8, value_stderr=None, gap=None, round_robin_share=None),
        *[Joined(agent=2, hostname="h", missing=[]), Left(agent=2, step=7), Joined(agent=2, hostname="h", missing=[])],
    ):
        metrics.on(event)
    return metrics


def agents_own() -> PartyMetrics:
    metrics, meter = PartyMetrics(), AgentMeter()
    for start in (0.0, 1.0, 2.0):
        meter.answered(start, start + 0.25, start + 0.5)
    metrics.on(meter.measured(1, 2, 0.25))
    metrics.on(Silent(agent=1, seconds=3.0))
    return metrics


def samples(metrics: PartyMetrics) -> dict[tuple[str, str], float]:
    told = [(name, *one) for _, name, _, found in metrics.families() for one in found]
    return {(name, next(iter(labels.values()), "")): value for name, labels, value in told}


def test_a_meter_tells_where_the_time_of_lock_steps_went() -> None:
    found = samples(full())
    # The first of three rounds began before anything was known.
    assert found["dadc_lock_steps", ""] == 2
    phases = {name: found["dadc_lock_step_seconds", name] for name in ("wait", "environment", "serve")}
    assert phases == {"wait": 1.0, "environment": 0.5, "serve": 0.5}
    own = samples(agents_own())
    assert {name: own["dadc_lock_step_seconds", name] for name in ("wait", "compute", "keep")} == {
        **{"wait": 1.0, "compute": 0.5, "keep": 0.5}
    }
    assert 10**6 < memory_bytes() < 10**11


def test_what_is_told_is_what_happened() -> None:
    found = samples(full())
    assert {name[1]: value for name, value in found.items() if name[0] == "dadc_refused"} == {"key": 2, "message": 4}
    assert found["dadc_resent_records", ""] == 3
    assert found["dadc_digests_compared", ""] == 6
    assert (found["dadc_joins", "2"], found["dadc_departures", "2"]) == (2, 1)
    assert (found["dadc_agent_straggler", "1"], found["dadc_agent_straggler", "2"]) == (0, 1)
    assert (found["dadc_agent_lag", "2"], found["dadc_agent_silent_seconds", "2"]) == (1, 1.0)
    assert (found["dadc_value", ""], found["dadc_loss", "critic"], found["dadc_updates_planned", ""]) == (0.8, 0.5, 20)
    own = samples(agents_own())
    assert (own["dadc_reconnections", ""], own["dadc_server_silent_seconds", ""], own["dadc_chain_tip", ""]) == (1, 0.25, 2)
    assert PartyMetrics().families() == []


def test_the_dashboard_shows_what_is_told_and_all_of_it() -> None:
    families = [family for party in (full(), agents_own()) for family in party.families()]
    told = {name + ("_total" if kind == "counter" else "") for kind, name, *_ in families}
    board = json.loads((ROOT / "launch/grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for one in panel["targets"] for name in re.findall(r"dadc_\w+", one["expr"])}
    assert asked == told
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("place", ["ninety", "127.0.0.1:", "1:99999"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="--metrics-port is"):
        serve_metrics(place)


def test_a_log_can_be_json_from_a_level_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("dadc_net")
    before = logger.handlers, logger.level, logger.propagate
    try:
        monkeypatch.setenv(log_format.FORMAT_VARIABLE, "json")
        monkeypatch.setenv(log_format.LEVEL_VARIABLE, "warning")
        log_to_file(tmp_path)
        logging.getLogger("dadc_net.runtime.x").info("not written")
        try:
            raise ValueError("a\nb")
        except ValueError:
            logging.getLogger("dadc_net.runtime.x").exception("two\nlines of %s", "words")
        (line,) = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.handlers, logger.level, logger.propagate = before
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("error", "dadc_net.runtime.x", "two\nlines of words")
    assert "ValueError" in found["traceback"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    monkeypatch.setenv(log_format.FORMAT_VARIABLE, "xml")
    with pytest.raises(UsageError, match="DADC_LOG_FORMAT is 'xml'"):
        log_format.formatter()


def test_ps_names_a_forked_process() -> None:
    program = (
        "import os, subprocess, sys\nfrom dadc_net.runtime.process_title import name_process\n"
        "name_process('dadc agent-1 of runs/' + 'x' * 5000)\n"
        "command = ['ps', '-ww', '-o', 'comm=,args=', str(os.getpid())]\n"
        "print(subprocess.run(command, capture_output=True, text=True).stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["dadc", "agent-1"]
    assert "dadc agent-1 of runs/xxx" in done.stdout[15:]
    assert "import" not in done.stdout


def test_a_status_says_how_far_a_run_is_in_eighty_columns(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    metrics = MetricsFile(tmp_path / "server")
    for update in range(1, 6):
        metrics.on(updated(update))
    metrics.on(Evaluated(update=5, env_steps=200, value=0.8, value_stderr=None, gap=None, round_robin_share=None))
    metrics.close()
    found = figures(tmp_path, team(), 1234)
    assert (found["update"], found["updates"], found["lock_steps_per_s"], found["seconds_left"]) == (5, 20, 20.0, 7.5)
    assert figures_text(found).startswith("update 5 of 20  value 0.8000  20 lock-steps/s  8 s left  ")
    assert figures_text(found).endswith("on disk")
    lines = [*status.table(team()).splitlines(), figures_text(found)]
    assert max(map(len, lines)) <= 80
    nothing = figures(tmp_path / "none", team(), 0)
    assert (nothing["update"], nothing["updates"], nothing["lock_steps_per_s"]) == (0, None, None)
