"""What only root can make on one machine: hosts with a network of their own, and disks that are small.

Each agent gets a network namespace with one cable (a veth pair) to the namespace of the server. A cable can be pulled, and
it can be made to lose everything in one direction, silently, by giving the sender a wrong hardware address.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = "02:00:00:00:00:ff"
"""A hardware address that nobody on a cable has."""


def require_root(what: str) -> None:
    """Fail, and say why, where a test cannot run."""
    if os.geteuid() != 0:
        pytest.fail(f"{what} can only be made by root. This test belongs to the lane 'faults'. Run it as root.")


def _ip(*arguments: str, namespace: str = "") -> None:
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(["ip", *where, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"ip {' '.join([*where, *arguments])}: {done.stderr}"


class Hosts:
    """One server host and K agent hosts, made by ``hosts`` and gone with it."""

    def __init__(self, num_agents: int) -> None:
        self._prefix = f"dadc{os.getpid()}"
        self.agents = range(1, num_agents + 1)
        self.made: list[str] = []

    @property
    def server(self) -> str:
        """Name of the server's namespace."""
        return f"{self._prefix}-0"

    def agent(self, agent: int) -> str:
        """Name of an agent's namespace."""
        return f"{self._prefix}-{agent}"

    def server_address(self, agent: int) -> str:
        """The server's address on the agent's cable."""
        return f"10.231.{agent}.1"

    def inside(self, namespace: str, command: list[str]) -> list[str]:
        """The command line that runs ``command`` on a host; the process keeps its id."""
        return ["ip", "netns", "exec", namespace, *command]

    def build(self) -> None:
        """Namespaces, cables and addresses."""
        for name in (self.server, *map(self.agent, self.agents)):
            _ip("netns", "add", name)
            self.made.append(name)
            _ip("link", "set", "lo", "up", namespace=name)
        for agent in self.agents:
            near, far = f"s{agent}", "eth0"
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.agent(agent), namespace=self.server)
            for namespace, device, host in ((self.server, near, 1), (self.agent(agent), far, 2)):
                _ip("address", "add", f"10.231.{agent}.{host}/24", "dev", device, namespace=namespace)
                _ip("link", "set", device, "up", namespace=namespace)

    def pull_cable(self, agent: int) -> None:
        """Nothing passes in either direction."""
        _ip("link", "set", f"s{agent}", "down", namespace=self.server)

    def plug_cable(self, agent: int) -> None:
        """The opposite."""
        _ip("link", "set", f"s{agent}", "up", namespace=self.server)

    def deafen_server(self, agent: int) -> None:
        """Everything from the agent to the server is lost; the other direction works."""
        self._misdirect(self.agent(agent), "eth0", f"10.231.{agent}.1")

    def deafen_agent(self, agent: int) -> None:
        """Everything from the server to the agent is lost; the other direction works."""
        self._misdirect(self.server, f"s{agent}", f"10.231.{agent}.2")

    def heal(self, agent: int) -> None:
        """Undo ``deafen_server`` and ``deafen_agent``."""
        for namespace, device, address in (
            (self.agent(agent), "eth0", f"10.231.{agent}.1"),
            (self.server, f"s{agent}", f"10.231.{agent}.2"),
        ):
            command = ["ip", "-n", namespace, "neigh", "del", address, "dev", device]
            subprocess.run(command, capture_output=True, timeout=20)

    @staticmethod
    def _misdirect(namespace: str, device: str, address: str) -> None:
        _ip("neigh", "replace", address, "lladdr", _NOBODY, "dev", device, "nud", "permanent", namespace=namespace)

    def remove(self) -> None:
        """Everything that ``build`` made; cables go with their namespaces."""
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)


@contextmanager
def network(num_agents: int) -> Iterator[Hosts]:
    """Hosts on cables, for the length of a ``with``."""
    require_root("a network namespace")
    hosts = Hosts(num_agents)
    try:
        hosts.build()
        yield hosts
    finally:
        hosts.remove()


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A disk of ``size`` (as mount writes it: 300k, 2m) mounted at the new folder ``where``."""
    require_root("a small disk")
    where.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "dadc-small", str(where)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], capture_output=True, timeout=20)
