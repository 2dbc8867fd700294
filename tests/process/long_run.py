"""Does memory stay flat? A long run whose connections are cut all the time, and what each process occupies on the way.

    python -m tests.process.long_run --records 1000000

Real processes through the fault proxy; every ``--cut-every`` bytes or so a connection is reset, so per-connection tables
must be given back. Resident memory is read from /proc. The second half of the run is what counts: by then libraries are
loaded and caches are full. Exit 1 if a party grew by more than ``--allow`` MB in it, or the run did not end well.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.process.commands import free_port
from tests.process.fault_proxy import FaultProxy
from tests.process.process_team import SERVER, ProcessTeam

_BATCH = 500
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> float:
    """Resident MB of a process; 0 when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    except (OSError, IndexError):
        return 0.0


def record(team: ProcessTeam) -> int:
    """The record at which the last update was written down."""
    try:
        return int(json.loads((team.state(SERVER) / "metrics.jsonl").read_text().strip().splitlines()[-1])["lock_steps"])
    except (OSError, IndexError, ValueError):
        return 0


def growth(samples: list[tuple[int, dict[str, float]]], party: str, total: int) -> float:
    """MB between the mean of the third quarter and the mean of the fourth."""

    def mean(low: float, high: float) -> float:
        values = [found[party] for step, found in samples if low * total <= step <= high * total and found.get(party)]
        return sum(values) / len(values) if values else 0.0

    return mean(0.75, 1.0) - mean(0.5, 0.75)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure resident memory over a long run with reconnections.")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--cut-every", type=int, default=2_000_000, help="bytes between cuts, on average, per agent")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between samples")
    parser.add_argument("--allow", type=float, default=8.0, help="MB that a party may grow in the second half")
    given = parser.parse_args()
    updates = max(1, given.records // _BATCH)
    options = ["--updates", str(updates), "--num-envs", "1", "--set", f"learner.batch_steps={_BATCH}"]
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="dadc-long-") as name,
        FaultProxy(port, seed=1) as one,
        FaultProxy(port, seed=2) as two,
    ):
        addresses = {1: one.address, 2: two.address}
        with ProcessTeam(Path(name), options, bind=f"tcp://127.0.0.1:{port}", addresses=addresses) as team:
            for proxy in (one, two):
                proxy.cut_at_random_bytes(10**9, given.cut_every // 2, given.cut_every * 3 // 2)
            return _watch(team, (one, two), updates * _BATCH, given.every, given.allow)


def _watch(team: ProcessTeam, proxies: tuple[FaultProxy, FaultProxy], total: int, every: float, allow: float) -> int:
    samples: list[tuple[int, dict[str, float]]] = []
    begun = last = time.monotonic()
    print(f"{'seconds':>8} {'record':>9} {'cuts':>6}  " + "  ".join(f"{party:>10}" for party in team.parties), flush=True)
    team.start(SERVER)
    time.sleep(5)
    team.start(*team.parties[1:])
    while team.running:
        time.sleep(0.5)
        bad = {party: code for party, code in team.reap().items() if code}
        if bad:
            print(f"FAILED: {bad}\n{team.errors()}")
            return 1
        if time.monotonic() - last < every:
            continue
        last = time.monotonic()
        found = {party: resident(process.pid) for party, process in team.running.items()}
        samples.append((record(team), found))
        cuts = sum(proxy.counts["cuts"] for proxy in proxies)
        shown = "  ".join(f"{found.get(party, 0.0):7.1f} MB" for party in team.parties)
        print(f"{last - begun:8.0f} {samples[-1][0]:9} {cuts:6}  {shown}", flush=True)
    grown = {party: growth(samples, party, total) for party in team.parties}
    print(f"digests {set(team.digests().values())}")
    print("fourth quarter against third: " + ", ".join(f"{party} {value:+.2f} MB" for party, value in grown.items()))
    return 1 if any(value > allow for value in grown.values()) or len(set(team.digests().values())) != 1 else 0


if __name__ == "__main__":
    sys.exit(main())
