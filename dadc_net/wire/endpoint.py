"""Addresses of the form tcp://HOST:PORT, checked before the transport sees them.

The transport accepts port 99999 without a word and uses another; a host name it cannot resolve it retries for ever.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from dadc_net.errors import UsageError

_FORM = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.*-]+):(?P<port>[0-9]{1,5}|\*)")
_PORT_MAX = 65535
_EXAMPLE = "tcp://127.0.0.1:5555"


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens."""

    host: str
    """Name or address; IPv6 in brackets; ``*``: every address of this host (only for a server)."""
    port: int
    """0: any free port (only for a server)."""

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port or '*'}"

    @property
    def ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return self.host.startswith("[")

    @property
    def loopback(self) -> bool:
        """Whether nothing outside this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def parse_bind(text: str) -> Endpoint:
    """The address a server listens at. Raises UsageError if it is malformed."""
    return _parse(text, "--bind")


def parse_connect(text: str) -> Endpoint:
    """The address of a server. Raises UsageError if it is malformed or names no single host and port."""
    endpoint = _parse(text, "--server")
    if endpoint.port == 0 or endpoint.host == "*":
        raise UsageError(
            f"the address {text!r} leaves host or port open. That is for a server to choose; an agent must know them. "
            f"Give both, like --server {_EXAMPLE}."
        )
    return endpoint


def refuse_insecure(endpoint: Endpoint, option: str) -> None:
    """Without keys only addresses that stay on this machine are allowed. Raises UsageError."""
    if not endpoint.loopback:
        raise UsageError(
            f"{endpoint} can be reached from other hosts, and there are no keys. Without encryption only loopback "
            f"addresses are allowed. Make keys with 'dadc keys', or give {option} {_EXAMPLE}."
        )


def _parse(text: str, option: str) -> Endpoint:
    match = _FORM.fullmatch(text)
    port = 0 if match is None or match["port"] == "*" else int(match["port"])
    if match is None or port > _PORT_MAX or ("*" in match["host"] and match["host"] != "*"):
        raise UsageError(
            f"the address {text!r} is not of the form tcp://HOST:PORT with a port up to {_PORT_MAX}. Nothing was "
            f"opened. Give one like {option} {_EXAMPLE}."
        )
    return Endpoint(match["host"], port)
