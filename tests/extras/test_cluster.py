"""A sweep on a Dask cluster of two nodes: a scheduler and two workers, each in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.commands import environment, finish, run, start, wait_for

pytestmark = [pytest.mark.extras, pytest.mark.process, pytest.mark.timeout(600)]

SWEEP = """
seeds = 3
[common]
learner = { num_envs = 4, batch_steps = 40 }
evaluation = { trajectories = 20, progress_trajectories = 10, monte_carlo_trajectories = 10, every_updates = 100000 }
[[curve]]
name = "quick"
updates = 3
[[curve]]
name = "slow"
seeds = [0, 1]
updates = 1500
"""
TIMES = {"cpu_s", "evaluation_cpu_s", "wall_s"}


@dataclass
class Cluster:
    """A scheduler and its workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]

    def running(self) -> int:
        """Trials that the workers are at."""
        import distributed

        with distributed.Client(self.address, set_as_default=False) as client:
            return sum(client.run(lambda dask_worker: dask_worker.state.executing_count).values())


def _party(folder: Path, module: str, *options: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    with open(folder / "log.txt", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *options],
            cwd=folder, stdout=log, stderr=log, env=environment(), start_new_session=True,
        )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers with one thread each, on loopback."""
    contact = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(contact)]
    parties = [_party(tmp_path / "scheduler", "dask_scheduler", *options)]
    try:
        wait_for(contact.exists, "the scheduler's start")
        time.sleep(0.2)
        for node in ("node-1", "node-2"):
            options = ["--scheduler-file", str(contact), "--nthreads", "1", "--local-directory", str(tmp_path / node)]
            parties.append(_party(tmp_path / node, "dask_worker", *options))
        yield Cluster(json.loads(contact.read_text())["address"], parties[1:])
    finally:
        for party in reversed(parties):
            if party.poll() is None:
                os.killpg(party.pid, signal.SIGTERM)
        for party in parties:
            try:
                party.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(party.pid, signal.SIGKILL)
                party.wait()


def _file(folder: Path) -> str:
    (folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    return "s.toml"


def test_a_cluster_gives_the_results_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    options = ["dadc", "sweep", _file(tmp_path), "--only", "quick"]
    far = run(tmp_path, *options, "--out", "far", "--engine", "dask", "--scheduler", cluster.address)
    near = run(tmp_path, *options, "--out", "near")
    assert (far.code, near.code) == (0, 0), far.err + near.err
    assert "3/3" in far.out
    for seed in range(3):
        path = f"quick/seed-{seed:04d}.json"
        both = [json.loads((tmp_path / place / path).read_text()) for place in ("far", "near")]
        one, other = ({key: value for key, value in record.items() if key not in TIMES} for record in both)
        assert one == other
    again = run(tmp_path, *options, "--out", "near", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert again.code == 0, "nothing was missing, so nobody had to be asked"


def test_a_trial_of_a_worker_that_dies_is_run_by_another(cluster: Cluster, tmp_path: Path) -> None:
    options = ["--only", "slow", "--out", "r", "--engine", "dask", "--scheduler", cluster.address]
    sweep = start(tmp_path, "dadc", "sweep", _file(tmp_path), *options)
    wait_for(lambda: cluster.running() == 2 or sweep.poll() is not None, "two trials at once")
    os.killpg(cluster.workers[0].pid, signal.SIGKILL)
    ended = finish(sweep, 200)
    assert ended.code == 0, ended.err
    assert "2/2" in ended.out


def test_ctrl_c_frees_the_workers(cluster: Cluster, tmp_path: Path) -> None:
    options = ["--only", "slow", "--out", "r", "--engine", "dask", "--scheduler", cluster.address]
    sweep = start(tmp_path, "dadc", "sweep", _file(tmp_path), *options, "--set", "updates=100000")
    wait_for(lambda: cluster.running() == 2 or sweep.poll() is not None, "two trials at once")
    os.killpg(sweep.pid, signal.SIGINT)
    ended = finish(sweep)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    wait_for(lambda: cluster.running() == 0, "idle workers", 60)


def test_no_scheduler_and_no_address(tmp_path: Path) -> None:
    for address, code, words in (("tcp://127.0.0.1:1", 75, "no Dask scheduler answers"), ("zork", 2, "is no address")):
        options = ["--out", "r", "--engine", "dask", "--scheduler", address]
        ended = run(tmp_path, "dadc", "sweep", _file(tmp_path), *options)
        assert ended.code == code
        assert words in ended.err
