"""One environment server and K agents as separate processes that a test kills, stops, starts again and watches.

Agent 1 has the compiled kernels where they are installed, the others have none, as hosts of a team may differ.
Starting a party again is the same command line again. ``supervise`` does what a service manager would: it starts
whatever was killed, or ended with a code that may be restarted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dadc_net.wire.keys import write_keys
from tests.process.commands import ENVIRONMENT_SEED, command, environment, free_port

SERVER = "server"
RESTARTABLE = (75,)
Wrap = Callable[[str, list[str]], list[str]]
"""(party, command line) -> command line: runs a party on another host, say."""


@dataclass
class ProcessTeam:
    """Where the team lives, and how its parties are started."""

    folder: Path
    options: Sequence[str]
    """Of ``dadc-env``: updates, copies, --set."""
    num_agents: int = 2
    seed: int = 7
    bind: str = ""
    """Where the server listens; empty: a free port of loopback."""
    addresses: Mapping[int, str] = field(default_factory=dict)
    """agent -> where it finds the server, if not at ``bind``: a proxy, say."""
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """party -> environment variables."""
    wrap: Wrap = lambda _, line: line
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """party -> more arguments."""

    def __post_init__(self) -> None:
        self.bind = self.bind or f"tcp://127.0.0.1:{free_port()}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.codes: dict[str, list[int]] = {name: [] for name in self.parties}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_keys(self.folder / "keys", self.num_agents)

    @property
    def parties(self) -> list[str]:
        """Names: server, agent-1, ..., agent-K."""
        return [SERVER, *(f"agent-{agent}" for agent in range(1, self.num_agents + 1))]

    def line(self, party: str) -> list[str]:
        """The command line of a party, the same at every start."""
        own = ["--keys", str(self.folder / "keys"), "--state-dir", str(self.state(party)), *self.arguments.get(party, ())]
        if party == SERVER:
            return command("dadc-env", "--bind", self.bind, "--env-seed", ENVIRONMENT_SEED, *own, *self.options)
        agent = int(party.partition("-")[2])
        address = self.addresses.get(agent, self.bind)
        return command("dadc-agent", "--id", str(agent), "--seed", str(self.seed), "--server", address, *own)

    def state(self, party: str) -> Path:
        """A party's state folder."""
        return self.folder / party

    def start(self, *parties: str) -> ProcessTeam:
        """Start parties, all when none is named; output is appended to PARTY.out and PARTY.err."""
        for party in parties or self.parties:
            assert party not in self.running, f"{party} runs already"
            with open(self.folder / f"{party}.out", "ab") as out, open(self.folder / f"{party}.err", "ab") as err:
                self.running[party] = subprocess.Popen(
                    self.wrap(party, self.line(party)),
                    cwd=self.folder,
                    stdout=out,
                    stderr=err,
                    stdin=subprocess.DEVNULL,
                    env={**environment(), **self._own_variables(party)},
                )
        return self

    def _own_variables(self, party: str) -> dict[str, str]:
        kernels = {} if party in (SERVER, "agent-1") else {"DADC_FAST": "0"}
        return {**kernels, **self.variables.get(party, {})}

    def kill(self, party: str, number: signal.Signals = signal.SIGKILL, wait: bool = True) -> None:
        """Send a signal and, if it ends the party, note how."""
        self.running[party].send_signal(number)
        if wait:
            self.codes[party].append(self.running.pop(party).wait(60))

    def reap(self, *parties: str) -> dict[str, int]:
        """Parties that have ended since the last look, and their exit codes; of ``parties`` only, where any is named.

        Who is not looked for stays to be found, and started again, by ``supervise``.
        """
        looked = {name: process for name, process in self.running.items() if not parties or name in parties}
        ended = {name: code for name, process in looked.items() if (code := process.poll()) is not None}
        for name, code in ended.items():
            del self.running[name]
            self.codes[name].append(code)
        return ended

    def supervise(self, seconds: float, disturb: Callable[[], None] = lambda: None) -> None:
        """Start what may be restarted until every party has ended with 0; fails on any other code and on time."""
        deadline = time.monotonic() + seconds
        while True:
            for party, code in self.reap().items():
                if code in RESTARTABLE or code < 0:
                    self.start(party)
                else:
                    assert code == 0, f"{party} ended with {code}:\n{self.errors()}"
            if not self.running:
                return
            assert time.monotonic() < deadline, f"not finished within {seconds} s: {self.codes}\n{self.errors()}"
            disturb()
            time.sleep(0.05)

    def wait_codes(self, seconds: float) -> dict[str, int]:
        """Wait until every party has ended; last exit code of each. Nothing is restarted."""
        deadline = time.monotonic() + seconds
        while self.running:
            self.reap()
            assert time.monotonic() < deadline, f"{sorted(self.running)} still run\n{self.errors()}"
            time.sleep(0.05)
        return {party: codes[-1] for party, codes in self.codes.items() if codes}

    def digests(self) -> dict[str, str]:
        """What each party printed last: its learner digest."""
        return {party: (self.folder / f"{party}.out").read_text().strip().splitlines()[-1] for party in self.parties}

    def stderr(self, party: str) -> str:
        """Everything that a party wrote to standard error, over all its starts."""
        return (self.folder / f"{party}.err").read_text(errors="replace")

    def log(self, party: str) -> str:
        """A party's log."""
        path = self.state(party) / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def errors(self) -> str:
        """The ends of all error outputs, for a failing test."""
        return "\n".join(f"--- {party}\n{self.stderr(party)[-1500:]}\n{self.log(party)[-1500:]}" for party in self.parties)

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.running.values():
            process.wait(30)
        self.running.clear()

    def __enter__(self) -> ProcessTeam:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
