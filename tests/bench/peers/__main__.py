"""Measures everything, or what is missing, and writes the table.

    python -m tests.bench.peers --out launch/results/peers

Every run is a process of its own with one thread; contenders take turns, so that all see nearly the same machine. What has
been measured stands in ``peers.json`` of the folder, and is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.peers.order import BUDGETS, RUNS, Run
from tests.bench.peers.table import markdown

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MOST_SECONDS = 3600.0


def measured(run: Run) -> Any:
    """One run, in this process."""
    from tests.bench.peers.problems import Problem

    problem = Problem(run.problem)
    if run.kind == "speed":
        from tests.bench.peers import speed

        return speed.in_turn(problem, run.number)
    library, algorithm = run.contender.split(" ", 1)
    steps = BUDGETS[run.problem, run.contender]
    if library == "dadc":
        from tests.bench.peers import ours

        return ours.learn(problem, algorithm, steps, run.number)
    if library == "jax":
        from tests.bench.peers import jax_yardstick

        return jax_yardstick.learn(problem, steps, run.number)
    from tests.bench.peers import stable_baselines

    return stable_baselines.learn(problem, algorithm, steps, run.number)


def in_a_process(run: Run) -> Any:
    """One run, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.peers", "--one", json.dumps(run)]
    environment = {**os.environ, **dict.fromkeys(_THREADS, "1")}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, timeout=_MOST_SECONDS)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """All runs that are missing, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of peers.json and peers.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(Run(*json.loads(options.one)))))
        return
    if options.out is None:
        parser.error("--out says where the table goes")
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "peers.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for run in RUNS:
        if run.name not in found:
            found[run.name] = in_a_process(run)
            kept.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(run.name, flush=True)
    (options.out / "peers.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))


if __name__ == "__main__":
    main()
