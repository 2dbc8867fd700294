"""Closed by default, and the server would notice if it were not."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from dadc_net import descriptors
from dadc_net.errors import AuthenticationError, DadcError, InvariantError, UsageError
from dadc_net.wire import authenticator, options
from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.authenticator import Authenticator, owner_of, user_id
from dadc_net.wire.key_files import new_pair
from dadc_net.wire.key_list import KeyList
from dadc_net.wire.keys import AgentKeys, ServerKeys, load_server_keys
from dadc_net.wire.server_socket import ServerSocket

pytestmark = pytest.mark.timeout(60)
LOOPBACK = "tcp://127.0.0.1:*"


def make_server(folder: Path) -> ServerSocket:
    return ServerSocket(LOOPBACK, load_server_keys(folder))


def test_a_server_without_a_domain_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the self-test: the handler runs, but the transport never asks it."""
    monkeypatch.setattr(options, "require_authentication", lambda socket: socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1))
    with pytest.raises(InvariantError, match="the answer was 'admitted', not 'key refused'"):
        make_server(folder)


def test_a_server_without_options_and_handler_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the self-test: encryption alone authenticates nobody."""
    monkeypatch.setattr(options, "require_authentication", lambda socket: None)
    monkeypatch.setattr(authenticator, "_ZAP_ADDRESS", "inproc://nobody-asks-here")
    with pytest.raises(InvariantError, match="the answer was 'admitted', not 'key refused'"):
        make_server(folder)


def test_with_both_options_a_missing_handler_closes_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the two options are for. The self-test notices this as well, because a closed door helps no agent."""
    monkeypatch.setattr(authenticator, "_ZAP_ADDRESS", "inproc://nobody-asks-here")
    monkeypatch.setattr(authenticator, "_KNOCK_SECONDS", 0.5)
    with pytest.raises(InvariantError, match="self-test") as caught:
        make_server(folder)
    assert "admitted" not in str(caught.value)


def test_a_server_that_admits_every_key_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Authenticator, "_agent", lambda self, request: 1)
    with pytest.raises(InvariantError, match="the answer was 'admitted'"):
        make_server(folder)


def test_a_server_whose_handler_does_not_answer_does_not_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Authenticator, request: object) -> list[bytes]:
        raise RuntimeError("the handler broke")

    monkeypatch.setattr(Authenticator, "_answer", fail)
    monkeypatch.setattr(authenticator, "_KNOCK_SECONDS", 0.5)
    with pytest.raises(InvariantError, match="not 'key refused'"):
        make_server(folder)


def test_a_handler_that_dies_later_admits_nobody(
    folder: Path,
    agents: Callable[..., AgentSocket],
    agent_keys: Callable[[int], AgentKeys],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(folder)
    try:
        member = agents(server.endpoint, agent_keys(1))
        member.connect()

        def fail(self: Authenticator, request: object) -> list[bytes]:
            raise RuntimeError("the handler broke")

        monkeypatch.setattr(Authenticator, "_answer", fail)
        late = agents(server.endpoint, agent_keys(2), 1.0)
        with pytest.raises(DadcError):
            late.connect()
        assert "the authenticator ended" in caplog.text
        member.send([b"sessions that exist go on"])
        assert server.receive(10_000)[0].agent == 1
        assert server.receive(100) == []
    finally:
        server.close(flush=False)


def test_refusals_are_logged_a_few_times_only_and_name_no_secret(
    folder: Path,
    agents: Callable[..., AgentSocket],
    agent_keys: Callable[[int], AgentKeys],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(folder)
    known = agent_keys(1)
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                stranger = agents(server.endpoint, AgentKeys(1, new_pair(), known.server_public))
                with pytest.raises(AuthenticationError):
                    stranger.connect()
        lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert lines == ["refused an unknown key from 127.0.0.1; 1 refused so far"]
    finally:
        server.close(flush=False)


def test_requests_that_are_not_ours_are_refused() -> None:
    context: options.Context = zmq.Context()
    pair = new_pair()
    handler = Authenticator(context, KeyList(ServerKeys(new_pair(), {pair.public: 3})))
    key = z85.decode(pair.public)
    good = [b"1.0", b"7", b"dadc-net", b"10.0.0.1", b"", b"CURVE", key]
    try:
        assert handler._answer(good) == [b"1.0", b"7", b"200", b"OK", user_id(3, key), b""]
        assert owner_of(user_id(3, key).decode()) == (3, key)
        for place, value in ((0, b"2.0"), (2, b"other"), (5, b"NULL"), (5, b"PLAIN"), (6, b"x" * 32), (6, b"")):
            bad = [*good[:place], value, *good[place + 1 :]]
            assert handler._answer(bad)[2] == b"400", bad
        for short in range(len(good)):
            assert handler._answer(good[:short])[2] == b"400"
    finally:
        context.term()
        handler.join()


def test_too_few_descriptors_are_refused_with_the_number_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_kept", descriptors._Kept())
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))
    with pytest.raises(UsageError, match="ulimit -n 514"):
        descriptors.require_descriptors(2)
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    assert descriptors.require_descriptors(2) == 4096 - 512, "the rest is for files"
    assert raised == [(4096 - 256, 4096)], "as much as may be, not as much as is needed; some are kept for files alone"
    monkeypatch.setattr(descriptors._kept, "plenty", lambda: False)  # Connections have taken half of what they may.
    with descriptors.for_files(), descriptors.for_files():
        assert raised[1:] == [(4096, 4096)]
    assert raised[2:] == [(4096 - 256, 4096)]


def test_a_library_without_encryption_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda capability: False)
    with pytest.raises(AuthenticationError, match="built without CURVE"):
        make_server(folder)
