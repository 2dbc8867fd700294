"""How much longer an agent's part of a record takes after a pause, with nothing else running.

    python -m tests.bench.pauses [-K 2] [--pause 0,50,200,1000] [--records 1500]

A process that waits for a message gives its core away; what it does next is slower than in a loop. Microseconds of one
agent's ``TeamMember.advance``, without the record's update, medians; pauses in microseconds take turns, record by record.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence

import numpy as np

from dadc_net.bench import paces
from dadc_net.bench.shares import first_agent
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.server.world import World
from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads
from dadc_net.runtime.problem import make_problem


def seconds_after(num_agents: int, pauses: Sequence[float], records: int) -> dict[float, float]:
    """Pause in s -> s of a record after it, median."""
    config = paces.configured(num_agents, 1, 2 * records)
    world = World(make_problem(config), seed_bytes(1))
    member = first_agent(config, world)
    joint = np.zeros((1, num_agents), dtype=np.int64)
    found: dict[float, list[float]] = {pause: [] for pause in pauses}
    row = world.first()
    for pause in itertools.islice(itertools.cycle(pauses), records):
        if pause:
            time.sleep(pause)
        begun = time.perf_counter()
        account, _ = member.advance(row.record, row.observations[0])
        if account.report is None:
            found[pause].append(time.perf_counter() - begun)
        row = world.advance(joint)
    return {pause: statistics.median(own) for pause, own in found.items()}


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-K", type=int, default=2, dest="agents")
    parser.add_argument("--pause", default="0,50,200,1000", help="microseconds")
    parser.add_argument("--records", type=int, default=1500)
    options = parser.parse_args()
    keep_freed_memory()
    pass_selftest()  # It loads the kernels, if agents use them.
    pin_threads()
    found = seconds_after(options.agents, [float(part) / 1e6 for part in options.pause.split(",")], options.records)
    for pause, own in found.items():
        print(f"after {1e6 * pause:5.0f} us: {1e6 * own:5.1f} us")


if __name__ == "__main__":
    main()
