"""A real team that Prometheus could read while it runs, and a run that TensorBoard can read afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from tests.kept_state import make_state
from tests.process.commands import ENVIRONMENT_SEED, finish, free_port, run, start, wait_for

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]


def read(address: str) -> str:
    """What is served there; empty where nobody listens."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            text: str = answer.read().decode("utf-8")
            return text
    except (urllib.error.URLError, OSError):
        return ""


@pytest.mark.process
def test_server_and_agents_are_watched_while_they_run(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    address = f"tcp://127.0.0.1:{free_port()}"
    server = ("dadc-env", "--bind", address, "--env-seed", ENVIRONMENT_SEED, "--updates", "4000", "--num-envs", "4")
    parties = [start(tmp_path, *server, "--set", "learner.batch_steps=40", "--metrics-port", str(ports[0]))]
    wait_for((tmp_path / "dadc-keys/agent-2.key").exists, "the keys")
    for agent in (1, 2):
        joining = ("dadc-agent", "--id", str(agent), "--server", address, "--log-format", "json")
        parties.append(start(tmp_path, *joining, "--metrics-port", f"127.0.0.1:{ports[agent]}"))
    try:
        pages = [f"http://127.0.0.1:{port}/metrics" for port in ports]
        wait_for(lambda: "dadc_updates" in read(pages[0]), "an update", timeout=120)
        wait_for(lambda: 'phase="wait"' in read(pages[0]), "a lock-step that was measured")
        wait_for(lambda: 'phase="compute"' in read(pages[1]), "a record at agent 1")
        told = read(pages[0])
        for name in ('dadc_lock_step_seconds_total{phase="wait"}', 'dadc_agent_present{agent="2"} 1.0', "dadc_memory_bytes"):
            assert name in told
        compared = float(re.findall(r"^dadc_digests_compared_total (\S+)$", told, re.MULTILINE)[0])
        assert compared >= 2 * 10
        refused = run(tmp_path, *server, "--keys", "k", "--state-dir", "s", "--metrics-port", str(ports[1]))
        assert refused.code == 75
        assert "cannot be opened" in refused.err
    finally:
        for process in parties:
            os.killpg(process.pid, signal.SIGTERM)
        ended = [finish(process) for process in parties]
    assert "metrics at http://127.0.0.1" in ended[0].err
    assert read(pages[0]) == ""
    lines = (tmp_path / "dadc-state/agent-1/log.txt").read_text(encoding="utf-8").splitlines()
    assert any("takes part in run" in json.loads(line)["message"] for line in lines)


def test_a_run_becomes_event_files(tmp_path: Path) -> None:
    state = make_state(tmp_path / "dadc-state")
    done = CliRunner().invoke(dadc, ["export", str(state), "--tensorboard", str(tmp_path / "events"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["points"] == 2
    (file,) = (tmp_path / "events").iterdir()
    assert file.name.startswith("events.out.tfevents")
    assert b"reward/reward_per_step" in file.read_bytes()
