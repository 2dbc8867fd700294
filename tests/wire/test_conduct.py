"""Admitted is not seated: what each may say before its connection is cut and its key slowed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from dadc_net.wire import conduct as rules
from dadc_net.wire.conduct import Conduct, Verdict
from dadc_net.wire.keys import load_server_keys
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import ServerSocket
from tests.process.rogue import Rogue
from tests.wire.test_sockets import Agents, KeysOf, receive_one

pytestmark = pytest.mark.timeout(100)


def test_a_stranger_may_say_a_few_things_and_joining_takes_fewer() -> None:
    conduct = Conduct(lambda _: False)
    verdicts = [conduct.heard(b"p", 1, 100, 0.0) for _ in range(100)]
    assert verdicts[:10] == [Verdict.KEEP] * 10
    assert verdicts[10] is Verdict.CUT
    assert set(verdicts[11:]) == {Verdict.DROP}
    assert conduct.is_cut(b"p")
    patient = [conduct.heard(b"q", 1, 100, float(second)) for second in range(500)]
    assert set(patient) == {Verdict.KEEP}


def test_a_seated_member_may_answer_whatever_it_is_told() -> None:
    conduct = Conduct(lambda peer: peer == b"seated")
    for _ in range(10_000):
        assert conduct.heard(b"seated", 1, 1_000_000, 0.0) is Verdict.KEEP
        conduct.told(b"seated")
    flood = [conduct.heard(b"seated", 1, 100, 0.0) for _ in range(100)]
    assert flood.index(Verdict.CUT) == rules.SEATED_BURST


def test_a_large_message_from_a_stranger_is_one_too_many() -> None:
    conduct = Conduct(lambda _: False)
    assert conduct.heard(b"p", 1, rules.STRANGER_BYTES_MAX, 0.0) is Verdict.KEEP
    assert conduct.heard(b"p", 1, rules.STRANGER_BYTES_MAX + 1, 0.0) is Verdict.CUT


def test_the_third_broken_message_ends_a_connection() -> None:
    conduct = Conduct(lambda _: True)
    assert [conduct.complain(b"p", 1, 0.0) for _ in range(4)] == [Verdict.DROP, Verdict.DROP, Verdict.CUT, Verdict.DROP]


def test_a_key_is_slowed_for_longer_each_time_and_others_are_not() -> None:
    conduct = Conduct(lambda _: False)
    pauses = []
    now = 0.0
    for _ in range(9):
        number = 0
        while conduct.admits(1, now):
            number += 1
            for _ in range(11):
                conduct.heard(b"%f %d" % (now, number), 1, 100, now)
        slowed_at = now
        while not conduct.admits(1, now):
            now += 0.25
        pauses.append(now - slowed_at)
        assert conduct.admits(2, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_honest_agent_whose_connections_break_all_the_time_is_admitted() -> None:
    seated: set[bytes] = set()
    conduct = Conduct(seated.__contains__)
    for number in range(500):
        now, peer = number * 0.2, b"%d" % number
        assert conduct.admits(1, now)
        assert conduct.heard(peer, 1, 100, now) is Verdict.KEEP  # written for the connection before
        assert conduct.heard(peer, 1, 9000, now) is Verdict.KEEP  # Join
        seated.add(peer)


def test_what_is_remembered_is_bounded() -> None:
    conduct = Conduct(lambda peer: peer == b"member")
    conduct.heard(b"member", 1, 1, 0.0)
    for number in range(20_000):
        conduct.heard(b"%d" % number, None, 1, 0.0)
    assert len(conduct._connections) <= 4097
    assert b"member" in conduct._connections


def test_a_flood_is_cut_and_the_honest_are_not_disturbed(folder: Path, agents: Agents, agent_keys: KeysOf) -> None:
    """Tiny messages and thrown away connections, which aborted the process, and a connection that is no longer heard."""
    seated: set[bytes] = set()
    conduct = Conduct(lambda peer: peer in seated)
    with ExitStack() as stack:
        server = ServerSocket("tcp://127.0.0.1:*", load_server_keys(folder), Heartbeat(), conduct=conduct)
        stack.callback(server.close, flush=False)
        honest = agents(server.endpoint, agent_keys(1))
        honest.connect()
        honest.send([b"hello"])
        peer = receive_one(server).peer
        seated.add(peer)
        rogue, kept, sent = Rogue(server.endpoint, folder, 2), 0, 0
        stack.callback(rogue.close)
        for _ in range(3):
            sent += rogue.reset(time.monotonic() + 0.3)
            assert server.send(peer, [b"record"])
            honest.receive(5000)
            honest.send([b"answer"])
            answered = False
            deadline = time.monotonic() + 20
            while not answered and time.monotonic() < deadline:
                for received in server.receive(100):
                    answered |= received.peer == peer
                    kept += received.peer != peer
            assert answered
        assert conduct.cuts > 0
        assert kept < sent / 3
        assert not conduct.is_cut(peer)


def test_a_cut_connection_is_really_gone(folder: Path, agents: Agents, agent_keys: KeysOf) -> None:
    conduct = Conduct(lambda _: False)
    server = ServerSocket("tcp://127.0.0.1:*", load_server_keys(folder), Heartbeat(), conduct=conduct)
    try:
        rude = agents(server.endpoint, agent_keys(1))
        rude.connect()
        peers = set()
        deadline = time.monotonic() + 20
        while len(peers) < 2 and time.monotonic() < deadline:
            rude.try_send([b"x"])
            peers |= {received.peer for received in server.receive(5)}
        assert len(peers) >= 2, "the transport did not have to connect again"
        assert conduct.cuts >= 1
    finally:
        server.close(flush=False)
