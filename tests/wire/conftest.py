"""Keys, sockets that are closed again, and short heartbeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.keys import AgentKeys, load_agent_keys, load_server_keys, write_keys
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import ServerSocket

LOOPBACK = "tcp://127.0.0.1:*"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with keys for a server and two agents."""
    keys = tmp_path / "keys"
    write_keys(keys, 2)
    return keys


@pytest.fixture
def server(folder: Path) -> Iterator[ServerSocket]:
    """A server with keys on a free loopback port."""
    socket = ServerSocket(LOOPBACK, load_server_keys(folder), Heartbeat(200, 800, 1000))
    yield socket
    socket.close(flush=False)


@pytest.fixture
def agents() -> Iterator[Callable[..., AgentSocket]]:
    """Makes agent sockets: ``agents(endpoint, keys, connect_timeout_s)``."""
    made: list[AgentSocket] = []

    def make(endpoint: str, keys: AgentKeys | None, connect_timeout_s: float = 10.0) -> AgentSocket:
        made.append(AgentSocket(endpoint, keys, connect_timeout_s, Heartbeat(200, 800, 1000)))
        return made[-1]

    yield make
    for socket in made:
        socket.close(flush=False)


@pytest.fixture
def agent_keys(folder: Path) -> Callable[[int], AgentKeys]:
    """``agent_keys(k)``: agent k's keys."""
    return lambda agent: load_agent_keys(folder, agent)
