"""Hosts with a network of their own: cables that are pulled, and links that are deaf in one direction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.process.commands import wait_for
from tests.process.conftest import MakeTeam
from tests.process.hosts import Hosts, network
from tests.process.process_team import SERVER, ProcessTeam
from tests.process.test_restarts import LONG, under_way

pytestmark = [pytest.mark.process, pytest.mark.faults, pytest.mark.timeout(300)]
Digest = Callable[..., str]
_PORT = 5555


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """A server's host and two agents' hosts."""
    with network(2) as made:
        yield made


def spread(team: MakeTeam, hosts: Hosts) -> ProcessTeam:
    """A team with one host for each party."""
    names = {SERVER: hosts.server, "agent-1": hosts.agent(1), "agent-2": hosts.agent(2)}
    running = team(
        LONG,
        bind=f"tcp://0.0.0.0:{_PORT}",
        addresses={agent: f"tcp://{hosts.server_address(agent)}:{_PORT}" for agent in (1, 2)},
        wrap=lambda party, line: hosts.inside(names[party], line),
    )
    return running.start()


@pytest.mark.parametrize("fault", ["pull_cable", "deafen_server", "deafen_agent"])
def test_a_partition_of_one_host_heals(fault: str, hosts: Hosts, team: MakeTeam, undisturbed: Digest) -> None:
    running = spread(team, hosts)
    under_way(running)
    getattr(hosts, fault)(2)
    time.sleep(15)
    assert set(running.running) == set(running.parties), f"somebody gave up or finished\n{running.errors()}"
    hosts.plug_cable(2)
    hosts.heal(2)
    running.supervise(150)
    assert all(codes == [0] for codes in running.codes.values()), f"nobody needed a restart: {running.codes}"
    assert set(running.digests().values()) == {undisturbed(LONG)}


def test_cables_pulled_for_moments_again_and_again(hosts: Hosts, team: MakeTeam, undisturbed: Digest) -> None:
    """Packets are lost in bursts; the kernel this is tested on has no other way to lose some of them."""
    running = spread(team, hosts)
    for _ in range(10):
        for agent in (1, 2):
            hosts.pull_cable(agent)
            time.sleep(0.15)
            hosts.plug_cable(agent)
            time.sleep(0.15)
    running.supervise(150)
    assert set(running.digests().values()) == {undisturbed(LONG)}


def test_an_agent_killed_behind_a_partition_comes_back(hosts: Hosts, team: MakeTeam, undisturbed: Digest) -> None:
    """The server is not told that the old connection is gone: the new process has to take over."""
    running = spread(team, hosts)
    under_way(running)
    hosts.pull_cable(1)
    running.kill("agent-1")
    hosts.plug_cable(1)
    running.start("agent-1")
    running.supervise(150)
    assert set(running.digests().values()) == {undisturbed(LONG)}


def test_the_straggler_is_named(hosts: Hosts, team: MakeTeam) -> None:
    running = spread(team, hosts)
    under_way(running)
    hosts.pull_cable(2)
    wait_for(lambda: "agent 2" in running.log(SERVER).rsplit("joined", 1)[-1], f"naming agent 2\n{running.errors()}", 60)
    assert "agent 1 " not in running.log(SERVER).rsplit("joined", 1)[-1]
