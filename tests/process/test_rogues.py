"""Listed keys that misbehave: nobody aborts, hangs or grows, and the others keep at least a third of their pace.

Each flood lasts DADC_ROGUE_SECONDS, two minutes unless said otherwise, and has a key of its own, because one that was slowed
would spare the server the next: Joins come with the key of agent 2, which takes part meanwhile, the rest with listed keys
whose ids are beyond K.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dadc_net.config import resolve
from dadc_net.coordinator.coordinator import Decision
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.run_folder import config_file
from dadc_net.team.common_record import CommonRecord
from dadc_net.wire.keys import write_keys
from tests.process.commands import ENVIRONMENT_SEED, environment, wait_for
from tests.process.conftest import MakeTeam
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.rogue import KINDS

pytestmark = [pytest.mark.process, pytest.mark.faults, pytest.mark.timeout(6000)]
SECONDS = float(os.environ.get("DADC_ROGUE_SECONDS", "120"))
CALM_SECONDS = 6.0
GROWTH_MIB, LOG_BYTES, DESCRIPTORS = 64, 40_000, 64
"""What a server may grow by while it is attacked, may log, and may hold open."""
OPTIONS = ["--updates", "100000", "--num-envs", "4", "--set", "learner.batch_steps=400"]
"""Longer than all floods together, on a quick machine, too: the run is stopped after them."""


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
    found = {"before": rate(running, CALM_SECONDS)}
    memory, log = resident_mib(pid), len(running.log(SERVER))
    line = [sys.executable, "-m", "tests.process.rogue", kind, running.bind, str(running.folder / "keys"), str(agent)]
    rogue = subprocess.Popen([*line, str(seconds)], stdout=subprocess.PIPE, text=True, env=environment(), cwd=running.folder)
    peak, descriptors, first, begun = memory, 0, record(running), time.monotonic()
    while rogue.poll() is None:
        time.sleep(0.25)
        running.reap()
        assert set(running.running) == set(running.parties), f"{kind}: {running.errors()}"
        peak = max(peak, resident_mib(pid))
        descriptors = max(descriptors, len(os.listdir(f"/proc/{pid}/fd")))
    found["during"] = (record(running) - first) / (time.monotonic() - begun)
    assert rogue.stdout is not None
    found |= {"sent": float(rogue.stdout.read() or 0), "after": rate(running, CALM_SECONDS), "grown MiB": peak - memory}
    rogue.stdout.close()
    return found | {"descriptors": float(descriptors), "log bytes": float(len(running.log(SERVER)) - log)}


class Enough(Exception):
    """As many updates have been simulated as were asked for."""


def right_digests(config: Path, updates: int) -> list[bytes]:
    """Learner digests after update 1, 2, ... of the same run, undisturbed and in one process."""
    # One replica would be played by values or tables, and told of no digests.
    simulation = Simulation(resolve(str(config)), seed_bytes(7), seed_bytes(int(ENVIRONMENT_SEED)), replicas="all")
    replica = simulation.replicas[0]
    receive = replica.coordinator.receive
    digests: list[bytes] = []

    def noting(record: CommonRecord) -> Decision:
        decision = receive(record)
        if decision.update is not None:
            digests.append(decision.update.learner_digest)
        if len(digests) == updates:
            raise Enough
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replica.coordinator, "receive", noting)
        with pytest.raises(Enough):
            simulation.run()
    return digests


def answered_digests(running: ProcessTeam, agent: int) -> list[bytes]:
    """The learner digests that an agent has answered with, from the server's journal."""
    reader = JournalReader(running.state(SERVER))
    digests = [digest for _, _, _, digest in reader.answers(agent) if digest]
    reader.close()
    return digests


def test_floods_of_every_kind(team: MakeTeam) -> None:
    running = team(OPTIONS)
    write_keys(running.folder / "keys", 2 + len(KINDS))
    running.start()
    wait_for(lambda: record(running) > 50, "the run", 600)
    for number, kind in enumerate(KINDS):
        found = attack(running, kind, 2 if kind == "Join" else 3 + number, SECONDS)
        print(f"\n{kind:9} " + " ".join(f"{name} {value:.1f}" for name, value in found.items()), flush=True)
        assert found["during"] >= min(found["before"], found["after"]) / 3, (kind, found)
        assert found["grown MiB"] < GROWTH_MIB, (kind, found)
        assert found["log bytes"] < LOG_BYTES, (kind, found)
        assert found["descriptors"] < DESCRIPTORS, (kind, found)
    running.running[SERVER].send_signal(signal.SIGTERM)
    codes = running.wait_codes(120)
    assert codes == {SERVER: 130, "agent-1": 75, "agent-2": 75}, running.errors()
    one, two = answered_digests(running, 1), answered_digests(running, 2)
    assert len(one) == len(two) > 0
    assert one == two == right_digests(config_file(running.state(SERVER)), len(one))
    print(f"{len(one)} learner digests as in an undisturbed run")
