"""Measures the lock-step rate of full runs against the transport's ceiling, alternated, so that both see one machine.

Rates of one machine at one moment are noisy; the ratio of two that were measured in turn is what to keep.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dadc_net.config import resolve
from dadc_net.errors import InvariantError
from dadc_net.exact.streams import seed_bytes
from dadc_net.runtime import ceiling
from dadc_net.runtime.ceiling import CeilingOrder
from dadc_net.runtime.children import Nursery
from dadc_net.runtime.launcher import Launcher, LaunchOptions
from dadc_net.runtime.party import StopRequest
from dadc_net.wire.framing import HEADER
from dadc_net.wire.keys import write_keys

_AGENTS = 2
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class BenchResult:
    """Lock-steps per second; medians over the rounds."""

    full: float
    raw: float
    ratio: float
    """Median over rounds of full / raw."""
    full_rounds: list[float]
    raw_rounds: list[float]
    num_agents: int
    num_envs: int
    steps: int


def raw_rate(nursery: Nursery, num_envs: int, steps: int, keys: Path) -> float:
    """Lock-steps per second of the raw loop with the frames of multi-access broadcast for E copies."""
    step_bytes = (HEADER.size, num_envs * (8 + 1 + 1 + 3 * 2), num_envs * 2)
    act_bytes = (HEADER.size, num_envs * 2, _DIGEST_BYTES)
    server_order = CeilingOrder(0, _AGENTS, steps, step_bytes, act_bytes, keys)
    server = nursery.start("raw-server", ceiling.server_child, server_order)
    endpoint = server.connection.recv()
    agents = []
    for agent in range(1, _AGENTS + 1):
        order = CeilingOrder(agent, _AGENTS, steps, step_bytes, act_bytes, keys, endpoint)
        agents.append(nursery.start(f"raw-agent-{agent}", ceiling.agent_child, order))
    seconds = float(server.connection.recv())
    for child in (server, *agents):
        child.process.join(30.0)
        if child.process.exitcode != 0:
            raise InvariantError(f"{child.name} of the raw loop ended with {child.process.exitcode}")
        child.connection.close()
    return steps / seconds


def full_rate(num_envs: int, steps: int, out: Path) -> float:
    """Lock-steps per second of a real run: learner, digests, books, keys and all; one update at its end."""
    overrides = [f"learner.num_envs={num_envs}", f"learner.batch_steps={num_envs * 300}", "evaluation.every_updates=1000000"]
    config = resolve("mabc", overrides, {"updates": max(1, steps // 300)})
    options = LaunchOptions(config, seed_bytes(0), seed_bytes(1), out)
    ended = Launcher(options, lambda party, kind, details: None, StopRequest()).run()
    return ended.lock_steps / ended.seconds


def bench(num_envs: int, steps: int, rounds: int) -> BenchResult:
    """Alternate raw and full runs of ``steps`` lock-steps, ``rounds`` times each, after one unmeasured round."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        keys = base / "keys"
        write_keys(keys, _AGENTS)
        nursery = Nursery()
        raw_rate(nursery, num_envs, min(steps, 500), keys)
        raw: list[float] = []
        full: list[float] = []
        for index in range(rounds):
            raw.append(raw_rate(nursery, num_envs, steps, keys))
            full.append(full_rate(num_envs, steps, base / f"run-{index}"))
    ratio = statistics.median(f / r for f, r in zip(full, raw, strict=True))
    return BenchResult(statistics.median(full), statistics.median(raw), ratio, full, raw, _AGENTS, num_envs, steps)
