"""Kill everything at random, again and again, and end in the digest of an undisturbed run. One command:

    python -m tests.process.chaos --kills 30

It runs ``dadc run mabc``, sends SIGKILL to the environment server, to agents and now and then to the launcher with all of
them, and starts again what the launcher does not (the same command line). Then it compares the learner digest with that of
``dadc simulate`` for the same seed. ``--parties`` does the same with ``dadc-env`` and ``dadc-agent`` started by hand.
What is killed when is drawn from ``--chaos-seed``; the exact instant is the machine's. Exit 0 only if the digests are equal
and every kill was made before the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.process.commands import command, descendants, environment
from tests.process.process_team import RESTARTABLE, ProcessTeam

_ALL = "everything"
_ALL_SHARE = 0.15
"""Share of kills that hit everything at once."""


@dataclass
class Kill:
    """One line of the table."""

    number: int
    seconds: float
    party: str
    pids: list[int]
    progress: str


class LauncherTarget:
    """``dadc run``, which restarts its children itself."""

    def __init__(self, folder: Path, arguments: Sequence[str], num_agents: int) -> None:
        self.parties = ["server", *(f"agent-{agent}" for agent in range(1, num_agents + 1))]
        self.out = folder / "run"
        self.starts = 0
        self._line = command("dadc", "run", *arguments, "--out", str(self.out), "--json")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The same command line at every start."""
        self.starts += 1
        with open(self._folder / "run.out", "ab") as out, open(self._folder / "run.err", "ab") as err:
            self._process = subprocess.Popen(
                self._line, cwd=self._folder, stdout=out, stderr=err, env=environment(), start_new_session=True
            )

    def pids(self) -> dict[str, int]:
        """Process of each party that has opened a file in its folder."""
        if self._process is None:
            return {}
        found = {}
        for pid in descendants(self._process.pid):
            for party in self.parties:
                if holds(pid, self.out / party):
                    found[party] = pid
        return found

    def everything(self) -> list[int]:
        """Launcher and all below it."""
        return [] if self._process is None else [self._process.pid, *descendants(self._process.pid)]

    def state(self, party: str) -> Path:
        """A party's state folder."""
        return self.out / party

    def care(self) -> bool:
        """Start again what has to be; False: the run has ended well. Raises RuntimeError if it ended badly."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code == 0:
            return False
        if code is not None:
            if code > 0 and code not in RESTARTABLE:
                raise RuntimeError(f"dadc run ended with {code}:\n{(self._folder / 'run.err').read_text()[-3000:]}")
            self.start()
        return True

    def digests(self) -> dict[str, str]:
        """Learner digest by agent, as the last JSON line says."""
        last = json.loads((self._folder / "run.out").read_text().strip().splitlines()[-1])
        return {str(agent): str(digest) for agent, digest in last["agent_digests"].items()}

    def end(self) -> None:
        """Kill what is left after a failure."""
        kill(self.everything())


class PartiesTarget:
    """``dadc-env`` and ``dadc-agent``, which this script restarts."""

    def __init__(self, folder: Path, arguments: Sequence[str], seed: int, num_agents: int, order: random.Random) -> None:
        self._order = order
        self._team = ProcessTeam(folder / "team", arguments, num_agents, seed)
        self.parties = self._team.parties
        self.starts = 0

    def start(self) -> None:
        """Start all."""
        self.starts += 1
        self._team.start()

    def pids(self) -> dict[str, int]:
        """Process of each party that has opened a file in its folder."""
        running = {party: process.pid for party, process in self._team.running.items() if process.poll() is None}
        return {party: pid for party, pid in running.items() if holds(pid, self._team.state(party))}

    def everything(self) -> list[int]:
        """All parties."""
        return [process.pid for process in self._team.running.values()]

    def state(self, party: str) -> Path:
        """A party's state folder."""
        return self._team.state(party)

    def care(self) -> bool:
        """Start again what was killed, in random order; False: all have ended well."""
        ended = list(self._team.reap().items())
        self._order.shuffle(ended)
        for party, code in ended:
            if code < 0 or code in RESTARTABLE:
                self._team.start(party)
            elif code:
                raise RuntimeError(f"{party} ended with {code}:\n{self._team.errors()}")
        return bool(self._team.running)

    def digests(self) -> dict[str, str]:
        """What every party printed last."""
        return self._team.digests()

    def end(self) -> None:
        """Kill what is left after a failure."""
        self._team.end()


Target = LauncherTarget | PartiesTarget


