"""What an update and a lock-step of acting cost, with two trees of this package in turn.

    python -m tests.bench.updates BEFORE AFTER [--rounds N] [--algorithm NAME] [--copies 1,16,64]

BEFORE and AFTER are checkouts. CPU time of one thread, without processes: random common information goes into a coordinator
with the preset of multi-access broadcast. The ratio of each round is what to keep. It is run with kernels, and with
DADC_FAST=0 in the environment without.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

_WARM_UP = 2
_UPDATES = 12


def measured(algorithm: str, copies: int) -> tuple[float, float]:
    """CPU milliseconds of an update, and CPU microseconds of a lock-step without one, of the package that is imported."""
    import numpy as np

    from dadc_net.config import resolve
    from dadc_net.coordinator.coordinator import Coordinator
    from dadc_net.exact.streams import Stream, seed_bytes
    from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads
    from dadc_net.team.common_record import CommonRecord

    pin_threads()
    keep_freed_memory()
    pass_selftest()
    told = {"algorithm": algorithm, "updates": 10**6}
    coordinator = Coordinator(resolve("mabc", [f"learner.num_envs={copies}"], told).settings, seed_bytes(7))
    batch = coordinator.settings.learner.batch_lock_steps
    seconds = {True: 0.0, False: 0.0}
    for step in range((_WARM_UP + _UPDATES) * batch + 1):
        draws = Stream("test", seed_bytes(3)).uniforms(step, copies, 2)
        common = coordinator.space.values((draws[:, 0] * coordinator.space.num_values).astype(np.int64))
        rewards = draws[:, 1] * 2.0 - 1.0 if step else np.zeros(copies)
        record = CommonRecord(step, common, rewards, np.full(copies, step == 0), np.zeros(copies, dtype=np.uint8))
        begun = time.process_time()
        coordinator.receive(record)
        if step > _WARM_UP * batch:
            seconds[step % batch == 0] += time.process_time() - begun
    return 1e3 * seconds[True] / _UPDATES, 1e6 * seconds[False] / (_UPDATES * (batch - 1))


def of_tree(tree: Path, algorithm: str, copies: int) -> tuple[float, float]:
    """``measured`` with the package of ``tree``."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", algorithm, str(copies)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree, check=True, timeout=300, capture_output=True
    )
    update, acting = json.loads(done.stdout)
    return update, acting


def main() -> None:
    """Print the medians of each number of copies."""
    if sys.argv[1] == "--measure":
        print(json.dumps(measured(sys.argv[2], int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs=2, type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--algorithm", default="actor-critic")
    parser.add_argument("--copies", default="1,16,64")
    options = parser.parse_args()
    before, after = (tree.resolve() for tree in options.trees)
    for copies in map(int, options.copies.split(",")):
        rounds = [[of_tree(tree, options.algorithm, copies) for tree in (before, after)] for _ in range(options.rounds)]
        for place, (what, unit) in enumerate((("update", "ms"), ("acting", "us"))):
            first, second = ([one[tree][place] for one in rounds] for tree in (0, 1))
            ratios = sorted(b / a for a, b in zip(first, second, strict=True))
            print(
                f"{options.algorithm}, E = {copies:3}: {what} {statistics.median(first):8.2f} -> "
                f"{statistics.median(second):8.2f} {unit}, ratio {statistics.median(ratios):.2f} "
                f"({ratios[0]:.2f} .. {ratios[-1]:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
