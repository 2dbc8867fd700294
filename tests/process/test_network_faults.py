"""A network that cuts, holds, delays, damages and floods: every run ends in the digest of an undisturbed one."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.key_files import new_pair
from dadc_net.wire.keys import AgentKeys, load_agent_keys
from tests.process.commands import SMALL, free_port, wait_for
from tests.process.conftest import LONGER, MakeTeam, assert_undisturbed
from tests.process.fault_proxy import FaultProxy, Way
from tests.process.process_team import SERVER, ProcessTeam

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
long_lane = pytest.mark.faults
BOTH = (Way.TO_SERVER, Way.TO_AGENT)
Digest = Callable[..., str]


@contextmanager
def behind_proxies(team: MakeTeam, options: list[str], seed: int = 1) -> Iterator[tuple[ProcessTeam, list[FaultProxy]]]:
    """A team whose agents each reach the server through a proxy of their own."""
    port = free_port()
    with ExitStack() as stack:
        proxies = [stack.enter_context(FaultProxy(port, seed=seed + agent)) for agent in (1, 2)]
        addresses = {agent: proxy.address for agent, proxy in enumerate(proxies, start=1)}
        running = team(options, bind=f"tcp://127.0.0.1:{port}", addresses=addresses)
        running.start(SERVER)
        wait_for(lambda: "listens" in running.log(SERVER), "the server", 30)
        yield running, proxies


def slowly(proxies: list[FaultProxy]) -> None:
    """So that there is time to hit it."""
    for proxy in proxies:
        proxy.delay = (0.001, 0.002)


def under_way(running: ProcessTeam, proxies: list[FaultProxy], count: int = 40_000) -> None:
    wait_for(lambda: all(proxy.passed > count for proxy in proxies), f"{count} bytes\n{running.errors()}", 60)


@pytest.mark.parametrize(
    ("times", "seed"), [(8, 1), pytest.param(100, 2, marks=long_lane), pytest.param(100, 3, marks=long_lane)]
)
def test_connections_cut_at_random_bytes(times: int, seed: int, team: MakeTeam, undisturbed: Digest) -> None:
    with behind_proxies(team, LONGER, seed) as (running, proxies):
        for proxy in proxies:
            proxy.cut_at_random_bytes(times // 2, 300, 12_000)
        running.start("agent-1", "agent-2")
        running.supervise(300)
        assert [proxy.counts["cuts"] for proxy in proxies] == [times // 2, times // 2], f"seed {seed}"
    assert_undisturbed(running, undisturbed(LONGER))


@pytest.mark.parametrize("way", [Way.TO_SERVER, pytest.param(Way.TO_AGENT, marks=long_lane)], ids=lambda way: way.value)
def test_flipped_lost_and_doubled_bytes(way: Way, team: MakeTeam, undisturbed: Digest) -> None:
    with behind_proxies(team, LONGER) as (running, (first, second)):
        running.start("agent-1", "agent-2")
        under_way(running, [first, second])
        second.flip_bit(way, after=1000)
        first.lose(way, 5, after=1000)
        first.double(way, after=30_000)
        running.supervise(200)
        assert second.counts["flips"] == 1
        assert (first.counts["lost"], first.counts["doubled"]) == (5, 1)
    assert_undisturbed(running, undisturbed(LONGER))


@pytest.mark.parametrize("way", BOTH, ids=lambda way: way.value)
def test_frames_that_vanish(way: Way, team: MakeTeam, undisturbed: Digest) -> None:
    """What follows is taken for the rest of the message, and that cannot be: found by a flipped bit, one of 400."""
    with behind_proxies(team, LONGER) as (running, proxies):
        running.start("agent-1", "agent-2")
        for count in (1, 2):
            under_way(running, proxies, 30_000 * count)
            for proxy in proxies:
                proxy.lose_frame(way)
        running.supervise(200)
        assert [proxy.counts["vanished"] for proxy in proxies] == [2, 2]
    assert_undisturbed(running, undisturbed(LONGER))


@long_lane
def test_records_that_come_twice_to_agents_that_compute(team: MakeTeam, undisturbed: Digest) -> None:
    """What is wrong behind a record ends the connection just before the answer to it is sent."""
    with behind_proxies(team, LONGER) as (running, proxies):
        slowly(proxies)
        running.start("agent-1", "agent-2")
        for count in range(1, 5):
            under_way(running, proxies, 20_000 * count)
            proxies[count % 2].double(Way.TO_AGENT)
        running.supervise(120)
        assert sum(proxy.counts["doubled"] for proxy in proxies) == 4
    assert_undisturbed(running, undisturbed(LONGER))


@long_lane
@pytest.mark.parametrize("ways", [BOTH, BOTH[:1], BOTH[1:]], ids=["both ways", "to the server", "to the agent"])
def test_a_partition_longer_than_the_heartbeat_heals(ways: tuple[Way, ...], team: MakeTeam, undisturbed: Digest) -> None:
    with behind_proxies(team, LONGER) as (running, proxies):
        slowly(proxies)
        running.start("agent-1", "agent-2")
        under_way(running, proxies)
        proxies[1].hold(*ways)
        passed = proxies[0].passed
        time.sleep(12)
        assert proxies[0].passed < passed + 40_000, "the run went on without agent 2"
        proxies[1].release(*ways)
        running.supervise(120)
    assert_undisturbed(running, undisturbed(LONGER))


@long_lane
def test_links_clogged_one_by_one_and_freed_in_another_order(team: MakeTeam, undisturbed: Digest) -> None:
    chooser = random.Random(4)
    with behind_proxies(team, LONGER) as (running, proxies):
        slowly(proxies)
        running.start("agent-1", "agent-2")
        links = [(proxy, way) for proxy in proxies for way in Way]
        for _ in range(4):
            under_way(running, proxies, 20_000)
            for held in (True, False):
                chooser.shuffle(links)
                for proxy, way in links:
                    (proxy.hold if held else proxy.release)(way)
                    time.sleep(chooser.uniform(0.1, 2.0))
        running.supervise(120)
    assert_undisturbed(running, undisturbed(LONGER))


@long_lane
def test_delay_jitter_and_a_thin_line(team: MakeTeam, undisturbed: Digest) -> None:
    with behind_proxies(team, SMALL) as (running, (first, second)):
        first.delay = (0.05, 0.5)
        second.bytes_per_second = 8000.0  # 64 kbit/s
        running.start("agent-1", "agent-2")
        running.supervise(200)
    assert_undisturbed(running, undisturbed(SMALL))


@long_lane
def test_connections_that_end_by_halves(team: MakeTeam, undisturbed: Digest) -> None:
    with behind_proxies(team, LONGER) as (running, proxies):
        slowly(proxies)
        running.start("agent-1", "agent-2")
        for count, way in enumerate((*BOTH, *BOTH), start=1):
            under_way(running, proxies, 20_000 * count)
            proxies[count % 2].half_close(way)
        running.supervise(120)
        assert sum(proxy.counts["half-closed"] for proxy in proxies) >= 4
    assert_undisturbed(running, undisturbed(LONGER))


def test_garbage_at_the_servers_port(team: MakeTeam, undisturbed: Digest) -> None:
    running = team(SMALL).start(SERVER)
    wait_for(lambda: "listens" in running.log(SERVER), "the server", 30)
    port = int(running.bind.rpartition(":")[2])
    chooser = random.Random(9)
    web, greeting = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff\0\0\0\0\0\0\0\1\x7f"
    for sample in (web, greeting, greeting + b"\3", chooser.randbytes(70_000)):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(sample)
    running.start("agent-1", "agent-2")
    running.supervise(60)
    assert_undisturbed(running, undisturbed(SMALL))


@long_lane
def test_a_flood_of_strangers(team: MakeTeam, undisturbed: Digest) -> None:
    """Silent and garbage connections, and handshakes with unknown keys; descriptors are given back afterwards."""
    running = team([*LONGER, "--set", "updates=60"]).start()
    port = int(running.bind.rpartition(":")[2])
    wait_for(lambda: "joined" in running.log(SERVER), "the first agent", 30)
    server = running.running[SERVER].pid
    silent = []
    for number in range(600):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        if number % 2:
            connection.sendall(b"garbage" * 20)
        silent.append(connection)
    known = load_agent_keys(running.folder / "keys", 1)
    for _ in range(40):
        stranger = AgentSocket(running.bind, AgentKeys(1, new_pair(), known.server_public, known.folder), 2.0)
        with pytest.raises(Exception, match="refused the key"):
            stranger.connect()
        stranger.close(flush=False)
    held = _descriptors(server)
    wait_for(lambda: _descriptors(server) < 60 or SERVER not in running.running, "giving back descriptors", 60)
    for connection in silent:
        connection.close()
    running.supervise(200)
    assert held > 60, "the flood held nothing; the test shows nothing"
    assert running.log(SERVER).count("refused") < 40
    assert_undisturbed(running, undisturbed([*LONGER, "--set", "updates=60"]))


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_strangers_without_a_key_do_not_keep_a_run_from_writing_down_its_end(
    team: MakeTeam, undisturbed: Digest, tmp_path: Path
) -> None:
    """Twice as many connections as the server may have descriptors, from before the first record until after the last."""
    running = team([*LONGER, "--set", "updates=60"])
    running.wrap = lambda party, line: ["sh", "-c", 'ulimit -n 1024; exec "$@"', party, *line] if party == SERVER else line
    running.start()
    flood = subprocess.Popen([sys.executable, "-c", STRANGERS, running.bind.rpartition(":")[2], str(tmp_path / "most")])
    try:
        running.supervise(300)
        assert flood.poll() is None, "the flood ended before the run; the test shows nothing"
    finally:
        flood.kill()
        flood.wait(20)
    assert int((tmp_path / "most").read_text()) > 1024, "the flood was too small; the test shows nothing"
    assert set(map(tuple, running.codes.values())) == {(0,)}
    assert "raise the limit (ulimit -n)" in running.log(SERVER)
    assert_undisturbed(running, undisturbed([*LONGER, "--set", "updates=60"]))


STRANGERS = """
import pathlib, socket, sys, time
held, most, port = [], 0, int(sys.argv[1])
while True:
    for _ in range(200):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=0.5))
        except OSError:
            time.sleep(0.05)
            break
    if len(held) > most:
        most = len(held)
        pathlib.Path(sys.argv[2]).write_text(str(most))
    if len(held) > 3000:
        for one in held[:1000]:
            one.close()
        del held[:1000]
"""
"""Connections that say nothing, as fast as they can be made; writes down how many it held open at once."""


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0
