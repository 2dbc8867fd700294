"""A network in memory: connections that keep order and promise nothing else, on a virtual clock.

Per link and direction: open, dropping (a partition) or clogged (held back until released). A connection may break at any
moment; what is under way may be lost or arrive late, after the first messages of the next connection. An agent's socket
connects again by itself, as ZeroMQ does, without telling anybody, and sends what it had queued.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

OPEN, DROPPING, CLOGGED = "open", "dropping", "clogged"
HEARTBEAT_SECONDS = 5.0
UP, DOWN = "up", "down"
"""From agent to server; from server to agent."""


class Clock:
    """Events in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._order), action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        self.at(self.now + delay, action)

    def step(self) -> bool:
        """Run the next event; False when there is none."""
        if not self._events:
            return False
        self.now, _, action = heapq.heappop(self._events)
        action()
        return True


@dataclass
class Link:
    """Between one agent's host and the server's."""

    state: dict[str, str] = field(default_factory=lambda: {UP: OPEN, DOWN: OPEN})
    since: float = 0.0
    """When its state changed last."""
    held: list[tuple[Connection, str, Callable[[], None]]] = field(default_factory=list)


@dataclass
class Connection:
    """One TCP connection's life."""

    peer: bytes
    agent: int
    server_life: int
    """Which start of the server it was made with."""
    open_at_server: bool = True
    open_at_agent: bool = True
    last: dict[str, float] = field(default_factory=lambda: {UP: 0.0, DOWN: 0.0})
    """When the newest message of each direction arrives: order is kept."""


class Network:
    """Carries messages between one server and K agents."""

    def __init__(self, clock: Clock, chance: random.Random, agents: int, delay: float, loss: float, twice: float) -> None:
        self.clock = clock
        self.chance = chance
        self.delay = delay
        self.loss = loss
        self.twice = twice
        self.links = {agent: Link() for agent in range(1, agents + 1)}
        self.connections: dict[bytes, Connection] = {}
        self._names = count(1)

    def connect(self, agent: int, server_life: int) -> Connection | None:
        """A new connection, if both directions are open."""
        if any(state != OPEN for state in self.links[agent].state.values()):
            return None
        peer = f"peer-{agent}-{next(self._names)}".encode()
        connection = Connection(peer, agent, server_life)
        connection.last = {UP: self.clock.now, DOWN: self.clock.now}
        self.connections[peer] = connection
        return connection

    def send(self, connection: Connection, direction: str, arrive: Callable[[], None]) -> None:
        """Perhaps deliver, perhaps twice."""
        link = self.links[connection.agent]
        state = link.state[direction]
        if state == DROPPING or self.chance.random() < self.loss:
            return
        if state == CLOGGED:
            link.held.append((connection, direction, arrive))
            return
        when = max(connection.last[direction], self.clock.now + self.chance.uniform(0.2, 1.8) * self.delay)
        connection.last[direction] = when
        self.clock.at(when, arrive)
        if self.chance.random() < self.twice:
            self.clock.at(when, arrive)

    def close_at_agent(self, connection: Connection) -> None:
        """The agent's end goes; the server learns of it soon, or only by its heartbeats if the way is blocked."""
        connection.open_at_agent = False
        blocked = self.links[connection.agent].state[UP] != OPEN
        delay = HEARTBEAT_SECONDS if blocked else self.chance.uniform(0.2, 1.8) * self.delay
        self.clock.after(delay, lambda: setattr(connection, "open_at_server", False))

    def cut(self, agent: int) -> None:
        """Break the agent's connections at both ends; what is under way still arrives, or not."""
        for connection in self.connections.values():
            if connection.agent == agent and connection.open_at_agent:
                connection.open_at_agent = False
                connection.open_at_server = False

    def block(self, agent: int, direction: str, state: str) -> None:
        link = self.links[agent]
        link.state[direction] = state
        link.since = self.clock.now

    def release(self, agent: int) -> None:
        """Open the link in both directions; what was clogged comes out in its order."""
        link = self.links[agent]
        link.state = {UP: OPEN, DOWN: OPEN}
        held, link.held = link.held, []
        for connection, direction, arrive in held:
            when = max(connection.last[direction], self.clock.now)
            connection.last[direction] = when
            self.clock.at(when, arrive)

    def beat(self) -> None:
        """Heartbeats: a connection over a link that has been blocked for long is given up at both ends."""
        for connection in self.connections.values():
            link = self.links[connection.agent]
            blocked = any(state != OPEN for state in link.state.values())
            if blocked and self.clock.now - link.since >= HEARTBEAT_SECONDS:
                connection.open_at_agent = connection.open_at_server = False
