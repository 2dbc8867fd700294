"""Parties killed, stopped, asked to stop and started again in any order: the digest is that of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.process.commands import environment, run, wait_for
from tests.process.conftest import LONGER, MakeTeam, assert_undisturbed
from tests.process.process_team import SERVER, ProcessTeam

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
long_lane = pytest.mark.faults
Digest = Callable[..., str]
LONG = ["--updates", "60", "--num-envs", "4", "--set", "learner.batch_steps=400"]
"""6000 records."""


def under_way(running: ProcessTeam, lines: int = 1) -> None:
    """At least ``lines`` more updates have been written down."""
    metrics = running.state(SERVER) / "metrics.jsonl"

    def count() -> int:
        return len(metrics.read_text().splitlines()) if metrics.exists() else 0

    before = count()
    wait_for(lambda: count() >= before + lines or SERVER not in running.running, "progress", 60)


@long_lane
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_killed_and_started_again_in_random_order(seed: int, team: MakeTeam, undisturbed: Digest) -> None:
    chooser = random.Random(seed)
    running = team(LONG).start()
    for _ in range(3):
        under_way(running)
        for party in running.parties:
            running.kill(party, wait=False)
        running.wait_codes(20)
        for party in chooser.sample(running.parties, len(running.parties)):
            running.start(party)
            time.sleep(chooser.uniform(0, 0.5))
    running.supervise(120)
    assert all(codes.count(-signal.SIGKILL) == 3 for codes in running.codes.values()), f"seed {seed}: {running.codes}"
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
@pytest.mark.timeout(1200)
def test_all_agents_restarted_one_after_the_other_twenty_times(team: MakeTeam, undisturbed: Digest) -> None:
    options = ["--updates", "600", "--num-envs", "4", "--set", "learner.batch_steps=400"]
    running = team(options).start()
    under_way(running)
    for _ in range(20):
        for party in running.parties[1:]:
            running.kill(party, signal.SIGTERM)
            running.start(party)
            wait_for(lambda party=party: _back(running, party), f"{party} coming back\n{running.errors()}", 90)
    running.supervise(300)
    assert [len(running.codes[party]) for party in running.parties] == [1, 21, 21]
    assert_undisturbed(running, undisturbed(options))


def _back(running: ProcessTeam, party: str) -> bool:
    return running.log(SERVER).count(f"{party.replace('-', ' ')} joined") >= len(running.codes[party]) + 1


@pytest.mark.parametrize(
    ("party", "seconds"),
    [
        ("agent-2", 1.0),
        pytest.param("agent-2", 12.0, marks=long_lane),
        pytest.param(SERVER, 12.0, marks=long_lane),
    ],
)
def test_a_stopped_process_goes_on_where_it_was(party: str, seconds: float, team: MakeTeam, undisturbed: Digest) -> None:
    running = team(LONGER).start()
    under_way(running)
    running.kill(party, signal.SIGSTOP, wait=False)
    time.sleep(seconds)
    assert set(running.running) == set(running.parties), running.errors()
    if party != SERVER:
        wait_for(lambda: _held_up_by(running) == [2], "dadc status naming agent 2", 30)
    running.kill(party, signal.SIGCONT, wait=False)
    running.supervise(120)
    assert all(codes == [0] for codes in running.codes.values()), f"nobody needed a restart: {running.codes}"
    assert_undisturbed(running, undisturbed(LONGER))


def _held_up_by(running: ProcessTeam) -> list[int]:
    """Stragglers, and those whose connection is gone: which of the two it is depends on how long it lasts."""
    shown = run(running.folder, "dadc", "status", SERVER, "--json")
    assert shown.code == 0, shown.err
    return [agent["agent"] for agent in shown.last["agents"] if agent["straggler"] or not agent["present"]]


@long_lane
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("party", ["agent-1", SERVER])
def test_a_party_asked_to_stop_can_be_started_again(
    number: signal.Signals, party: str, team: MakeTeam, undisturbed: Digest
) -> None:
    running = team(LONG).start()
    under_way(running)
    running.kill(party, number)
    assert running.codes[party] == [130], running.errors()
    assert "Traceback" not in running.stderr(party)
    running.start(party)
    running.supervise(120)
    assert_undisturbed(running, undisturbed(LONG))


@long_lane
def test_a_hung_agent_is_named_although_its_heart_beats(team: MakeTeam) -> None:
    """The main thread spins inside the learner; the transport's own thread goes on answering."""
    running = team([*LONGER, "--set", "runtime.lockstep_timeout_s=4"])
    hang = (
        "import dadc_net.node.agent.replica as replica, time\n"
        "original, calls = replica.Replica.receive, [0]\n"
        "def receive(self, *arguments):\n"
        "    calls[0] += 1\n"
        "    while calls[0] > 50:\n"
        "        pass\n"
        "    return original(self, *arguments)\n"
        "replica.Replica.receive = receive\n"
        "from dadc_net.cli.main import agent_main as main; main()"
    )
    running.wrap = lambda name, line: [sys.executable, "-c", hang, *line[3:]] if name == "agent-2" else line
    running.start()
    wait_for(lambda: SERVER in running.reap(SERVER) or SERVER not in running.running, "the deadline", 60)
    assert running.codes[SERVER] == [75]
    assert "agent 2 (connected) did not answer step" in running.stderr(SERVER)


