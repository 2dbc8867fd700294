"""How long after ``dadc run mabc`` the first lock-step begins, with two trees of this package in turn.

    python -m tests.bench.first_lock_step BEFORE AFTER [--rounds N]

BEFORE and AFTER are checkouts. Seconds on the wall, from the start of the command to the moment at which all agents have
begun; the ratio of each round is what to keep, because both of its runs saw nearly the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(tree: Path, out: Path) -> float:
    """Of one run of one update, in a folder of its own."""
    command = [sys.executable, "-m", "dadc_net", "run", "mabc", "--updates", "1", "--quiet", "--out", str(out)]
    begun = time.time()
    subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True, timeout=300)
    events = [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(max(event["time"] for event in events if event["event"] == "Began")) - begun


def main() -> None:
    """Print every round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs=2, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = [tree.resolve() for tree in options.trees]
    with tempfile.TemporaryDirectory() as folder:
        for tree in trees:  # Kernels are compiled once per tree.
            seconds(tree, Path(folder) / f"warm-up-{trees.index(tree)}")
        rounds = []
        for index in range(options.rounds):
            before, after = (seconds(tree, Path(folder) / f"{index}-{place}") for place, tree in enumerate(trees))
            print(f"before {before:6.2f} s, after {after:6.2f} s, ratio {after / before:.2f}", flush=True)
            rounds.append((before, after, after / before))
    before, after, ratio = map(statistics.median, zip(*rounds, strict=True))
    print(f"medians of {len(rounds)}: before {before:.2f} s, after {after:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
