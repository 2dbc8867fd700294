"""Server and agents as processes would run them, on a simulated clock, network and disk.

These are the thin shells of ``runtime`` once more, without sockets and files: receive, hand to the node, send what it says,
let it settle. A process may die between any two operations (a message taken, a message sent, a transaction begun or
done): ``fuse`` counts them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dadc_net.errors import DadcError, MismatchError, TemporaryError
from dadc_net.node.agent.agent_node import AgentNode, Phase
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.silence import Verdict
from dadc_net.node.messages import Alive, Fault, Message, Step
from dadc_net.node.server.recovery import take_up
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import Delivery, RunTerms
from dadc_net.node.server.world import World
from dadc_net.wire.framing import decode, encode
from tests.simulation.disk import Disk, DiskAgentStore, DiskServerJournal
from tests.simulation.network import DOWN, UP, Clock, Connection, Network

RUN_ID = bytes(range(16))


class Killed(Exception):
    """kill -9."""


@dataclass(eq=False)
class Host:
    """What a server and an agent have in common: a life, a disk, a fuse."""

    clock: Clock
    network: Network
    disk: Disk
    life: int = 0
    """Rises at every start; messages and timers of an earlier life are void."""
    up: bool = False
    paused: bool = False
    fuse: int = -1
    """Operations until it dies; negative: it does not."""
    waiting: deque[Callable[[], None]] = field(default_factory=deque)
    exit_code: int | None = None
    on_exit: Callable[[int], None] = lambda code: None
    error: DadcError | None = None

    def arm(self) -> None:
        self.disk.before_commit = self.disk.after_commit = self.operate

    def operate(self) -> None:
        """One operation; the fuse may run out at it."""
        if self.fuse == 0:
            self.fuse = -1
            raise Killed
        self.fuse -= 1 if self.fuse > 0 else 0

    def do(self, action: Callable[[], None]) -> None:
        """Run ``action`` as this process, now or when it is no longer paused."""
        if self.paused:
            self.waiting.append(action)
            return
        life = self.life
        try:
            action()
        except Killed:
            self.die(-9)
        except DadcError as error:
            if self.life == life:
                self.fail(error)

    def resume_after_pause(self) -> None:
        self.paused = False
        while self.waiting and not self.paused and self.up:
            self.do(self.waiting.popleft())

    def fail(self, error: DadcError) -> None:
        self.error = error
        self.die(error.exit_code)

    def die(self, code: int) -> None:
        """The process is gone."""
        self.up, self.paused, self.exit_code = False, False, code
        self.life += 1
        self.waiting.clear()
        self.hang_up()
        self.on_exit(code)

    def hang_up(self) -> None:
        raise NotImplementedError


@dataclass(eq=False)
class ServerHost(Host):
    """The environment server."""

    make_world: Callable[[], World] = field(default=lambda: None)  # type: ignore[assignment, return-value]
    terms: RunTerms = field(default=None)  # type: ignore[assignment]
    world_every: int = 5
    node: EnvironmentServerNode | None = None
    sent: dict[int, set[bytes]] = field(default_factory=dict)
    """Record -> chain heads under which it was ever sent; more than one is a fork."""
    early: list[int] = field(default_factory=list)
    """Records that were sent before they were written down."""

    def start(self) -> None:
        self.up, self.exit_code, self.error = True, None, None
        self.do(self._start)

    def _start(self) -> None:
        self.arm()
        world = self.make_world()
        journal = DiskServerJournal(self.disk, world.num_agents)
        if not self.disk.facts:
            self.disk.transact([], {"run_id": RUN_ID.hex(), "epoch": 1})
            self.node = EnvironmentServerNode(ServerLog(world, journal, world_every=self.world_every), self.terms, RUN_ID)
        else:
            self.node, _ = take_up(world, journal, self.terms, self.world_every)
        self.look_if_done()
        life = self.life
        self.clock.after(1.0, lambda: self._tick(life))

    def _tick(self, life: int) -> None:
        if self.life != life or not self.up:
            return
        node = self.node
        assert node is not None
        self.do(lambda: self.deliver([*node.tick(self.clock.now), *node.keepalive(self.clock.now)]))
        if self.life == life:
            self.clock.after(1.0, lambda: self._tick(life))

    def receive(self, connection: Connection, frames: Sequence[bytes]) -> None:
        if not self.up or connection.server_life != self.life:
            return
        life = self.life

        def take() -> None:
            assert self.node is not None
            if self.life == life:
                self.operate()
                message = decode(frames)
                self.deliver(self.node.receive(connection.peer, connection.agent, message, self.clock.now))

        self.do(take)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        node = self.node
        assert node is not None
        pending = list(deliveries)
        while pending:
            peer, message = pending.pop(0)
            self.operate()
            if isinstance(message, Step):
                self.sent.setdefault(message.record.step, set()).add(message.record.head)
                self.early += [message.record.step] if self.disk.tip < message.record.step else []
            connection = self.network.connections.get(peer)
            if connection is None or not connection.open_at_server:
                pending += node.peer_gone(peer, self.clock.now)
            else:
                self._send(connection, message)
        self.look_if_done()

    def _send(self, connection: Connection, message: Message) -> None:
        frames = encode(message)
        agent = self.agents[connection.agent]
        self.network.send(connection, DOWN, lambda: agent.receive(connection, frames))

    agents: dict[int, AgentHost] = field(default_factory=dict)

    def look_if_done(self) -> None:
        assert self.node is not None
        if self.node.done:
            if self.node.error is not None:
                raise self.node.error
            self.die(0)

    def hang_up(self) -> None:
        for connection in self.network.connections.values():
            if connection.server_life < self.life:
                connection.open_at_server = connection.open_at_agent = False

    def stop(self) -> None:
        """SIGTERM."""
        if self.up and self.node is not None:
            node = self.node
            self.do(lambda: self.deliver(node.stop("SIGTERM")))


@dataclass(eq=False)
class AgentHost(Host):
    """One agent."""

    agent: int = 0
    shared_seed: bytes = b""
    server: ServerHost = field(default=None)  # type: ignore[assignment]
    compute: float = 0.0
    """Virtual seconds that a record takes at most."""
    chance: random.Random = field(default_factory=random.Random)
    node: AgentNode | None = None
    connection: Connection | None = None
    outbox: deque[Message] = field(default_factory=deque)
    joining: bool = False
    """A new socket waits for its first connection, and Join is to follow."""
    busy_until: float = 0.0

    def start(self) -> None:
        self.up, self.exit_code, self.error = True, None, None
        self.do(self._start)

    def _start(self) -> None:
        self.arm()
        identity = AgentIdentity(agent=self.agent, shared_seed=self.shared_seed, selftest=bytes(32), patience_s=1e6)
        self.node = AgentNode(identity, DiskAgentStore(self.disk))
        self.node.resume()
        if self.node.phase is Phase.FINISHED:
            self.die(0)
            return
        self.node.watch.heard(self.clock.now)
        self.connection, self.joining = None, True
        self.outbox.clear()
        life = self.life
        self.clock.after(0.05, lambda: self._tick(life))

    def _tick(self, life: int) -> None:
        if self.life != life or not self.up:
            return
        self.do(self._look)
        if self.life == life:
            self.clock.after(0.25, lambda: self._tick(life))

    def _look(self) -> None:
        node = self.node
        assert node is not None
        if self.connection is None or not self.connection.open_at_agent:
            self.connection = None
            self._connect()
        if self.joining:
            return
        verdict = node.tick(self.clock.now)
        if verdict is Verdict.BEAT:
            self.send(Alive(self.agent))
        elif verdict is Verdict.DOUBT:
            self.hang_up()
            self.outbox.clear()
            self.joining = True

    def _connect(self) -> None:
        """The transport, or the first connection of a new socket."""
        if not self.server.up or self.server.paused:
            return
        self.connection = self.network.connect(self.agent, self.server.life)
        if self.connection is None:
            return
        assert self.node is not None
        if self.joining:
            self.joining = False
            self.node.watch.heard(self.clock.now)
            self.send(self.node.join())
        while self.outbox and self.connection is not None:
            self._put(self.outbox.popleft())

    def send(self, message: Message) -> None:
        self.operate()
        if self.connection is None or not self.connection.open_at_agent:
            self.outbox.append(message)
        else:
            self._put(message)

    def _put(self, message: Message) -> None:
        connection, frames = self.connection, encode(message)
        assert connection is not None
        self.network.send(connection, UP, lambda: self.server.receive(connection, frames))

    def receive(self, connection: Connection, frames: Sequence[bytes]) -> None:
        if not self.up or connection is not self.connection:
            return
        life = self.life
        delay = max(0.0, self.busy_until - self.clock.now) + self.chance.uniform(0.0, self.compute)
        self.busy_until = self.clock.now + delay

        def take() -> None:
            if self.life == life and self.up and connection is self.connection:
                self.do(lambda: self._take(frames))

        self.clock.after(delay, take)

    def _take(self, frames: Sequence[bytes]) -> None:
        node = self.node
        assert node is not None
        self.operate()
        reaction = node.receive(decode(frames), self.clock.now)
        for message in reaction.messages:
            self.send(message)
        node.settle(self.clock.now)
        if node.phase is Phase.FINISHED:
            self.die(0)

    def fail(self, error: DadcError) -> None:
        if self.connection is not None and not isinstance(error, MismatchError | TemporaryError):
            self._put(Fault(error.exit_code, str(error)))
        super().fail(error)

    def hang_up(self) -> None:
        if self.connection is not None:
            self.network.close_at_agent(self.connection)
        self.connection = None

    def stop(self) -> None:
        """SIGTERM."""
        if self.up:
            self.die(130)