@long_lane
def test_an_environment_that_does_not_repeat_itself_is_found_at_the_restart(team: MakeTeam) -> None:
    """Its random numbers are another process's each time, as if nobody had seeded them."""
    noisy = (
        "import os, dadc_net.node.server.world as module\n"
        "from dadc_net.exact.streams import Stream\n"
        "module.Stream = lambda purpose, seed: Stream(purpose, os.urandom(16))\n"
        "from dadc_net.cli.main import environment_main as main; main()"
    )
    running = team(LONG)
    running.wrap = lambda name, line: [sys.executable, "-c", noisy, *line[3:]] if name == SERVER else line
    running.start()
    under_way(running)
    running.kill(SERVER)
    running.start(SERVER)
    wait_for(lambda: SERVER in running.reap(SERVER), f"the refusal\n{running.errors()}", 60)
    assert running.codes[SERVER] == [-signal.SIGKILL, 15]
    assert "does not repeat itself" in running.stderr(SERVER)


@long_lane
def test_memory_stays_flat_while_connections_are_cut() -> None:
    line = [sys.executable, "-m", "tests.process.long_run", "--records", "40000", "--every", "1", "--cut-every", "500000"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=390, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


@long_lane
def test_a_finished_run_prints_its_result_again(team: MakeTeam, undisturbed: Digest) -> None:
    running = team(LONGER).start()
    running.supervise(60)
    expected = undisturbed(LONGER)
    assert_undisturbed(running, expected)
    before = {party: sorted(path.name for path in running.state(party).iterdir()) for party in running.parties}
    for party in running.parties:
        again = subprocess.run(
            running.line(party), cwd=running.folder, capture_output=True, text=True, timeout=60, env=environment()
        )
        assert (again.returncode, again.stdout.strip()) == (0, expected), again.stderr
    assert before == {party: sorted(path.name for path in running.state(party).iterdir()) for party in running.parties}


def test_chaos_ends_in_the_digest_of_a_simulation() -> None:
    """The script that the README names, with a few kills."""
    line = [sys.executable, "-m", "tests.process.chaos", "--kills", "3", "--gap", "0.1", "0.4", "--", *LONG]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("equal")


@long_lane
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", [[], ["--parties"]], ids=["dadc run", "parties"])
def test_chaos_with_thirty_kills(mode: list[str]) -> None:
    line = [sys.executable, "-m", "tests.process.chaos", "--kills", "30", "--chaos-seed", "5", *mode]
    done = subprocess.run(line, capture_output=True, text=True, timeout=1150, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_simulation_itself_depends_on_the_seed(undisturbed: Digest) -> None:
    """The negative control of every comparison here."""
    assert undisturbed(LONGER, 8) != undisturbed(LONGER, 7)
