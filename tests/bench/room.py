"""How much a lock-step leaves room for: rates of the raw loop with parties that compute for a while at each.

    python -m tests.bench.room [-K 2] [--agent 0,20,40,60] [--server 0,20,40,80] [--steps 3000] [--rounds 3]

Microseconds of processor time, of each agent between a record and its answer, and of the server between the last answer
and the next record; both are spent in a loop that touches nothing, so that this is the best case. The share beside a rate
is that of the loop in which nobody computes, of the same round.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from dadc_net.bench import paces
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.wire import ceiling
from dadc_net.wire.keys import write_keys

_raw_agent, _raw_server, _receive = paces.raw_agent_child, paces.raw_server_child, ceiling.receive_frames


class Busy(NamedTuple):
    """Microseconds of processor time in each lock-step."""

    agent: float
    server: float


def compute(microseconds: float) -> None:
    """Use so much of this thread's processor time."""
    until = time.thread_time() + microseconds / 1e6
    while time.thread_time() < until:
        pass


@contextmanager
def _busy_after(messages: int, microseconds: float) -> Iterator[None]:
    """In here whoever has received so many ``messages`` computes."""
    turns = itertools.cycle([False] * (messages - 1) + [True])

    def receive(*arguments: Any) -> Any:
        frames = _receive(*arguments)
        if microseconds and next(turns):
            compute(microseconds)
        return frames

    with mock.patch.object(ceiling, "receive_frames", receive):
        yield


def busy_agent(microseconds: float, order: paces.RawOrder, connection: Connection) -> None:
    """Body of an agent."""
    with _busy_after(1, microseconds):
        _raw_agent(order, connection)


def busy_server(microseconds: float, order: paces.RawOrder, connection: Connection) -> None:
    """Body of the server."""
    with _busy_after(order.agents, microseconds):
        _raw_server(order, connection)


def rate(num_agents: int, busy: Busy, steps: int) -> float:
    """Lock-steps per second."""
    bodies = {
        "raw_agent_child": functools.partial(busy_agent, busy.agent),
        "raw_server_child": functools.partial(busy_server, busy.server),
    }
    config = paces.configured(num_agents, 1, steps)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        write_keys(keys, num_agents)
        with mock.patch.multiple(paces, **bodies):
            return paces.raw_pace(ForkServer(), config, steps, keys).rate


def _numbers(text: str) -> Sequence[float]:
    return [float(part) for part in text.split(",")]


def main() -> None:
    """Print every round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-K", type=int, default=2, dest="agents")
    parser.add_argument("--agent", type=_numbers, default=[0, 20, 40, 60])
    parser.add_argument("--server", type=_numbers, default=[0, 20, 40, 80])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cells = [Busy(*pair) for pair in zip(options.agent, options.server, strict=True)]
    shares: dict[Busy, list[float]] = {cell: [] for cell in cells}
    for _ in range(options.rounds):
        idle = rate(options.agents, Busy(0, 0), options.steps)
        for cell in cells:
            found = rate(options.agents, cell, options.steps)
            shares[cell].append(found / idle)
            print(f"{cell}: {found:.0f} lock-steps/s of {idle:.0f}, {found / idle:.2f}", flush=True)
    for cell, own in shares.items():
        print(f"median of {cell}: {statistics.median(own):.2f} [{min(own):.2f}, {max(own):.2f}]")


if __name__ == "__main__":
    main()
