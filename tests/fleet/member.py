"""What a host of the fleet runs: ``python -m tests.fleet.member UPDATES [--threads N] [--run NAME ..]`` prints JSON.

The self-test, then every algorithm (or the named golden runs) for UPDATES updates, and demand response for
``COMMON_UPDATES`` at most. ``digest``
covers the self-test and the learners up to ``COMMON_UPDATES`` updates: it is what all hosts must have in common, the
emulated ones too, which stop there. ``plain`` holds digests of the same kind of work done by NumPy, torch and the C
library without any care: the negative control, which shows that two hosts are two.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable

import numpy as np
import torch

from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.exact.digest import digest
from dadc_net.experiment import simulation
from dadc_net.runtime.host import checked_selftest, host_facts
from tests.golden.learners import RUNS, learner_digests

COMMON_UPDATES = 100


def plain_digests() -> dict[str, str]:
    """Digests of plain library results on numbers that are the same everywhere (raw Philox words)."""
    words = np.random.Philox(key=1).random_raw(90_000)
    x = (words >> np.uint64(11)).astype(np.float64) * math.ldexp(1.0, -52) - 1.0
    matrix, tensor = x.reshape(300, 300), torch.from_numpy(x.reshape(300, 300))
    weights = torch.from_numpy(x[:300].reshape(300, 1))
    results = {
        "numpy tanh": np.tanh(x * 3.0),
        "numpy exp": np.exp(x * 3.0),
        "numpy product": matrix @ matrix,
        "numpy sum": np.array([x.sum()]),
        "torch tanh": torch.tanh(tensor * 3.0).numpy(),
        "torch product": (tensor @ tensor).numpy(),
        "torch sqrt": torch.sqrt(tensor.abs()).numpy(),
        "torch log-softmax": torch.log_softmax(tensor * 3.0, 1).numpy(),
        "torch product in float32": (tensor.float() @ weights.float()).numpy(),
        "C library exp": np.array([math.exp(value) for value in x[:20_000].tolist()]),
        "C library tanh": np.array([math.tanh(value) for value in x[:20_000].tolist()]),
    }
    return {name: digest(np.ascontiguousarray(value).tobytes()).hex()[:16] for name, value in results.items()}


def length(name: str, updates: int) -> int:
    """Updates of the golden run ``name``: an algorithm's second run, on another task, goes as far as emulated hosts go."""
    return updates if name in ALGORITHMS else min(updates, COMMON_UPDATES)


def report(updates: int, names: Iterable[str] = RUNS) -> dict[str, object]:
    """All that this host has to say."""
    begun = time.monotonic()
    selftest = checked_selftest()
    learners = {name: learner_digests(name, length(name, updates)) for name in names}
    common = [
        f"{name} {mark} {value}".encode("ascii")
        for name, digests in learners.items()
        for mark, value in digests.items()
        if int(mark) <= COMMON_UPDATES
    ]
    return {
        "digest": digest(selftest.digest, *common).hex(),
        "selftest": selftest.digest.hex(),
        "learners": learners,
        "plain": plain_digests(),
        "fingerprint": host_facts(),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main() -> None:
    """Parse the arguments, do the work, print the report as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("updates", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", action="append", choices=list(RUNS), help="only this run (repeatable)")
    arguments = parser.parse_args()
    # A run pins torch to one thread, for speed; a host that does not must give the same bits.
    simulation.pin_threads = lambda: torch.set_num_threads(arguments.threads)
    print(json.dumps(report(arguments.updates, arguments.run or RUNS)))


if __name__ == "__main__":
    main()
