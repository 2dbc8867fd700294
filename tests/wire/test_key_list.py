"""Keys are exchanged while the server runs: the list is read again, who is on it no more is heard no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dadc_net.errors import KeyRefusedError
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.key_list import KeyList, decoded
from dadc_net.wire.keys import AgentKeys, load_agent_keys, load_server_keys, write_keys
from dadc_net.wire.server_socket import Received, ServerSocket

pytestmark = pytest.mark.timeout(60)
MakeAgent = Callable[..., AgentSocket]
MakeKeys = Callable[[int], AgentKeys]


def revoke(folder: Path, agent: int) -> None:
    """What the operator does: take the key's line out of the list."""
    listing = folder / "authorised.toml"
    kept = [line for line in listing.read_text().splitlines(True) if not line.endswith(f"= {agent}\n")]
    listing.write_text("".join(kept))


def exchange(folder: Path, agent: int) -> AgentKeys:
    """A new key for ``agent``, in the way that the documentation names."""
    (folder / f"agent-{agent}.key").unlink()
    revoke(folder, agent)
    write_keys(folder, agent)
    return load_agent_keys(folder, agent)


def heard(server: ServerSocket, seconds: float = 0.5) -> list[Received]:
    """Everything that comes within ``seconds``."""
    found, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        found += server.receive(50)
    return found


def test_a_revoked_key_is_cut_and_the_others_are_not(
    server: ServerSocket, folder: Path, agents: MakeAgent, agent_keys: MakeKeys
) -> None:
    one, two = (agents(server.endpoint, agent_keys(k)) for k in (1, 2))
    for socket in (one, two):
        socket.connect()
        socket.send([b"before"])
    peers = {message.agent: message.peer for message in heard(server)}
    assert sorted(peers) == [1, 2]
    assert server.read_keys_again() == [], "nothing has changed"
    revoke(folder, 2)
    two.send([b"revoked, and the server has not looked yet"])
    assert [message.agent for message in heard(server)] == [2], "control: it is the reading that cuts"
    assert server.read_keys_again() == [(peers[2], 2)]
    assert server.send(peers[2], [b"why"]), "it can still be told why"
    assert two.receive(2000) == [b"why"]
    for socket in (one, two):
        socket.send([b"after"])
    assert [(message.agent, message.frames) for message in heard(server)] == [(1, [b"after"])]
    late = agents(server.endpoint, agent_keys(2), 3.0)
    with pytest.raises(KeyRefusedError):
        late.connect()


def test_a_new_key_of_the_same_agent_is_admitted_and_the_old_one_is_not(
    server: ServerSocket, folder: Path, agents: MakeAgent, agent_keys: MakeKeys
) -> None:
    old = agents(server.endpoint, agent_keys(2))
    old.connect()
    old.send([b"old"])
    (first,) = heard(server)
    keys = exchange(folder, 2)
    assert server.read_keys_again() == [(first.peer, 2)]
    new = agents(server.endpoint, keys)
    new.connect()
    for socket, text in ((old, b"old"), (new, b"new")):
        socket.send([text])
    assert [(message.agent, message.frames) for message in heard(server)] == [(2, [b"new"])]


def test_a_connection_that_has_said_nothing_is_cut_too(
    server: ServerSocket, folder: Path, agents: MakeAgent, agent_keys: MakeKeys
) -> None:
    silent = agents(server.endpoint, agent_keys(2))
    silent.connect()
    revoke(folder, 2)
    assert server.read_keys_again() == []
    silent.send([b"too late"])
    assert heard(server) == []


@pytest.mark.parametrize("how", ["not TOML", "missing", "open to others"])
def test_a_list_that_cannot_be_used_changes_nothing_and_is_complained_of_once(
    how: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = load_server_keys(folder)
    admitted = KeyList(keys)
    one = decoded(next(iter(keys.authorised)))
    listing = folder / "authorised.toml"
    text = listing.read_text()
    if how == "missing":
        listing.unlink()
    elif how == "not TOML":
        listing.write_text("[agents\n")
    else:
        listing.chmod(0o666)
    with caplog.at_level(logging.WARNING):
        assert [admitted.read_again() for _ in range(3)] == [False] * 3
    assert admitted.agent_of(one) == 1
    assert len(caplog.records) == 1
    assert "stays in force" in caplog.text
    listing.unlink(missing_ok=True)
    listing.write_text(text.replace("= 1\n", "= 3\n"))
    listing.chmod(0o600)
    assert admitted.read_again()
    assert admitted.agent_of(one) == 3


def test_asking_reads_a_list_whose_file_looks_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admitted = KeyList(load_server_keys(folder))
    revoke(folder, 2)
    monkeypatch.setattr("dadc_net.wire.key_list._state_of", lambda _: admitted._seen)
    assert not admitted.read_again()
    assert admitted.read_again(asked=True)
    assert not admitted.read_again(asked=True)