def holds(pid: int, folder: Path) -> bool:
    """Whether a process has a file of ``folder`` open."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.startswith(f"{folder}/") for link in links)


def kill(pids: Sequence[int]) -> None:
    """SIGKILL to each that still lives."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def progress(target: Target) -> str:
    """The last update that the server wrote down."""
    try:
        last = (target.state("server") / "metrics.jsonl").read_text().strip().splitlines()[-1]
        return f"update {json.loads(last)['update']}"
    except (OSError, IndexError, ValueError):
        return "before the first update"


def torment(target: Target, kills: int, gap: tuple[float, float], chooser: random.Random, seconds: float) -> list[Kill]:
    """Run to the end; kill ``kills`` times on the way."""
    table: list[Kill] = []
    begun = time.monotonic()
    target.start()
    due = begun + chooser.uniform(*gap)
    victim = _choose(target, chooser)
    while target.care():
        now = time.monotonic()
        if now - begun > seconds:
            raise RuntimeError(f"not finished within {seconds:.0f} s, after {len(table)} kills")
        if len(table) < kills and now >= due:
            running = target.pids()
            # Everything is hit at any instant; one party only once it has opened its files and is worth killing.
            pids = target.everything() if victim == _ALL else [running[victim]] if victim in running else []
            if pids:
                kill(pids)
                table.append(Kill(len(table) + 1, now - begun, victim, pids, progress(target)))
                print(_line(table[-1]), flush=True)
                due, victim = now + chooser.uniform(*gap), _choose(target, chooser)
        time.sleep(0.02)
    return table


def _choose(target: Target, chooser: random.Random) -> str:
    return _ALL if chooser.random() < _ALL_SHARE else chooser.choice(target.parties)


def _line(found: Kill) -> str:
    shown = str(found.pids[0]) if len(found.pids) == 1 else f"{len(found.pids)} processes"
    return f"{found.number:4} {found.seconds:8.2f} s  {found.party:11} {shown:14} {found.progress}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Kill and restart a run at random; compare its digest with a simulation.")
    parser.add_argument("--task", default="mabc")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="shared seed of the coordinator")
    parser.add_argument("--chaos-seed", type=int, default=1, help="seed of what is killed, and when")
    parser.add_argument("--gap", type=float, nargs=2, default=(0.3, 2.5), metavar="SECONDS", help="between kills: low, high")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which the script gives up")
    parser.add_argument("--agents", type=int, default=2, help="number of agents of the task")
    parser.add_argument("--parties", action="store_true", help="dadc-env and dadc-agent instead of dadc run")
    parser.add_argument("options", nargs="*", help="after --: options of dadc run, such as --updates 200")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that nothing is left running.
    with tempfile.TemporaryDirectory(prefix="dadc-chaos-") as name:
        folder = Path(name)
        both = [given.task, "--seed", str(given.seed), *given.options]
        order = random.Random(given.chaos_seed + 1)
        target: Target = (
            PartiesTarget(folder, ["--task", given.task, *given.options], given.seed, given.agents, order)
            if given.parties
            else LauncherTarget(folder, both, given.agents)
        )
        print(f"chaos seed {given.chaos_seed}, {given.kills} kills; running dadc simulate first", flush=True)
        expected = _simulate(folder, both)
        print("kill       time  party       process        last update written down", flush=True)
        try:
            table = torment(target, given.kills, tuple(given.gap), random.Random(given.chaos_seed), given.limit)
        except RuntimeError as error:
            print(f"FAILED with chaos seed {given.chaos_seed}: {error}")
            return 1
        finally:
            target.end()
        return _verdict(table, given.kills, target, expected)


def _simulate(folder: Path, arguments: Sequence[str]) -> str:
    line = command("dadc", "simulate", *arguments, "--out", str(folder / "simulated"), "--quiet", "--json")
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise SystemExit(f"dadc simulate ended with {done.returncode}:\n{done.stderr}")
    return str(json.loads(done.stdout.strip().splitlines()[-1])["learner_digest"])


def _verdict(table: Sequence[Kill], wanted: int, target: Target, expected: str) -> int:
    digests = target.digests()
    hits = {party: sum(found.party in (party, _ALL) for found in table) for party in target.parties}
    print(f"{len(table)} kills; each party was hit: {', '.join(f'{party} {count}' for party, count in hits.items())}")
    for party, digest in digests.items():
        print(f"{party:11} {digest}")
    print(f"{'simulated':11} {expected}")
    if len(table) < wanted:
        print(f"FAILED: the run ended after {len(table)} of {wanted} kills; give it more --updates, or a smaller --gap")
        return 1
    if set(digests.values()) != {expected}:
        print("FAILED: the digests differ")
        return 1
    print("equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
