"""The faults that need root or a compiler really happen; what is tested with them would pass without them otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.hosts import Hosts, network, small_disk
from tests.process.preload import build

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]
_LISTEN = """
import socket
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("0.0.0.0", 4711))
print("ready", flush=True)
while True:
    data, peer = taken.recvfrom(100)
    print(data.decode(), flush=True)
    taken.sendto(data, peer)
"""
_ASK = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(0.5)
asking.sendto(sys.argv[2].encode(), (sys.argv[1], 4711))
try:
    print(asking.recv(100).decode())
except OSError:
    print("silence")
"""


def ask(hosts: Hosts, agent: int, word: str) -> str:
    command = [sys.executable, "-c", _ASK, hosts.server_address(agent), word]
    done = subprocess.run(hosts.inside(hosts.agent(agent), command), capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_cables_can_be_pulled_and_made_deaf_in_one_direction() -> None:
    with network(2) as hosts:
        command = hosts.inside(hosts.server, [sys.executable, "-c", _LISTEN])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                assert server.stdout.readline() == "ready\n"
                assert ask(hosts, 1, "one") == "one"
                hosts.pull_cable(1)
                assert ask(hosts, 1, "pulled") == "silence"
                assert ask(hosts, 2, "two") == "two"
                hosts.plug_cable(1)
                assert ask(hosts, 1, "plugged") == "plugged"
                hosts.deafen_server(1)
                assert ask(hosts, 1, "unheard") == "silence"
                hosts.heal(1)
                hosts.deafen_agent(1)
                assert ask(hosts, 1, "heard") == "silence"
                hosts.heal(1)
                assert ask(hosts, 1, "last") == "last"
            finally:
                server.kill()
            heard = server.stdout.read().split()
    assert heard == ["one", "two", "plugged", "heard", "last"]
    assert not [name for name in os.listdir("/run/netns") if name in hosts.made]


def test_a_small_disk_fills(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "100k") as disk:
        (disk / "a").write_bytes(bytes(50_000))
        with pytest.raises(OSError, match="No space left"):
            (disk / "b").write_bytes(bytes(100_000))
    assert list((tmp_path / "small").iterdir()) == []


def test_the_wall_clock_jumps_and_syncs_fail(tmp_path: Path) -> None:
    text = """
import os, time
wall, steady = zip(*((time.time(), time.monotonic()) for _ in range(300) if not time.sleep(0.01)))
print(max(abs(b - a) for a, b in zip(wall, wall[1:])) > 7000, max(b - a for a, b in zip(steady, steady[1:])) < 1)
for name in ("kept", "failing", "failing"):
    with open(name, "w") as file:
        try:
            os.fsync(file.fileno())
            print("synced")
        except OSError as error:
            print(error.strerror)
"""
    variables = {"LD_PRELOAD": str(build(tmp_path)), "DADC_TEST_CLOCK": "1"}
    variables |= {"DADC_TEST_FSYNC": "/failing", "DADC_TEST_FSYNC_AFTER": "1"}
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["True True", "synced", "synced", "Input/output error"], done.stderr


def test_loopback_of_the_test_itself_is_untouched() -> None:
    with network(1), socket.create_server(("127.0.0.1", 0)) as listening:
        socket.create_connection(listening.getsockname(), timeout=5).close()
