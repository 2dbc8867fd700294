"""Who differs, and in what: the minority of three, both of two, and an agent that does not answer."""

from __future__ import annotations

from dadc_net.node.messages import Account
from dadc_net.node.server.agreement import Divergence
from dadc_net.node.server.inquiry import PATIENCE_SECONDS, Inquiry
from dadc_net.node.server.terms import ServerPhase
from tests.team_in_memory import MakeConfig, Team

RUN = b"r" * 16


def _account(agent: int, **changed: bytes) -> Account:
    names = ("act/parameters/all", "act/ais/x_t", "state/ais/w", "state/actor/w")
    return Account(RUN, 1, agent, 7, {name: changed.get(name.replace("/", "_"), b"s" * 32) for name in names})


def _inquiry(agents: int) -> Inquiry:
    digests = {agent: bytes([agent]) * 32 for agent in range(1, agents + 1)}
    return Inquiry(Divergence(7, "act", None, digests, tuple(digests)), set(digests), 100.0)


def test_the_minority_of_three_is_named_with_its_tensor_and_host() -> None:
    inquiry = _inquiry(3)
    everybody = {1, 2, 3}
    for agent in (1, 3):
        inquiry.add(_account(agent))
    assert not inquiry.over(101.0, everybody)
    inquiry.add(_account(2, act_parameters_all=b"x" * 32, state_actor_w=b"x" * 32))
    assert inquiry.over(101.0, everybody)
    found = inquiry.verdict({1: {"hostname": "a"}, 2: {"hostname": "b", "torch": "2"}, 3: {}})
    assert (found.component, found.tensor, found.suspects) == ("actor", "w", (2,))
    assert found.hosts == ("agent 1 on a", "agent 2 on b, torch 2", "agent 3 on an unnamed host")
    assert "agent 2 is in the minority" in found.text()


def test_two_are_both_named() -> None:
    inquiry = _inquiry(2)
    inquiry.add(_account(1))
    inquiry.add(_account(2, act_ais_x_t=b"x" * 32))
    found = inquiry.verdict({})
    assert (found.component, found.tensor, found.suspects) == ("ais", "x_t", (1, 2))
    assert "neither has a majority" in found.text()


def test_one_that_does_not_answer_is_waited_for_and_then_left_out() -> None:
    inquiry = _inquiry(3)
    inquiry.add(_account(1))
    inquiry.add(_account(2, act_ais_x_t=b"x" * 32))
    inquiry.add(Account(RUN, 1, 3, 6, {}))  # of another record
    assert not inquiry.over(100.0 + PATIENCE_SECONDS - 0.1, {1, 2, 3})
    assert inquiry.over(100.0 + PATIENCE_SECONDS, {1, 2, 3})
    assert inquiry.over(101.0, {1, 2})
    found = inquiry.verdict({})
    assert (found.component, found.suspects) == ("ais", (1, 2, 3))


def test_nobody_speaks_for_another(small: MakeConfig) -> None:
    team = Team(small(updates=2))
    server = team.server
    for agent in (1, 2):
        server.receive(f"peer-{agent}".encode(), agent, team.agents[agent].join(), 0.0)
    digests = {1: b"a" * 32, 2: b"b" * 32}
    server._examine(Divergence(0, "act", None, digests, (1, 2)), 0.0)
    for agent in (1, 1, 2):
        server.receive(b"peer-2", 2, Account(server.run_id, 1, agent, 0, {"act/ais/x_t": digests[agent]}), 0.0)
    assert server.phase is ServerPhase.EXAMINING
    server.receive(b"peer-1", 1, Account(server.run_id, 1, 1, 0, {"act/ais/x_t": digests[1]}), 0.0)
    assert server.phase is ServerPhase.FAILED
