"""One measurement of ``dadc bench``: the rate of the raw loop, or of a full run, for as long as it may take.

Neither counts how long its processes need to start. A full run is stopped as soon as enough was measured, or the time is
over: what a machine is too slow for is cut short, and what did not come to one whole batch is said to be unmeasured.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from dadc_net.bench import processor_time
from dadc_net.config import RunConfig, resolve
from dadc_net.errors import Interrupted, InvariantError, TemporaryError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import DIGEST_BYTES, NO_RUN, Act, Step
from dadc_net.node.server.world import World
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.events import Began, Event, Updated
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.runtime.launcher import Launcher, LaunchOptions
from dadc_net.runtime.placement import Placement
from dadc_net.runtime.problem import make_problem
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.wire import ceiling
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.framing import encode
from dadc_net.wire.keys import load_agent_keys, load_server_keys
from dadc_net.wire.server_socket import ServerSocket

BATCH_LOCK_STEPS = 300
_RAW_PART = 100
"""Lock-steps of the raw loop between two looks at the clock."""
_MOST_SECONDS = 120.0
"""How long the raw loop's processes may take to come and to end."""
_NEVER = threading.TIMEOUT_MAX


class LockStepRate(NamedTuple):
    """How fast lock-steps are, and what they cost."""

    rate: float
    """Lock-steps per second."""
    cpu: float | None
    """CPU seconds of a lock-step, of all processes together; None where this system does not tell."""
    start_s: float = 0.0
    """Seconds until all processes had begun; they are not in the rate."""


class TooSlowError(TemporaryError):
    """Not one whole batch was measured in the time that there was."""


@dataclass(frozen=True, kw_only=True)
class RawOrder:
    """What a process of the raw loop is told."""

    agent: int
    """0: the server."""
    agents: int
    """K"""
    steps: int
    seconds: float
    """After which it ends, whether it has made ``steps`` or not."""
    frames: tuple[int, ...]
    """Sizes of the frames it sends."""
    keys: Path
    server: str = "tcp://127.0.0.1:0"
    io_core: int | None = None
    """As in a full run."""


def raw_server_child(order: RawOrder, connection: Connection) -> None:
    """Body of the raw loop's server; reports its endpoint, then lock-steps, their seconds and its CPU seconds."""
    socket = ServerSocket(order.server, load_server_keys(order.keys), io_core=order.io_core)
    try:
        connection.send(socket.endpoint)
        peers = ceiling.wait_for_agents(socket, order.agents, _MOST_SECONDS)
        begun, made, seconds = time.process_time(), 0, 0.0
        while made < order.steps and seconds < order.seconds:
            part = min(_RAW_PART, order.steps - made)
            seconds += ceiling.raw_server(socket, peers, part, [bytes(size) for size in order.frames])
            made += part
        connection.send((made, seconds, time.process_time() - begun))
        ceiling.stop_agents(socket, peers)
    finally:
        socket.close()


def raw_agent_child(order: RawOrder, connection: Connection) -> None:
    """Body of a raw loop's agent; reports its CPU seconds."""
    socket = AgentSocket(order.server, load_agent_keys(order.keys, order.agent), io_core=order.io_core)
    try:
        socket.connect()
        begun = time.process_time()
        ceiling.raw_agent(socket, [bytes(size) for size in order.frames])
        connection.send(time.process_time() - begun)
    finally:
        socket.close()


