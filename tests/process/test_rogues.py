"""Listed keys that misbehave: nobody aborts, hangs or grows, and the others keep at least a third of their pace.

Each flood lasts DADC_ROGUE_SECONDS, two minutes unless said otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process.commands import environment, wait_for
from tests.process.conftest import MakeTeam, assert_undisturbed
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.rogue import KINDS

pytestmark = [pytest.mark.process, pytest.mark.faults, pytest.mark.timeout(3600)]
SECONDS = float(os.environ.get("DADC_ROGUE_SECONDS", "120"))
BOUND_MIB = 400
"""What a server may grow by while it is attacked, in MiB."""
PACED = ["--num-envs", "4", "--set", "learner.batch_steps=400"]
Digest = Callable[..., str]


def record(running: ProcessTeam) -> int:
    """How far the run is."""
    try:
        return int(json.loads((running.state(SERVER) / "status.json").read_text())["step"])
    except (OSError, ValueError, KeyError):
        return -1


def rate(running: ProcessTeam, seconds: float) -> float:
    """Records a second."""
    first, begun = record(running), time.monotonic()
    time.sleep(seconds)
    return (record(running) - first) / (time.monotonic() - begun)


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def attack(running: ProcessTeam, kind: str, agent: int, seconds: float) -> dict[str, float]:
    """One flood: rate before, during and after; memory and descriptors of the server; size of its log."""
    pid = running.running[SERVER].pid
    found = {"before": rate(running, 4.0)}
    memory, log = resident_mib(pid), len(running.log(SERVER))
    line = [sys.executable, "-m", "tests.process.rogue", kind, running.bind, str(running.folder / "keys"), str(agent)]
    rogue = subprocess.Popen([*line, str(seconds)], stdout=subprocess.PIPE, text=True, env=environment(), cwd=running.folder)
    peak, descriptors, first, begun = memory, 0, record(running), time.monotonic()
    while rogue.poll() is None:
        time.sleep(0.25)
        running.reap()
        assert SERVER in running.running, f"{kind}: {running.errors()}"
        peak = max(peak, resident_mib(pid))
        descriptors = max(descriptors, len(os.listdir(f"/proc/{pid}/fd")))
    found["during"] = (record(running) - first) / (time.monotonic() - begun)
    assert rogue.stdout is not None
    found |= {"sent": float(rogue.stdout.read() or 0), "after": rate(running, 4.0), "grown MiB": peak - memory}
    rogue.stdout.close()
    return found | {"descriptors": float(descriptors), "log bytes": float(len(running.log(SERVER)) - log)}


def test_floods_of_every_kind(team: MakeTeam, undisturbed: Digest) -> None:
    updates = str(int(100 + 12 * SECONDS))
    options = ["--updates", updates, *PACED]
    running = team(options).start()
    wait_for(lambda: record(running) > 50, "the run", 200)
    for kind in KINDS:
        if record(running) > int(updates) * 100 - 2000:
            raise AssertionError("the run is too short for all floods")
        found = attack(running, kind, 2, SECONDS)
        print(kind, {name: round(value, 1) for name, value in found.items()}, flush=True)
        assert set(running.running) == set(running.parties), running.errors()
        assert found["during"] >= min(found["before"], found["after"]) / 3, (kind, found)
        assert found["grown MiB"] < BOUND_MIB, (kind, found)
        assert found["log bytes"] < 100_000, (kind, found)
    running.supervise(3000)
    assert_undisturbed(running, undisturbed(options))
