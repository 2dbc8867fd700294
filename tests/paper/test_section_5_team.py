"""Section 5: every agent runs an instance of its own, and all instances coincide, because they are given common information.

Two members of the multi-access broadcast team, production code without a network, learn beside a real environment; then
their log is fed again with one thing changed at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.agent.replica import StepAccount
from dadc_net.node.agent.team_member import TeamMember
from dadc_net.node.record import CommonLayout
from dadc_net.node.rows import ServerRow
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.multi_access_broadcast import MENUS
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import ControlSharing

Change = Callable[[ServerRow], ServerRow]
SMALL = ["learner.num_envs=4", "learner.batch_steps=20"]


class Played(NamedTuple):
    """What one member did."""

    accounts: list[StepAccount]
    actions: list[bytes]
    states: list[NDArray[Any]]
    """All parameters, joined, after each record."""


def configured(*overrides: str) -> RunConfig:
    return resolve("mabc", [*SMALL, *overrides], {"updates": 4})


def member(config: RunConfig, agent: int, seed: int) -> TeamMember:
    own = make_problem(config).environment.spec.agents[agent - 1]
    facts = {
        "structure": config.task.structure.to_plain(),
        "family": config.family.to_plain(),
        "observation_space": own.observation_space.to_plain(),
        "action_space": own.action_space.to_plain(),
    }
    return TeamMember(AgentIdentity(agent=agent, shared_seed=seed_bytes(seed), selftest=bytes(32)), config.settings, facts)


def replay(config: RunConfig, log: list[ServerRow], agent: int, seed: int = 7, change: Change | None = None) -> Played:
    """One agent, given its part of the log."""
    played, one = Played([], [], []), member(config, agent, seed)
    for entry in log:
        given = entry if change is None else change(entry)
        account, actions = one.advance(given.record, given.observations[agent - 1])
        played.accounts.append(account)
        played.actions.append(actions)
        played.states.append(np.concatenate(one.replica.coordinator.parameters))
    return played


def learn(config: RunConfig) -> list[ServerRow]:
    """A whole run of two members; its log."""
    world = World(make_problem(config), seed_bytes(1))
    members = [member(config, agent, 7) for agent in (1, 2)]
    log = [world.first()]
    while True:
        entry = log[-1]
        done = [m.advance(entry.record, entry.observations[k]) for k, m in enumerate(members)]
        if not done[0][1]:
            return log
        log.append(world.advance(np.stack([np.frombuffer(raw, dtype="u1") for _, raw in done], axis=1).astype(np.int64)))


@pytest.fixture(scope="module")
def shared() -> tuple[RunConfig, list[ServerRow]]:
    config = configured()
    return config, learn(config)


def other_packets(entry: ServerRow) -> ServerRow:
    """Every agent has a packet where it had none, and none where it had one; nothing common changes."""
    flipped = [(1 - np.frombuffer(raw, dtype="u1")).astype("u1").tobytes() for raw in entry.observations]
    return entry._replace(observations=tuple(flipped))


def coincide(one: Played, other: Played) -> bool:
    """Whether parameters, AIS and prescriptions were equal at every record, bit for bit."""
    equal = all(np.array_equal(a, b) for a, b in zip(one.states, other.states, strict=True))
    pairs = zip(one.accounts, other.accounts, strict=True)
    return equal and all(a.digests[:3] == b.digests[:3] for a, b in pairs)


def test_all_instances_coincide_given_common_information(shared: tuple[RunConfig, list[ServerRow]]) -> None:
    """Section 5: "each agent runs a separate instance of DADC"; with the same generator and seed they are the same."""
    config, log = shared
    one, two = replay(config, log, 1), replay(config, log, 2)
    assert coincide(one, two)
    assert not np.array_equal(one.states[0], one.states[-1])  # they learned
    assert one.actions != two.actions  # and are two agents


def test_with_another_seed_they_do_not(shared: tuple[RunConfig, list[ServerRow]]) -> None:
    """Section 5: the caveat is that all agents must pick the same sample. The negative control of the test above."""
    config, log = shared
    one, stranger = replay(config, log, 1), replay(config, log, 2, seed=8)
    assert not coincide(one, stranger)
    pairs = zip(one.accounts, stranger.accounts, strict=True)
    assert all(a.digests.parameters != b.digests.parameters for a, b in pairs)


def test_with_equal_parameters_another_seed_still_draws_another_theta(shared: tuple[RunConfig, list[ServerRow]]) -> None:
    """Section 5: equal policies are not enough, their samples must be equal as well."""
    config, log = shared
    mine, theirs = (Coordinator(config.settings, seed_bytes(seed)) for seed in (7, 8))
    theirs.restore(mine.snapshot())
    record = CommonLayout(mine.space, 4).unpack(log[0].record)
    one, two = mine.receive(record), theirs.receive(record)
    assert np.array_equal(one.ais, two.ais)
    assert one.prescriptions is not None
    assert two.prescriptions is not None
    assert not np.array_equal(one.prescriptions, two.prescriptions)


def test_one_changed_common_observation_is_enough_to_part_them(shared: tuple[RunConfig, list[ServerRow]]) -> None:
    """The negative control: what the instances are given must be common. Two coordinators, one reward changed."""
    config, log = shared
    mine, theirs = (Coordinator(config.settings, seed_bytes(7)) for _ in range(2))
    equal = []
    for entry in log:
        record = CommonLayout(mine.space, 4).unpack(entry.record)
        mine.receive(record)
        theirs.receive(record._replace(rewards=record.rewards + (entry.step == 3)))
        equal.append(mine.digest() == theirs.digest())
    assert equal == [entry.step < 5 for entry in log]  # record 5 closes the batch that the reward is in


@pytest.mark.parametrize("agent", [1, 2])
def test_no_prescription_depends_on_a_private_observation(shared: tuple[RunConfig, list[ServerRow]], agent: int) -> None:
    """Section 3: h_t = psi_t(c_t), a function of common information. Section 5: so are critic and actor.

    One agent's private stream is replaced: what it does changes, while theta_t, as a function, changes for nobody, itself
    included; and the other agent, which is not shown it, does what it did.
    """
    config, log = shared
    plain, changed = replay(config, log, agent), replay(config, log, agent, change=other_packets)
    assert coincide(plain, changed)
    assert plain.actions != changed.actions
    other = replay(config, log, 3 - agent)
    assert coincide(changed, other)


def test_an_independent_learner_does_depend_on_it() -> None:
    """The negative control: the baseline's learner is shown its private stream, and the same change alters it."""
    config = configured("learning=independent")
    log = learn(config)
    for agent in (1, 2):
        plain, changed = replay(config, log, agent), replay(config, log, agent, change=other_packets)
        assert not coincide(plain, changed)


