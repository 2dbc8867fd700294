"""What an update and a lock-step of acting cost, with two trees of this package in turn, and where an update's time goes.

    python -m tests.bench.updates BEFORE AFTER [--rounds N] [--algorithm NAME] [--copies 1,16,64]
    python -m tests.bench.updates --parts [--algorithm NAME] [--copies 1,16,64]

BEFORE and AFTER are checkouts. CPU time of one thread, without processes: random common information goes into a coordinator
with the preset of multi-access broadcast. A process of each tree makes one batch and its update, then the other one does, so
that both see one machine however loaded it is: the ratios of the rounds are what to keep. It is run with kernels, and with
DADC_FAST=0 in the environment without.

``--parts`` profiles the package that is imported: each part's own time, which a profile makes dearer where calls are many.
What is not Python counts for whoever called it.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

_WARM_UP = 2
_UPDATES = 12
_PLACES = {
    "exact/functions": "graph nodes",
    "exact/layers": "layers",
    "exact/categorical": "likelihoods",
    "exact/compiled/likelihood": "likelihoods",
    "exact/gaussian": "likelihoods",
    "exact/grid": "products and sums",
    "exact/compiled/rounding": "products and sums",
    "exact/scan": "recurrent scan",
    "exact/compiled/recurrent": "recurrent scan",
    "exact/elementary": "elementary functions",
    "exact/compiled/exponential": "elementary functions",
    "exact/acting": "states and values off the graph",
    "exact/compiled/acting": "states and values off the graph",
    "exact/adam": "optimiser",
    "exact/digest": "digests",
    "exact/canonical": "digests",
    "coordinator": "coordinator",
}
"""Parts of an update by the beginnings of the names of their files in the package."""


def batches(algorithm: str, copies: int) -> Iterator[tuple[float, float]]:
    """Of one batch after the other, CPU milliseconds of its update, and CPU microseconds of a lock-step without one."""
    acting: list[float] = []
    for is_update, step in _steps(algorithm, copies):
        begun = time.process_time()
        step()
        took = time.process_time() - begun
        if not is_update:
            acting.append(took)
            continue
        yield 1e3 * took, 1e6 * sum(acting) / len(acting)
        acting.clear()


def parts(algorithm: str, copies: int) -> dict[str, float]:
    """Shares of an update's own time by part, the largest first."""
    profile = cProfile.Profile()
    updates = 0
    for is_update, step in _steps(algorithm, copies):
        updates += is_update
        if updates > _WARM_UP + _UPDATES:
            break
        if is_update and updates > _WARM_UP:
            profile.runcall(step)
        else:
            step()
    found: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if file != "~":
            found[_place(file)] += own
        elif "run_backward" in name:
            found["torch, backwards"] += own
        else:
            for (caller, *_), (_, _, share, _) in callers.items():
                found[_place(caller)] += share
    total = sum(found.values())
    return {part: seconds / total for part, seconds in found.most_common()}


def _place(file: str) -> str:
    _, package, inside = file.partition("dadc_net/")
    found = next((part for beginning, part in _PLACES.items() if inside.startswith(beginning)), None) if package else None
    return found or ("torch, forwards" if "/torch/" in file else "other")


def _steps(algorithm: str, copies: int) -> Iterator[tuple[bool, Callable[[], Any]]]:
    """Lock-steps without end: whether it is one with an update, and what makes it."""
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
    for step in itertools.count():
        draws = Stream("test", seed_bytes(3)).uniforms(step, copies, 2)
        common = coordinator.space.values((draws[:, 0] * coordinator.space.num_values).astype(np.int64))
        rewards = draws[:, 1] * 2.0 - 1.0 if step else np.zeros(copies)
        record = CommonRecord(step, common, rewards, np.full(copies, step == 0), np.zeros(copies, dtype=np.uint8))
        yield step > 0 and step % batch == 0, partial(coordinator.receive, record)


class Tree:
    """A process with the package of a checkout."""

    def __init__(self, tree: Path, algorithm: str, copies: int) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--measure", algorithm, str(copies)]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        self._process = subprocess.Popen(
            command, env=environment, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def batch(self) -> tuple[float, float]:
        """Of one more batch: milliseconds of the update, microseconds of a lock-step."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._process.stdin.write("\n")
        update, acting = json.loads(self._process.stdout.readline())
        return update, acting

    def end(self) -> None:
        """No more of them."""
        self._process.communicate()


def compared(trees: Sequence[Path], algorithm: str, copies: int, rounds: int) -> None:
    """Print medians of both trees, and median and quartiles of the ratios."""
    both = [Tree(tree, algorithm, copies) for tree in trees]
    for tree in both:
        for _ in range(_WARM_UP):
            tree.batch()
    measured = [[tree.batch() for tree in both] for _ in range(rounds)]
    for tree in both:
        tree.end()
    for place, (what, unit) in enumerate((("update", "ms"), ("acting", "us"))):
        first, second = ([one[tree][place] for one in measured] for tree in (0, 1))
        low, middle, high = statistics.quantiles([b / a for a, b in zip(first, second, strict=True)], n=4)
        print(
            f"{algorithm}, E = {copies:3}: {what} {statistics.median(first):8.2f} -> "
            f"{statistics.median(second):8.2f} {unit}, ratio {middle:.3f} [{low:.3f}, {high:.3f}]",
            flush=True,
        )


def main() -> None:
    """Print what was asked for, for each number of copies."""
    if sys.argv[1:2] == ["--measure"]:
        made = batches(sys.argv[2], int(sys.argv[3]))
        for _ in sys.stdin:
            print(json.dumps(next(made)), flush=True)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, metavar="BEFORE AFTER")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--algorithm", default="actor-critic")
    parser.add_argument("--copies", default="1,16,64")
    options = parser.parse_args()
    if not options.parts and len(options.trees) != 2:
        parser.error("two checkouts are compared")
    for copies in map(int, options.copies.split(",")):
        if options.parts:
            shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in parts(options.algorithm, copies).items())
            print(f"{options.algorithm}, E = {copies}: {shares}", flush=True)
        else:
            compared([tree.resolve() for tree in options.trees], options.algorithm, copies, options.rounds)


if __name__ == "__main__":
    main()