def configured(num_agents: int, num_envs: int, steps: int, journal: str = "process") -> RunConfig:
    """The run that is measured: an update every 300 lock-steps, one batch before those that are measured and one after."""
    overrides = [
        f"learner.num_envs={num_envs}",
        f"learner.batch_steps={num_envs * BATCH_LOCK_STEPS}",
        "evaluation.every_updates=1000000",
        f"runtime.journal={journal}",
    ]
    task, own = ("mabc", []) if num_agents == 2 else ("demand-response", [f"env.agents={num_agents}"])
    return resolve(task, [*overrides, *own], {"updates": 2 + max(1, steps // BATCH_LOCK_STEPS)})


def raw_pace(fork_server: ForkServer, config: RunConfig, steps: int, keys: Path, seconds: float = _NEVER) -> LockStepRate:
    """Of the raw loop, with frames as large as those of the run; ``steps`` lock-steps, fewer after ``seconds``."""
    agents, world = config.settings.num_agents, World(make_problem(config), seed_bytes(1))
    row = world.first()
    step = Step(NO_RUN, 0, row.record, max(row.observations, key=len))
    actions = bytes(max(layout.size for layout in world.actions))
    act = Act(NO_RUN, 0, 1, 0, actions, step_digest=bytes(DIGEST_BYTES), learner_digest=b"")
    step_sizes, act_sizes = (tuple(map(len, encode(message))) for message in (step, act))
    placement = Placement(agents)
    own = placement.core(0)
    order = RawOrder(agent=0, agents=agents, steps=steps, seconds=seconds, frames=step_sizes, keys=keys, io_core=own)
    server = fork_server.start("raw-server", raw_server_child, order)
    endpoint = server.connection.recv()
    answering = [
        fork_server.start(
            f"raw-agent-{agent}",
            raw_agent_child,
            replace(order, agent=agent, frames=act_sizes, server=endpoint, io_core=placement.core(agent)),
        )
        for agent in range(1, agents + 1)
    ]
    made, taken, cpu = server.connection.recv()
    cpu += sum(child.connection.recv() for child in answering)
    for child in (server, *answering):
        child.process.join(_MOST_SECONDS)
        if child.process.exitcode != 0:
            raise InvariantError(f"{child.name} of the raw loop ended with {child.process.exitcode}")
        child.connection.close()
    return LockStepRate(made / taken, cpu / made)


class Measuring:
    """The observer that remembers a run's updates, with the CPU seconds that processes had taken then, and ends the run.

    The first batch is left out: agents build their learners in it, and libraries finish loading. The raw loop is measured
    after its start, too. What comes after the last update that is remembered is not measured: processes end there.
    """

    def __init__(self, stop: StopRequest, steps: int, seconds: float) -> None:
        """It asks for a ``stop`` once ``steps`` lock-steps were measured, and ``seconds`` after the agents have begun."""
        self._stop, self._steps = stop, steps
        self._started = time.monotonic()
        self._timer = threading.Timer(seconds, stop.request, ("the end of its time",))
        self._timer.daemon = True
        self.start_s = 0.0
        self._heard: list[tuple[Updated, float | None]] = []

    def on(self, event: Event) -> None:
        """Note when agents begin, and every update."""
        if isinstance(event, Began):
            if not self.start_s:
                self._timer.start()
            self.start_s = time.monotonic() - self._started
        if isinstance(event, Updated):
            self._heard.append((event, processor_time.of_descendants()))
            if event.lock_steps - self._heard[0][0].lock_steps >= self._steps:
                self._stop.request("the end of its steps")

    def close(self) -> None:
        """Ask for nothing any more."""
        self._timer.cancel()

    def rate(self) -> LockStepRate:
        """Between the first update and the last. Raises TooSlowError if there is one, or none."""
        if len(self._heard) < 2:
            raise TooSlowError(
                f"{len(self._heard)} batches of {BATCH_LOCK_STEPS} lock-steps were made in the time that a round has, and a "
                "rate needs two. The row was left out. Give more --seconds, or fewer --rounds."
            )
        (first, begun), (last, ended) = self._heard[0], self._heard[-1]
        lock_steps = last.lock_steps - first.lock_steps
        cpu = None if begun is None or ended is None else (ended - begun) / lock_steps
        return LockStepRate(lock_steps / (last.seconds - first.seconds), cpu, self.start_s)


def full_pace(
    config: RunConfig, out: Path, journals: Journals = ON_DISK, steps: int = 0, seconds: float = _NEVER
) -> LockStepRate:
    """Of a real run: learner, digests, journals, keys and all; 0 ``steps``: all but its first and its last batch.

    Raises:
        TooSlowError: if there was no batch to measure after ``seconds``.
    """
    options = LaunchOptions(config, seed_bytes(0), seed_bytes(1), out, journals=journals)
    stop = StopRequest()
    settings = config.settings
    measuring = Measuring(stop, steps or (settings.updates - 2) * settings.learner.batch_lock_steps, seconds)
    try:
        with contextlib.suppress(Interrupted):  # By the one who measures, or by the timer.
            Launcher(options, measuring, stop).run()
    finally:
        measuring.close()
    return measuring.rate()
