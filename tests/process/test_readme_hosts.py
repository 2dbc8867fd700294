"""The README's commands for several hosts, typed as they stand, on hosts with a network and a file system of their own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.console import ROOT, Command, blocks
from tests.process.commands import wait_for
from tests.process.host_roots import LAPTOP, HostRoots, available
from tests.process.hosts import Hosts, network

pytestmark = [pytest.mark.process, pytest.mark.faults, pytest.mark.timeout(3600)]
PATIENCE = 1500
PARTITION_SECONDS = 15


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """A server's host and two agents' hosts, on cables."""
    available()
    with network(2) as made:
        yield made


def commands() -> list[Command]:
    """What the README says is to be typed, and where."""
    found = [block for block in blocks(ROOT / "README.md") if "test_readme_hosts" in block.how]
    return [command for block in found for command in block.commands]


def status(home: Path) -> dict[str, Any]:
    """What a party's status file says, which is written once a second; empty while there is none."""
    try:
        found: dict[str, Any] = json.loads(next(home.glob("dadc-state/*/status.json")).read_text(encoding="utf-8"))
    except (StopIteration, ValueError, OSError):
        return {}
    return found


def step(home: Path) -> int:
    """The record that a party has reached."""
    return int(status(home).get("step", 0))


class Clock:
    """How long each step took, printed for whoever runs this with -s."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, what: str) -> None:
        """The seconds since the last step."""
        now = time.monotonic()
        print(f"{now - self._last:6.1f} s  {what}")
        self._last = now


def ended(processes: dict[str, subprocess.Popen[str]], within: float) -> dict[str, str]:
    """What each printed; they must all end with 0."""
    deadline = time.monotonic() + within
    printed = {}
    for name, process in processes.items():
        out, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
        assert process.returncode == 0, f"{name} ended with {process.returncode}:\n{out}"
        printed[name] = out
    return printed


def test_the_commands_of_the_readme_on_hosts_of_their_own(hosts: Hosts, tmp_path: Path) -> None:
    roots, typed, clock = HostRoots(hosts, tmp_path), commands(), Clock()
    assert [command.host for command in typed] == [LAPTOP, LAPTOP, "server", "host-1", "host-2", LAPTOP]
    for command in typed[:2]:
        roots.run(LAPTOP, command.text, 120)
        clock.tell(f"laptop$ {command.text}")
    for name in ("server", "host-1", "host-2"):
        assert {path.name for path in roots.home(name).iterdir()} == {"dadc-keys"}, "each has its keys, and nothing else"
    assert not (roots.home("server") / "dadc-keys" / "team.seed").exists()
    lines = {command.host: command.text for command in typed[2:5]}
    running = {name: roots.start(name, line) for name, line in lines.items()}
    try:
        wait_for(lambda: step(roots.home("host-2")) > 500, "the run being under way", 900)
        clock.tell("server$ dadc-env, host-1$ and host-2$ dadc-agent: until 500 records were answered")
        # A partition, longer than the heartbeats, and healed.
        hosts.pull_cable(2)
        pulled = time.monotonic()
        wait_for(lambda: status(roots.home("host-2")).get("written", 0.0) > pulled + 1, "a status from behind the cut", 60)
        held = step(roots.home("host-2"))
        time.sleep(PARTITION_SECONDS)
        assert step(roots.home("host-2")) <= held + 1, "nothing passes a pulled cable"
        assert all(process.poll() is None for process in running.values()), "nobody gives up"
        hosts.plug_cable(2)
        wait_for(lambda: step(roots.home("host-2")) > held + 100, "going on after the partition", 600)
        clock.tell(f"a cable pulled for {PARTITION_SECONDS} s and more, and 100 records after it was plugged in")
        # A party that is killed, and started again with the same command.
        running["host-1"].kill()
        running["host-1"].communicate(timeout=30)
        running["host-1"] = roots.start("host-1", lines["host-1"])
        printed = ended(running, PATIENCE)
        clock.tell("host-1 killed, its command typed again, and the end of the run at all three")
    finally:
        for process in running.values():
            process.kill()
    digests = {out.split()[-1] for out in printed.values()}
    assert len(digests) == 1, printed
    checked = roots.run(LAPTOP, typed[5].text, 120)
    clock.tell(f"laptop$ {typed[5].text}")
    assert checked.startswith("consistent: agent 1, agent 2 agree on ")
    assert digests.pop() in checked
    # Both seeds together give the whole run again, on one machine; the laptop never had the server's.
    seed = roots.home("server") / "dadc-state" / "server" / "environment.seed"
    (roots.home(LAPTOP) / "environment.seed").write_bytes(seed.read_bytes())
    (roots.home(LAPTOP) / "environment.seed").chmod(0o600)
    task = lines["server"].partition("--task ")[2].partition(" --bind")[0]
    seeds = "--seed-file team/agent-1/team.seed --env-seed-file environment.seed"
    unvalued = "--set evaluation.trajectories=0 --set evaluation.progress_trajectories=0"
    again = roots.run(LAPTOP, f"dadc simulate {task} {seeds} --json --quiet {unvalued}", PATIENCE)
    clock.tell(f"the same again on one machine: dadc simulate {task}")
    assert json.loads(again.splitlines()[-1])["learner_digest"] in checked
    # How well the team has learned, from the folders of its hosts: what the page Several hosts says.
    roots.run(LAPTOP, "scp -r server:dadc-state/server .", 120)
    valued = roots.run(LAPTOP, "dadc evaluate server agent-1 --trajectories 100 --json", 300)
    assert 0 < json.loads(valued.splitlines()[-1])["value"] < json.loads(valued.splitlines()[-1])["optimum"]
    roots.run(LAPTOP, "dadc report server agent-1 agent-2 --together -o report.html", 300)
    assert "All agree." in (roots.home(LAPTOP) / "report.html").read_text(encoding="utf-8")
    clock.tell("laptop$ dadc evaluate and dadc report of the copied folders")


def test_a_host_sees_nothing_of_another(hosts: Hosts, tmp_path: Path) -> None:
    """The control: with a shared file system, or a shared network, the test above would show nothing."""
    roots = HostRoots(hosts, tmp_path)
    roots.run("host-1", "echo own > note", 30)
    assert (roots.home("host-1") / "note").read_text(encoding="utf-8") == "own\n"
    assert roots.run("host-2", "ls; ls /tmp; ls -d /hosts 2> /dev/null || true", 30) == ""
    assert "10.231.1.1" not in roots.run("host-2", "cat /etc/hosts; cat /proc/net/fib_trie", 30)
    assert roots.run(LAPTOP, "scp -r host-1:note . && cat note", 30) == "own\n"
