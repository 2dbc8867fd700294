"""Measures the lock-step rate of full runs against the transport's ceiling, alternated, so that both see one machine.

Rates of one machine at one moment are noisy; the ratio of two that were measured in turn is what to keep.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dadc_net.config import resolve
from dadc_net.errors import InvariantError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import DIGEST_BYTES, NO_RUN, Act, Step
from dadc_net.node.record import Record
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Event, Updated
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.runtime.launcher import Launcher, LaunchOptions
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.wire import ceiling
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.framing import encode
from dadc_net.wire.keys import load_agent_keys, load_server_keys, write_keys
from dadc_net.wire.server_socket import ServerSocket

_AGENTS = 2
_BATCH_LOCK_STEPS = 300


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True)
class RawOrder:
    """What a process of the raw loop is told."""

    agent: int
    """0: the server."""
    steps: int
    frames: tuple[int, ...]
    """Sizes of the frames it sends."""
    keys: Path
    server: str = "tcp://127.0.0.1:0"


def raw_server_child(order: RawOrder, connection: Connection) -> None:
    """Body of the raw loop's server; reports its endpoint, then the seconds that the steps took."""
    socket = ServerSocket(order.server, load_server_keys(order.keys))
    try:
        connection.send(socket.endpoint)
        peers = ceiling.wait_for_agents(socket, _AGENTS)
        connection.send(ceiling.raw_server(socket, peers, order.steps, [bytes(size) for size in order.frames]))
        ceiling.stop_agents(socket, peers)
    finally:
        socket.close()


def raw_agent_child(order: RawOrder, connection: Connection) -> None:
    """Body of a raw loop's agent."""
    socket = AgentSocket(order.server, load_agent_keys(order.keys, order.agent))
    try:
        socket.connect()
        ceiling.raw_agent(socket, [bytes(size) for size in order.frames])
    finally:
        socket.close()


def raw_rate(fork_server: ForkServer, num_envs: int, steps: int, keys: Path) -> float:
    """Lock-steps per second of the raw loop with the frames of multi-access broadcast for E copies."""
    step = Step(NO_RUN, 0, Record(0, bytes(DIGEST_BYTES), bytes(num_envs * (8 + 1 + 1 + 3 * 2))), bytes(num_envs * 2))
    act = Act(
        run_id=NO_RUN,
        epoch=0,
        agent=1,
        step=0,
        actions=bytes(num_envs * 2),
        step_digest=bytes(DIGEST_BYTES),
        learner_digest=b"",
    )
    step_sizes, act_sizes = (tuple(map(len, encode(message))) for message in (step, act))
    server = fork_server.start("raw-server", raw_server_child, RawOrder(0, steps, step_sizes, keys))
    endpoint = server.connection.recv()
    agents = [
        fork_server.start(f"raw-agent-{agent}", raw_agent_child, RawOrder(agent, steps, act_sizes, keys, endpoint))
        for agent in range(1, _AGENTS + 1)
    ]
    seconds = float(server.connection.recv())
    for child in (server, *agents):
        child.process.join(30.0)
        if child.process.exitcode != 0:
            raise InvariantError(f"{child.name} of the raw loop ended with {child.process.exitcode}")
        child.connection.close()
    return steps / seconds


class Updates:
    """The observer that remembers all updates."""

    def __init__(self) -> None:
        self.heard: list[Updated] = []

    def on(self, event: Event) -> None:
        """Remember it, if it is one."""
        if isinstance(event, Updated):
            self.heard.append(event)


def full_rate(num_envs: int, steps: int, out: Path, journals: Journals = ON_DISK, journal: str = "process") -> float:
    """Lock-steps per second of a real run: learner, digests, journals, keys and all; an update every 300 lock-steps.

    The first batch is left out: agents build their learners in it, and libraries finish loading. The raw loop is measured
    after its start, too.
    """
    overrides = [
        f"learner.num_envs={num_envs}",
        f"learner.batch_steps={num_envs * _BATCH_LOCK_STEPS}",
        "evaluation.every_updates=1000000",
        f"runtime.journal={journal}",
    ]
    config = resolve("mabc", overrides, {"updates": 1 + max(1, steps // _BATCH_LOCK_STEPS)})
    options = LaunchOptions(config, seed_bytes(0), seed_bytes(1), out, journals=journals)
    updates = Updates()
    Launcher(options, updates, StopRequest()).run()
    first, last = updates.heard[0], updates.heard[-1]
    return (last.lock_steps - first.lock_steps) / (last.seconds - first.seconds)


def bench(num_envs: int, steps: int, rounds: int) -> BenchResult:
    """Alternate raw and full runs of ``steps`` lock-steps, ``rounds`` times each, after one unmeasured round."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        keys = base / "keys"
        write_keys(keys, _AGENTS)
        fork_server = ForkServer()
        raw_rate(fork_server, num_envs, min(steps, 500), keys)
        raw: list[float] = []
        full: list[float] = []
        for index in range(rounds):
            raw.append(raw_rate(fork_server, num_envs, steps, keys))
            full.append(full_rate(num_envs, steps, base / f"run-{index}"))
    ratio = statistics.median(f / r for f, r in zip(full, raw, strict=True))
    return BenchResult(
        full=statistics.median(full),
        raw=statistics.median(raw),
        ratio=ratio,
        full_rounds=full,
        raw_rounds=raw,
        num_agents=_AGENTS,
        num_envs=num_envs,
        steps=steps,
    )
