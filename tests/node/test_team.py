"""The roles together, in memory: lock-step, agreement, and negative controls that must be caught at the right step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dadc_net.config import resolve
from dadc_net.errors import (
    DivergenceError,
    DuplicateAgentError,
    MismatchError,
    ProtocolError,
    TemporaryError,
    UsageError,
)
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.node.messages import Act, Alive, Begin, Bye, End, Fault, Join, Probe, Step, Who
from dadc_net.node.server.terms import ServerPhase
from dadc_net.runtime.sabotage import Sabotage, parse, parse_all
from tests.team_in_memory import SELFTEST, MakeConfig, Team


def test_a_team_finishes_with_equal_digests(small: MakeConfig) -> None:
    team = Team(small(updates=4)).run()
    assert team.finished
    assert len(team.digests()) == 1
    assert team.server.learner_digests[1] == team.agents[1].learner_digest
    assert [a.record.step for a in team.accounts[1]] == list(range(4 * 5 + 1))
    assert [a.update.number for a in team.accounts[2] if a.update] == [1, 2, 3, 4]


def test_order_of_arrival_does_not_matter(small: MakeConfig) -> None:
    config = small(updates=3)
    assert Team(config).run().digests() == Team(config, reverse_arrivals=True).run().digests()


@pytest.mark.parametrize("algorithm", ["actor-critic", "ppo"])
@pytest.mark.parametrize(("num_envs", "batch_steps"), [(1, 12), (16, 64)])
def test_simulation_gives_the_digest_of_the_team(small: MakeConfig, algorithm: str, num_envs: int, batch_steps: int) -> None:
    overrides = [f"learner.num_envs={num_envs}", f"learner.batch_steps={batch_steps}"]
    config = small(updates=12, overrides=overrides, algorithm=algorithm)
    team = Team(config).run()
    for replicas in ("one", "all"):
        ended = Simulation(config, seed_bytes(7), seed_bytes(1), replicas).run()
        assert set(ended.agent_digests.values()) == team.digests()


def test_seeds_matter(small: MakeConfig) -> None:
    config = small()
    same = Team(config, seeds={1: 8, 2: 8}).run()
    other_environment = Team(config, environment_seed=2).run()
    assert same.finished
    assert len({*Team(config).run().digests(), *same.digests(), *other_environment.digests()}) == 3


def test_the_server_is_told_nothing_secret(small: MakeConfig) -> None:
    """No message to the server holds parameters, AIS or prescriptions; step digests are keyed with the shared seed."""
    first, second = Team(small(updates=2)).run(), Team(small(updates=2), seeds={1: 9, 2: 9}).run()
    one, other = first.accounts[1][0], second.accounts[1][0]
    assert one.record == other.record
    assert one.digests.step_digest != other.digests.step_digest


def test_an_agent_gets_its_own_private_bytes_only(small: MakeConfig) -> None:
    team = Team(small(updates=2)).run()
    steps = [(peer, message) for peer, message in team.sent if isinstance(message, Step)]
    by_step: dict[int, dict[bytes, Step]] = {}
    for peer, message in steps:
        by_step.setdefault(message.record.step, {})[peer] = message
    assert all(a[b"peer-1"].record == a[b"peer-2"].record for a in by_step.values())
    assert any(a[b"peer-1"].observation != a[b"peer-2"].observation for a in by_step.values())


def test_begin_holds_no_environment_parameter(small: MakeConfig) -> None:
    """Every parameter gets a value that nothing else has, so that finding it means that it was sent."""
    values = {"stay_probabilities": "[0.7321, 0.8321]", "arrival_probabilities": "[0.3221, 0.6221]"}
    values |= {"success_reward": "1.0321", "transmission_cost": "0.4321", "initial_busy_probability": "0.5321"}
    values |= {"restart_steps": "4321"}
    config = small(overrides=[f"env.{key}={value}" for key, value in values.items()])
    assert set(values) == set(config.to_plain()["env"])
    team = Team(config).run()
    begin = next(message for _, message in team.sent if isinstance(message, Begin))
    text = repr(begin)
    for key, value in values.items():
        assert key not in text
        assert not any(number in text for number in value.strip("[]").split(", "))


# --- negative controls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "step", "phase", "update", "component"),
    [("flip-bit", 7, "act", None, "ais"), ("sqrt-ulp", 10, "update", 2, "actor-critic")],
)
def test_a_changed_bit_is_caught_at_once(
    small: MakeConfig, kind: str, step: int, phase: str, update: int | None, component: str
) -> None:
    """Batches have 5 lock-steps. Broken before record 7: a flipped bit shows there, a wrong root at the next update."""
    team = Team(small(updates=6), tamper={2: Sabotage(kind, 7)}).run()
    found = team.server.divergence
    assert team.server.phase is ServerPhase.FAILED
    assert found is not None
    assert (found.step, found.phase, found.update, found.component) == (step, phase, update, component)
    assert found.tensor.endswith((".weight", ".bias"))
    assert kind != "flip-bit" or found.tensor == "encoder.recurrent.weight"
    assert found.suspects == (1, 2)
    assert f"component {component}, tensor {found.tensor}" in str(team.server.error)
    assert "Hosts: agent 1 on " in str(team.server.error)
    assert isinstance(team.server.error, DivergenceError)
    assert {type(error) for error in team.errors.values()} == {DivergenceError}


def test_the_one_of_three_that_differs_is_named() -> None:
    overrides = ["learner.num_envs=2", "learner.batch_steps=10", "ais.size=3", "learner.hidden_size=3"]
    config = resolve("tests.simulation.three_radios:make_task", overrides, {"updates": 4})
    assert Team(config).run().finished
    found = Team(config, tamper={2: Sabotage("flip-bit", 7)}).run().server.divergence
    assert found is not None
    assert (found.step, found.suspects) == (7, (2,))
    assert (found.component, found.tensor) == ("ais", "encoder.recurrent.weight")
    assert "agent 2 is in the minority" in found.text()


def test_a_shifted_stream_is_caught_at_its_step(small: MakeConfig) -> None:
    """With 16 copies a shifted draw changes some prescription at once."""
    config = small(updates=6, overrides=["learner.num_envs=16", "learner.batch_steps=80"])
    team = Team(config, tamper={1: Sabotage("shift-stream", 7)}).run()
    found = team.server.divergence
    assert found is not None
    assert (found.step, found.phase) == (7, "act")
    assert found.suspects == (1, 2)


def torch_sqrt_differs() -> bool:
    x = torch.from_numpy(np.linspace(0.1, 2.0, 100_000))
    return bool((torch.sqrt(x).numpy() != np.sqrt(x.numpy())).any())


def test_raw_torch_sqrt_is_caught_where_it_is_not_ieee(small: MakeConfig) -> None:
    """On a host whose torch.sqrt is IEEE there is nothing to catch, and the team must agree."""
    team = Team(small(updates=60), tamper={2: Sabotage("torch-sqrt", 0)}).run()
    if torch_sqrt_differs():
        found = team.server.divergence
        assert found is not None
        assert found.phase == "update"
    else:
        assert team.finished
        assert len(team.digests()) == 1


def test_an_untouched_team_is_not_accused(small: MakeConfig) -> None:
    team = Team(small(updates=6), tamper={1: Sabotage("flip-bit", 10_000)}).run()
    assert team.finished
    assert team.server.divergence is None


def test_sabotage_is_parsed_and_bad_forms_are_refused() -> None:
    assert parse("2:flip-bit@100") == (2, Sabotage("flip-bit", 100))
    for text in ("flip-bit@3", "2:flip@3", "2:flip-bit", "x:flip-bit@3"):
        with pytest.raises(UsageError, match="AGENT:KIND@STEP"):
            parse(text)
    assert parse_all(["2:flip-bit@20", "1:sqrt-ulp@0"], 2, 20) == {2: Sabotage("flip-bit", 20), 1: Sabotage("sqrt-ulp", 0)}
    for texts in (["3:flip-bit@3"], ["0:flip-bit@3"], ["2:flip-bit@21"], ["2:flip-bit@3", "2:flip-bit@4"]):
        with pytest.raises(UsageError, match="would break nothing"):
            parse_all(texts, 2, 20)


# --- joining -----------------------------------------------------------------------------------------------------


def _join(agent: int, seed: int = 7, settings: bytes = b"", selftest: bytes = SELFTEST.digest) -> Join:
    from dadc_net.node.agent.identity import commitment

    return Join(
        agent=agent,
        commitment=commitment(seed_bytes(seed)),
        selftest=selftest,
        settings_digest=settings,
        host={"hostname": "h", "pid": "1"},
    )


def _server(small: MakeConfig) -> Team:
    return Team(small())


def test_wrong_seed_is_refused_and_the_right_one_may_follow(small: MakeConfig) -> None:
    server = _server(small).server
    assert server.receive(b"a", 1, _join(1), 0.0) == []
    (refusal,) = server.receive(b"b", 2, _join(2, seed=8), 0.0)
    assert isinstance(refusal.message, Fault)
    assert refusal.message.exit_code == MismatchError.exit_code
    assert "seed" in refusal.message.text
    started = server.receive(b"c", 2, _join(2), 0.0)
    assert [type(delivery.message) for delivery in started] == [Begin, Begin, Step, Step]


def test_wrong_settings_selftest_id_and_key_are_refused(small: MakeConfig) -> None:
    server = _server(small).server
    server.receive(b"a", 1, _join(1), 0.0)
    cases = [
        (_join(2, settings=b"x" * 32), 2, 11, "settings"),
        (_join(2, selftest=b"y" * 32), 2, 11, "computes something otherwise: its self-test digest"),
        (_join(3), None, 2, "out of range"),
        (_join(2), 1, 12, "key of agent 1"),
    ]
    for join, key_agent, code, words in cases:
        (refusal,) = server.receive(b"x", key_agent, join, 0.0)
        assert isinstance(refusal.message, Fault)
        assert refusal.message.exit_code == code
        assert words in refusal.message.text
    assert server.roster.missing == [2]


def test_the_server_names_the_primitive_in_which_two_hosts_differ(small: MakeConfig) -> None:
    server = _server(small).server
    right = SELFTEST.answers
    assert set(right) == set(SELFTEST.digests)
    server.receive(b"a", 1, replace(_join(1), answers=right), 0.0)
    wrong = {**right, "tanh": "0" * 16, "learner newest": "1" * 16}
    (refusal,) = server.receive(b"b", 2, replace(_join(2, selftest=b"y" * 32), answers=wrong), 0.0)
    assert isinstance(refusal.message, Fault)
    assert refusal.message.exit_code == MismatchError.exit_code
    assert "agent 2's host computes tanh, learner newest otherwise" in refusal.message.text
    assert server.receive(b"c", 2, replace(_join(2), answers=right), 0.0)


def test_a_duplicate_is_refused_while_the_first_answers(small: MakeConfig) -> None:
    server = _server(small).server
    server.receive(b"a", 1, _join(1), 0.0)
    (probe,) = server.receive(b"twin", 1, _join(1), 1.0)
    assert probe == (b"a", Probe(1, 1))
    assert server.receive(b"a", 1, Alive(1), 1.1) == []  # under way before the question was asked
    (refusal,) = server.receive(b"a", 1, Alive(1, 1), 1.1)
    assert refusal.peer == b"twin"
    assert isinstance(refusal.message, Fault)
    assert refusal.message.exit_code == DuplicateAgentError.exit_code
    assert server.roster.agent_of(b"a") == 1


@pytest.mark.parametrize("how", ["vanished", "silent"])
def test_a_duplicate_takes_over_when_the_first_is_gone(small: MakeConfig, how: str) -> None:
    server = _server(small).server
    server.receive(b"a", 1, _join(1), 0.0)
    server.receive(b"twin", 1, _join(1), 1.0)
    if how == "vanished":
        server.peer_gone(b"a", 1.1)
    else:
        assert server.tick(2.0) == []
        server.tick(6.5)
    assert server.roster.agent_of(b"twin") == 1
    assert server.roster.agent_of(b"a") is None


def test_missing_agents_and_stragglers_are_named(small: MakeConfig) -> None:
    config = small(overrides=["runtime.join_timeout_s=10", "runtime.lockstep_timeout_s=3"])
    team = Team(config)
    team.server.receive(b"peer-1", 1, team.agents[1].join(), 0.0)
    assert team.server.tick(0.0) == []
    team.server.tick(9.9)
    assert team.server.phase is ServerPhase.JOINING
    team.server.tick(10.1)
    assert isinstance(team.server.error, TemporaryError)
    assert "agent 2 did not join" in str(team.server.error)

    late = Team(config).server
    late.receive(b"peer-1", 1, _join(1), 0.0)
    late.receive(b"peer-2", 2, _join(2), 0.0)
    assert late.phase is ServerPhase.RUNNING
    assert {type(delivery.message) for delivery in late.tick(2.5)} == {Step}  # not answered, so sent again
    faults = late.tick(3.5)
    assert isinstance(late.error, TemporaryError)
    assert "agent 1 (connected), agent 2 (connected) did not answer step 0" in str(late.error)
    assert {delivery.peer for delivery in faults} == {b"peer-1", b"peer-2"}


def test_an_agent_that_only_joins_again_and_again_does_not_hold_the_team(small: MakeConfig) -> None:
    config = small(overrides=["runtime.lockstep_timeout_s=3"])
    server = Team(config).server
    server.receive(b"peer-1", 1, _join(1), 0.0)
    server.receive(b"peer-2", 2, _join(2), 0.0)
    for life in range(1, 4):
        server.peer_gone(b"peer-2" if life == 1 else b"life-%d" % (life - 1), 0.9 * life)
        assert server.receive(b"life-%d" % life, 2, _join(2), 0.9 * life) != []
    assert server.phase is ServerPhase.RUNNING
    server.tick(3.1)
    assert isinstance(server.error, TemporaryError)
    assert "did not answer step 0" in str(server.error)


def test_an_agent_that_goes_is_waited_for_and_may_come_back(small: MakeConfig) -> None:
    server = _server(small).server
    server.receive(b"peer-1", 1, _join(1), 0.0)
    server.receive(b"peer-2", 2, _join(2), 0.0)
    assert server.peer_gone(b"peer-2", 1.0) == []
    assert server.phase is ServerPhase.RUNNING
    assert server.roster.missing == [2]
    begin, step = server.receive(b"peer-3", 2, _join(2), 2.0)
    assert (begin.peer, step.peer) == (b"peer-3", b"peer-3")
    assert isinstance(begin.message, Begin)
    assert isinstance(step.message, Step)
    assert step.message.record.step == 0
    assert [delivery.message for delivery in server.receive(b"peer-2", 2, Alive(2), 3.0)] == [Who()]


# --- one agent against a server that misbehaves ----------------------------------------------------------------------


def _begun(small: MakeConfig) -> tuple[Team, list[Step]]:
    team = Team(small(updates=2)).run()
    steps = [message for peer, message in team.sent if isinstance(message, Step) and peer == b"peer-1"]
    fresh = Team(small(updates=2))
    begin = next(message for _, message in team.sent if isinstance(message, Begin))
    fresh.agents[1].receive(begin, 0.0)
    return fresh, steps


def test_a_repeated_record_gets_the_stored_answer(small: MakeConfig) -> None:
    team, steps = _begun(small)
    first = team.agents[1].receive(steps[0], 0.0)
    again = team.agents[1].receive(steps[0], 0.0)
    assert first.messages == again.messages
    assert again.account is None
    assert isinstance(first.messages[0], Act)


def test_a_hole_is_asked_about_and_a_forged_record_is_refused(small: MakeConfig) -> None:
    team, steps = _begun(small)
    agent = team.agents[1]
    agent.receive(steps[0], 0.0)
    common = steps[1].record.common
    flipped = steps[1].record._replace(common=bytes([common[0] ^ 1]) + common[1:])
    beheaded = steps[0].record._replace(head=b"h" * 32)
    for strange in (steps[2], steps[1]._replace(run_id=b"z" * 16), steps[1]._replace(epoch=2)):
        (asked,) = agent.receive(strange, 0.0).messages
        assert isinstance(asked, Join)
        assert (asked.run_id, asked.next_step, asked.head) == (agent.run_id, 1, steps[0].record.head)
    assert agent.receive(steps[1]._replace(epoch=0), 0.0).messages == []
    for bad in (steps[1]._replace(record=flipped), steps[0]._replace(record=beheaded)):
        with pytest.raises(ProtocolError, match="chain hash"):
            agent.receive(bad, 0.0)


def test_a_wrong_end_and_a_fault_end_the_agent(small: MakeConfig) -> None:
    team, steps = _begun(small)
    agent = team.agents[1]
    for step in steps:
        agent.receive(step, 0.0)
    with pytest.raises(ProtocolError, match="learner digest"):
        agent.receive(End(agent.run_id, 1, len(steps) - 1, b"q" * 32), 0.0)
    with pytest.raises(MismatchError, match="because"):
        agent.receive(Fault(11, "because"), 0.0)


def test_a_stopped_server_tells_every_agent(small: MakeConfig) -> None:
    server = _server(small).server
    server.receive(b"a", 1, _join(1), 0.0)
    (farewell,) = server.stop("SIGINT")
    assert isinstance(farewell.message, Fault)
    assert farewell.message.exit_code == TemporaryError.exit_code
    assert "stopped by SIGINT" in farewell.message.text
    assert server.stop("SIGINT") == []


def test_an_agent_whose_disk_is_full_at_the_end_does_not_say_that_it_is_finished(small: MakeConfig) -> None:
    team, steps = _begun(small)
    agent = team.agents[1]
    for step in steps:
        agent.receive(step, 0.0)
    store, end = agent.log.store, End(agent.run_id, 1, len(steps) - 1, agent.learner_digest)

    def full(_rows: object) -> None:
        raise TemporaryError("the disk is full. Nothing was written. Make room.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write", full)
        with pytest.raises(TemporaryError, match="Make room"):
            agent.receive(end, 0.0)
        assert store.facts["state"] == "running"
    assert agent.receive(end, 1.0).messages == [Bye(run_id=agent.run_id, epoch=1, agent=1, step=len(steps) - 1)]
    assert (store.facts["state"], store.tip) == ("finished", len(steps) - 1)


@pytest.mark.parametrize("learning", ["shared", "independent"])
def test_an_observation_that_does_not_fit_leaves_no_trace(small: MakeConfig, learning: str) -> None:
    """Found by the fuzzer: the learner had taken in the record before the observation beside it was looked at."""
    config = small(overrides=[f"learning={learning}"])
    sent = [message for peer, message in Team(config).run().sent if peer == b"peer-1"]
    told = [message for message in sent if isinstance(message, Step)]
    agent = Team(config).agents[1]
    agent.receive(next(message for message in sent if isinstance(message, Begin)), 0.0)
    assert agent.member is not None
    before = agent.member.snapshot()
    with pytest.raises(ProtocolError, match="observation of record 0"):
        agent.receive(told[0]._replace(observation=b"\xff" * len(told[0].observation)), 0.0)
    after = agent.member.snapshot()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert agent.receive(told[0], 0.0).account is not None
    assert not all(np.array_equal(before[name], value) for name, value in agent.member.snapshot().items())
