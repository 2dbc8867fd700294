"""The raw loops run between sockets like ours, and can be repeated and stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.ceiling import raw_agent, raw_server, stop_agents, wait_for_agents
from dadc_net.wire.keys import AgentKeys
from dadc_net.wire.server_socket import ServerSocket


@pytest.mark.timeout(60)
def test_raw_lock_steps(
    server: ServerSocket, agents: Callable[..., AgentSocket], agent_keys: Callable[[int], AgentKeys]
) -> None:
    answered: list[int] = []

    def answer(agent: int) -> None:
        socket = agents(server.endpoint, agent_keys(agent))
        socket.connect()
        answered.append(raw_agent(socket, [bytes(72), bytes(2), bytes(32)]))

    threads = [threading.Thread(target=answer, args=(agent,)) for agent in (1, 2)]
    for thread in threads:
        thread.start()
    peers = wait_for_agents(server, 2)
    for _ in range(2):
        assert raw_server(server, peers, 50, [bytes(72), bytes(16), bytes(2)]) > 0
    stop_agents(server, peers)
    for thread in threads:
        thread.join()
    assert answered == [100, 100]
    assert server.receive(10) == []
