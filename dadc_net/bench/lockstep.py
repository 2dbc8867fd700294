"""Measures the lock-step rate of full runs against the transport's ceiling, alternated, so that both see one machine.

Rates of one machine at one moment are noisy; the ratio of two that were measured in turn is what to keep. Where other
programs share the processors even that is noisy, and the ratio of processor times, of all processes together, says more.
Two agents run multi-access broadcast, any other number demand response, whose observations and actions are as small.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from dadc_net.bench import processor_time
from dadc_net.bench.shares import Shares, shares_of
from dadc_net.config import RunConfig, resolve
from dadc_net.errors import InvariantError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import DIGEST_BYTES, NO_RUN, Act, Step
from dadc_net.node.server.world import World
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Event, Updated
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.runtime.launcher import Launcher, LaunchOptions
from dadc_net.runtime.problem import make_problem
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.wire import ceiling
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.framing import encode
from dadc_net.wire.keys import load_agent_keys, load_server_keys, write_keys
from dadc_net.wire.server_socket import ServerSocket

_BATCH_LOCK_STEPS = 300
_MOST_SECONDS = 120.0
"""How long the raw loop's processes may take to end."""


class LockStepRate(NamedTuple):
    """How fast lock-steps are, and what they cost."""

    rate: float
    """Lock-steps per second."""
    cpu: float | None
    """CPU seconds of a lock-step, of all processes together; None where this system does not tell."""


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Lock-steps per second; medians over the rounds."""

    full: float
    raw: float
    ratio: float
    """Median over rounds of full / raw."""
    cpu_full: float | None
    """CPU seconds of a lock-step of all processes."""
    cpu_raw: float | None
    cpu_ratio: float | None
    """Median over rounds of raw / full: the share of a lock-step's processor time that the raw loop would take."""
    env_steps: float
    """Environment steps per second of the full run: E times ``full``."""
    shares: Shares
    full_rounds: list[float]
    raw_rounds: list[float]
    num_agents: int
    num_envs: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class RawOrder:
    """What a process of the raw loop is told."""

    agent: int
    """0: the server."""
    agents: int
    """K"""
    steps: int
    frames: tuple[int, ...]
    """Sizes of the frames it sends."""
    keys: Path
    server: str = "tcp://127.0.0.1:0"


def raw_server_child(order: RawOrder, connection: Connection) -> None:
    """Body of the raw loop's server; reports its endpoint, then the seconds and CPU seconds that the steps took."""
    socket = ServerSocket(order.server, load_server_keys(order.keys))
    try:
        connection.send(socket.endpoint)
        peers = ceiling.wait_for_agents(socket, order.agents, _MOST_SECONDS)
        begun = time.process_time()
        seconds = ceiling.raw_server(socket, peers, order.steps, [bytes(size) for size in order.frames])
        connection.send((seconds, time.process_time() - begun))
        ceiling.stop_agents(socket, peers)
    finally:
        socket.close()


def raw_agent_child(order: RawOrder, connection: Connection) -> None:
    """Body of a raw loop's agent; reports its CPU seconds."""
    socket = AgentSocket(order.server, load_agent_keys(order.keys, order.agent))
    try:
        socket.connect()
        begun = time.process_time()
        ceiling.raw_agent(socket, [bytes(size) for size in order.frames])
        connection.send(time.process_time() - begun)
    finally:
        socket.close()