def test_gibbs_prescriptions_are_softmax_tables_of_which_each_agent_has_its_own() -> None:
    """Section 5, parameterized prescriptions: theta = (theta^k), h_theta^k Gibbs; P(a | l) = e^theta / sum e^theta."""
    family = GibbsFamily(name="gibbs", tables=2, local_values=2, num_actions=2, bound=5.0)
    theta = np.random.Generator(np.random.Philox(3)).uniform(-3, 3, (4, 8))
    tables = theta.reshape(4, 2, 2, 2)
    expected = np.exp(tables) / np.exp(tables).sum(axis=3, keepdims=True)
    assert np.allclose(family.probabilities(theta), expected, atol=1e-6)
    moved = theta.copy()
    moved[:, 4:] = 0.0
    assert np.array_equal(family.probabilities(moved)[:, 0], family.probabilities(theta)[:, 0])
    assert np.allclose(family.probabilities(moved)[:, 1], 0.5)


def test_passive_agents_sample_their_own_actions_independently() -> None:
    """Footnote 3: "each passive agent samples only its own action", independently; here with streams of their own."""
    copies = 20_000
    family = GibbsFamily(name="gibbs", tables=2, local_values=2, num_actions=2, bound=5.0)
    streams = {agent: private_stream(agent, seed_bytes(5)) for agent in (1, 2)}
    specs = equal_agents(2, FiniteSpace((2,)), FiniteSpace((2,)))
    passive = PassiveAgents(streams, copies, ControlSharing(), family, specs)
    passive.observe(passive.read(0, [np.ones(copies, dtype="u1").tobytes()] * 2), np.ones(copies, dtype=bool))
    theta = np.tile(np.array([0.0, 0.0, 0.0, np.log(3.0)] * 2), (copies, 1))
    actions = passive.act(0, theta)
    assert np.abs(actions.mean(axis=0) - 0.75).max() < 0.01
    assert abs((actions[:, 0] * actions[:, 1]).mean() - 0.75**2) < 0.01
    alone = PassiveAgents({2: streams[2]}, copies, ControlSharing(), family, specs[:1])
    alone.observe(alone.read(0, [np.ones(copies, dtype="u1").tobytes()]), np.ones(copies, dtype=bool))
    assert np.array_equal(alone.act(0, theta)[:, 0], actions[:, 1])
    assert MENUS["paper"].is_random is False
