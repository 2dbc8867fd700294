"""A record may take an agent or the environment any time up to the limit, and past it the right party is named."""

from __future__ import annotations

from dadc_net.errors import TemporaryError
from dadc_net.node.messages import Act, Alive, Fault, Probe, Step
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import ServerPhase
from tests.team_in_memory import MakeConfig, Team


def begun(small: MakeConfig, limit: int = 300) -> tuple[Team, EnvironmentServerNode]:
    team = Team(small(overrides=[f"runtime.lockstep_timeout_s={limit}"]))
    for agent, node in team.agents.items():
        team.server.receive(b"peer-%d" % agent, agent, node.join(), 0.0)
    assert team.server.phase is ServerPhase.RUNNING
    return team, team.server


def test_an_agent_that_computes_is_asked_a_few_times_only(small: MakeConfig) -> None:
    _, server = begun(small)
    sent = [d for second in range(299) for d in [*server.tick(float(second)), *server.keepalive(float(second))]]
    assert server.phase is ServerPhase.RUNNING
    assert set(server.roster.members) == {1, 2}
    for peer in (b"peer-1", b"peer-2"):
        assert sum(isinstance(d.message, Probe) for d in sent if d.peer == peer) == 9
        assert sum(isinstance(d.message, Step) for d in sent if d.peer == peer) < 12


def test_an_agent_that_computes_does_not_lose_its_place_to_a_duplicate(small: MakeConfig) -> None:
    team, server = begun(small)
    server.receive(b"twin", 2, team.agents[2].join(), 100.0)
    for second in range(100, 200):
        server.tick(float(second))
    assert server.roster.agent_of(b"peer-2") == 2
    probe = server.roster.claims[2].probe
    (refusal,) = server.receive(b"peer-2", 2, Alive(2, probe), 200.0)
    assert refusal.peer == b"twin"
    assert isinstance(refusal.message, Fault)
    assert refusal.message.exit_code == 14


def test_one_question_for_many_claims(small: MakeConfig) -> None:
    team, server = begun(small)
    sent = []
    for number in range(5000):
        sent += server.receive(b"twin-%d" % number, 2, team.agents[2].join(), 100.0 + number / 5000)
    assert [type(delivery.message) for delivery in sent] == [Probe]
    assert sent[0].peer == b"peer-2"


def test_the_time_of_the_environment_is_not_the_agents(small: MakeConfig) -> None:
    _, server = begun(small, limit=300)
    assert server.environment_took(250.0, 250.0) == []
    server.tick(549.0)
    assert server.phase is ServerPhase.RUNNING
    server.tick(550.1)
    assert "did not answer step 0" in str(server.error)


def test_an_environment_past_the_limit_is_named_and_no_agent(small: MakeConfig) -> None:
    _, server = begun(small, limit=300)
    faults = server.environment_took(301.0, 301.0)
    assert isinstance(server.error, TemporaryError)
    assert "the environment needed 301.0 s for record 0" in str(server.error)
    assert "agent 1" not in str(server.error)
    assert {delivery.peer for delivery in faults} == {b"peer-1", b"peer-2"}
    assert server.environment_took(400.0, 800.0) == []  # It has failed already; the first reason stands.


def test_an_agent_does_not_take_its_own_work_for_the_servers_silence(small: MakeConfig) -> None:
    team = Team(small(updates=2)).run()
    steps = [message for peer, message in team.sent if isinstance(message, Step) and peer == b"peer-1"]
    fresh = Team(small(updates=2)).agents[1]
    fresh.receive(next(m for _, m in team.sent if type(m).__name__ == "Begin"), 0.0)
    reaction = fresh.receive(steps[0], 0.0)
    assert isinstance(reaction.messages[0], Act)
    fresh.settle(1000.0)  # It took so long.
    assert fresh.watch.silent(1000.1) < 1.0
