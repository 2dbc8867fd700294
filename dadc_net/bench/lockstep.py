"""Measures the lock-step rate of full runs against the transport's ceiling, alternated, so that both see one machine.

Rates of one machine at one moment are noisy; the ratio of two that were measured in turn is what to keep. Two agents run
multi-access broadcast, any other number demand response, whose observations and actions are as small.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

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


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Lock-steps per second; medians over the rounds."""

    full: float
    raw: float
    ratio: float
    """Median over rounds of full / raw."""
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
    """Body of the raw loop's server; reports its endpoint, then the seconds that the steps took."""
    socket = ServerSocket(order.server, load_server_keys(order.keys))
    try:
        connection.send(socket.endpoint)
        peers = ceiling.wait_for_agents(socket, order.agents, _MOST_SECONDS)
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


def configured(num_agents: int, num_envs: int, steps: int, journal: str = "process") -> RunConfig:
    """The run that is measured: an update every 300 lock-steps."""
    overrides = [
        f"learner.num_envs={num_envs}",
        f"learner.batch_steps={num_envs * _BATCH_LOCK_STEPS}",
        "evaluation.every_updates=1000000",
        f"runtime.journal={journal}",
    ]
    task, own = ("mabc", []) if num_agents == 2 else ("demand-response", [f"env.agents={num_agents}"])
    return resolve(task, [*overrides, *own], {"updates": 1 + max(1, steps // _BATCH_LOCK_STEPS)})


def raw_rate(fork_server: ForkServer, config: RunConfig, steps: int, keys: Path) -> float:
    """Lock-steps per second of the raw loop, with frames as large as those of the run."""
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
    seconds = float(server.connection.recv())
    for child in (server, *answering):
        child.process.join(_MOST_SECONDS)
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


def full_rate(config: RunConfig, out: Path, journals: Journals = ON_DISK) -> float:
    """Lock-steps per second of a real run: learner, digests, journals, keys and all.

    The first batch is left out: agents build their learners in it, and libraries finish loading. The raw loop is measured
    after its start, too.
    """
    options = LaunchOptions(config, seed_bytes(0), seed_bytes(1), out, journals=journals)
    updates = Updates()
    Launcher(options, updates, StopRequest()).run()
    first, last = updates.heard[0], updates.heard[-1]
    return (last.lock_steps - first.lock_steps) / (last.seconds - first.seconds)


def bench(num_agents: int, num_envs: int, steps: int, rounds: int) -> BenchResult:
    """Alternate raw and full runs of ``steps`` lock-steps, ``rounds`` times each, after one unmeasured round."""
    config = configured(num_agents, num_envs, steps)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        keys = base / "keys"
        write_keys(keys, num_agents)
        fork_server = ForkServer()
        raw_rate(fork_server, config, min(steps, 500), keys)
        raw: list[float] = []
        full: list[float] = []
        for index in range(rounds):
            raw.append(raw_rate(fork_server, config, steps, keys))
            full.append(full_rate(config, base / f"run-{index}"))
        parts = shares_of(config, 1.0 / statistics.median(raw), 1.0 / statistics.median(full), base / "shares")
    return BenchResult(
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