def configured(num_agents: int, num_envs: int, steps: int, journal: str = "process") -> RunConfig:
    """The run that is measured: an update every 300 lock-steps.

    Two batches more than are measured: libraries load in the first one, and in the last one processes begin to end.
    """
    overrides = [
        f"learner.num_envs={num_envs}",
        f"learner.batch_steps={num_envs * _BATCH_LOCK_STEPS}",
        "evaluation.every_updates=1000000",
        f"runtime.journal={journal}",
    ]
    task, own = ("mabc", []) if num_agents == 2 else ("demand-response", [f"env.agents={num_agents}"])
    return resolve(task, [*overrides, *own], {"updates": 2 + max(1, steps // _BATCH_LOCK_STEPS)})


def raw_pace(fork_server: ForkServer, config: RunConfig, steps: int, keys: Path) -> LockStepRate:
    """Of the raw loop, with frames as large as those of the run."""
    agents, world = config.settings.num_agents, World(make_problem(config), seed_bytes(1))
    row = world.first()
    step = Step(NO_RUN, 0, row.record, max(row.observations, key=len))
    actions = bytes(max(layout.size for layout in world.actions))
    act = Act(NO_RUN, 0, 1, 0, actions, step_digest=bytes(DIGEST_BYTES), learner_digest=b"")
    step_sizes, act_sizes = (tuple(map(len, encode(message))) for message in (step, act))
    order = RawOrder(agent=0, agents=agents, steps=steps, frames=step_sizes, keys=keys)
    server = fork_server.start("raw-server", raw_server_child, order)
    endpoint = server.connection.recv()
    answering = [
        fork_server.start(
            f"raw-agent-{agent}", raw_agent_child, replace(order, agent=agent, frames=act_sizes, server=endpoint)
        )
        for agent in range(1, agents + 1)
    ]
    seconds, cpu = server.connection.recv()
    cpu += sum(child.connection.recv() for child in answering)
    for child in (server, *answering):
        child.process.join(_MOST_SECONDS)
        if child.process.exitcode != 0:
            raise InvariantError(f"{child.name} of the raw loop ended with {child.process.exitcode}")
        child.connection.close()
    return LockStepRate(steps / seconds, cpu / steps)


class Updates:
    """The observer that remembers all updates, and the CPU seconds that processes had taken then."""

    def __init__(self) -> None:
        self.heard: list[tuple[Updated, float | None]] = []

    def on(self, event: Event) -> None:
        """Remember it, if it is one."""
        if isinstance(event, Updated):
            self.heard.append((event, processor_time.of_descendants()))


def full_pace(config: RunConfig, out: Path, journals: Journals = ON_DISK) -> LockStepRate:
    """Of a real run: learner, digests, journals, keys and all.

    The first batch is left out: agents build their learners in it, and libraries finish loading. The raw loop is measured
    after its start, too. So is the last one, in which processes end and their times can no longer be read.
    """
    options = LaunchOptions(config, seed_bytes(0), seed_bytes(1), out, journals=journals)
    updates = Updates()
    Launcher(options, updates, StopRequest()).run()
    (first, begun), (last, ended) = updates.heard[0], updates.heard[-2]
    lock_steps = last.lock_steps - first.lock_steps
    cpu = None if begun is None or ended is None else (ended - begun) / lock_steps
    return LockStepRate(lock_steps / (last.seconds - first.seconds), cpu)


def bench(num_agents: int, num_envs: int, steps: int, rounds: int) -> BenchResult:
    """Alternate raw and full runs of ``steps`` lock-steps, ``rounds`` times each, after one unmeasured round."""
    config = configured(num_agents, num_envs, steps)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        keys = base / "keys"
        write_keys(keys, num_agents)
        fork_server = ForkServer()
        raw_pace(fork_server, config, min(steps, 500), keys)
        paces = [
            (raw_pace(fork_server, config, steps, keys), full_pace(config, base / f"run-{index}")) for index in range(rounds)
        ]
        raw, full = [own.rate for own, _ in paces], [own.rate for _, own in paces]
        parts = shares_of(config, 1.0 / statistics.median(raw), 1.0 / statistics.median(full), base / "shares")
    costs = [(one.cpu, other.cpu) for one, other in paces if one.cpu is not None and other.cpu]
    return BenchResult(
        cpu_full=statistics.median(own for _, own in costs) if costs else None,
        cpu_raw=statistics.median(own for own, _ in costs) if costs else None,
        cpu_ratio=statistics.median(one / other for one, other in costs) if costs else None,
        full=statistics.median(full),
        raw=statistics.median(raw),
        ratio=statistics.median(f / r for f, r in zip(full, raw, strict=True)),
        env_steps=num_envs * statistics.median(full),
        shares=parts,
        full_rounds=full,
        raw_rounds=raw,
        num_agents=num_agents,
        num_envs=num_envs,
        steps=steps,
    )


def table(agents: Sequence[int], copies: Sequence[int], steps: int, rounds: int) -> list[BenchResult]:
    """Every number of agents with every number of copies."""
    return [bench(num_agents, num_envs, steps, rounds) for num_agents in agents for num_envs in copies]
