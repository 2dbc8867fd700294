"""Addresses are checked before the transport sees them."""

from __future__ import annotations

import pytest

from dadc_net.errors import UsageError
from dadc_net.wire.endpoint import parse_bind, parse_connect, refuse_insecure


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:*"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("tcp://*:5555", "tcp://*:5555"),
        ("tcp://env-server.example:1", "tcp://env-server.example:1"),
        ("tcp://[::1]:5555", "tcp://[::1]:5555"),
    ],
)
def test_an_address_of_a_server(text: str, canonical: str) -> None:
    assert str(parse_bind(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1:5555", "tcp://127.0.0.1", "tcp://:5555", "tcp://a b:1", "udp://a:1", "tcp://a:99999", "tcp://a:-1",
     "tcp://a:1/", "tcp://a*:1", "tcp://a:1\n", "ipc:///tmp/x", "tcp://::1:5555"],
)  # fmt: skip
def test_a_malformed_address_is_shown_with_a_good_one(text: str) -> None:
    for parse in (parse_bind, parse_connect):
        with pytest.raises(UsageError, match=r"tcp://127\.0\.0\.1:5555"):
            parse(text)


@pytest.mark.parametrize("text", ["tcp://*:5555", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*"])
def test_an_agent_must_know_host_and_port(text: str) -> None:
    with pytest.raises(UsageError, match="leaves host or port open"):
        parse_connect(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.8.9.10:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://*:1", False),
        ("tcp://[::]:1", False),
        ("tcp://192.168.0.1:1", False),
        ("tcp://localhost.example:1", False),
        ("tcp://127.0.0.1.example:1", False),
    ],
)
def test_without_keys_only_loopback(text: str, loopback: bool) -> None:
    endpoint = parse_bind(text)
    assert endpoint.loopback is loopback
    if loopback:
        refuse_insecure(endpoint, "--bind")
    else:
        with pytest.raises(UsageError, match="there are no keys"):
            refuse_insecure(endpoint, "--bind")
