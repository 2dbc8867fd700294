"""Teams whose prescriptions are continuous and randomised: agents draw for themselves, and stay equal all the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.node.agent.passive_agents import PassiveAgents, private_stream
from dadc_net.node.messages import Act, Step
from dadc_net.node.record import ObservationLayout
from dadc_net.runtime.sabotage import Sabotage
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import MeanFieldSharing
from tests.team_in_memory import MakeConfig, Team


def loads(algorithm: str = "ppo", prescriptions: str = "randomised", extra: Sequence[str] = ()) -> RunConfig:
    overrides = ["env.agents=5", "learner.num_envs=3", "learner.batch_steps=18", "ppo.epochs=2", "naf.first_steps=0"]
    overrides += ["naf.steps=2", "learner.hidden_size=6", "naf.hidden_size=6", f"prescriptions={prescriptions}", *extra]
    return resolve("demand-response", overrides, {"updates": 4, "algorithm": algorithm})


@pytest.mark.parametrize(
    ("algorithm", "prescriptions", "encoder"),
    [
        ("ppo", "randomised", "none"),
        ("trpo", "one-each", "none"),
        ("actor-critic", "randomised", "gru"),
        ("naf-dqn", "randomised", "none"),
        ("ppo", "deterministic", "none"),
    ],
)
def test_a_team_of_loads_agrees_and_simulation_gives_its_digest(algorithm: str, prescriptions: str, encoder: str) -> None:
    config = loads(algorithm, prescriptions, [f"ais.encoder={encoder}"])
    team = Team(config).run()
    assert team.finished
    assert len(team.digests()) == 1
    for replicas in ("one", "all"):
        ended = Simulation(config, seed_bytes(7), seed_bytes(1), replicas).run()
        assert set(ended.agent_digests.values()) == team.digests()


def test_a_broadcast_team_with_opportunities_agrees(small: MakeConfig) -> None:
    overrides = ["naf.window=3", "naf.warm_up=1", "naf.windows=4", "naf.first_steps=0", "naf.steps=1"]
    config = small(updates=4, overrides=overrides, algorithm="naf-dqn")
    assert config.prescriptions == "opportunity"
    team = Team(config).run()
    assert len(team.digests()) == 1
    assert set(Simulation(config, seed_bytes(7), seed_bytes(1)).run().agent_digests.values()) == team.digests()


def test_a_flipped_bit_of_theta_is_caught_at_its_step() -> None:
    """The prescription alone differs: parameters and AIS are equal up to there."""

    def tamper(replica, step: int) -> None:  # type: ignore[no-untyped-def]
        if step == 7:
            act = replica.coordinator._act

            def other(*arguments):  # type: ignore[no-untyped-def]
                ais, theta = act(*arguments)
                return ais, np.nextafter(theta, np.inf)

            replica.coordinator._act = other

    team = Team(loads(), tamper={4: tamper}).run()
    found = team.server.divergence
    assert found is not None
    assert (found.step, found.phase, found.suspects) == (7, "act", (4,))


def test_a_shifted_stream_of_normals_is_caught() -> None:
    found = Team(loads(), tamper={2: Sabotage("shift-stream", 5)}).run().server.divergence
    assert found is not None
    assert (found.step, found.suspects) == (5, (2,))


def test_a_flipped_bit_is_caught_where_there_is_no_state_approximator() -> None:
    found = Team(loads(), tamper={3: Sabotage("flip-bit", 5)}).run().server.divergence
    assert found is not None
    assert (found.step, found.suspects) == (5, (3,))


def _actions(team: Team, agent: int) -> list[bytes]:
    accounts: list[bytes] = []
    receive = team.server.receive

    def recording(peer: bytes, key_agent: int | None, message: object, now: float):  # type: ignore[no-untyped-def]
        if isinstance(message, Act) and message.agent == agent:
            accounts.append(message.actions)
        return receive(peer, key_agent, message, now)  # type: ignore[arg-type]

    team.server.receive = recording  # type: ignore[method-assign]
    team.run()
    return accounts


def test_a_private_seed_changes_its_own_agents_draws_and_no_agreement() -> None:
    plain, private = Team(loads()), Team(loads(), private_seeds={3: 99})
    theirs, own = _actions(plain, 3), _actions(private, 3)
    assert theirs != own
    assert private.finished
    assert len(private.digests()) == 1
    # At record 0 nothing has happened yet that another agent could see: its own draws are what they were.
    assert _actions(Team(loads()), 2)[0] == _actions(Team(loads(), private_seeds={3: 99}), 2)[0]


def test_theta_does_not_leave_an_agent() -> None:
    team = Team(loads()).run()
    chosen = [account.prescriptions for account in team.accounts[1] if account.prescriptions is not None]
    assert chosen[0].shape == (3, 6)
    needles = [value.tobytes() for theta in chosen for value in theta.reshape(-1)]
    for _, message in team.sent:
        if isinstance(message, Step):
            assert not any(needle in message.record.common + message.observation for needle in needles)


def test_agents_in_one_object_draw_what_each_draws_alone() -> None:
    family, space = GibbsFamily(name="randomised", tables=1, local_values=2, num_actions=3, bound=5.0), FiniteSpace((2,))
    streams = {agent: private_stream(agent, seed_bytes(3)) for agent in range(1, 6)}
    specs = equal_agents(5, space, FiniteSpace((3,)))
    together = PassiveAgents(streams, 4, MeanFieldSharing(), family, specs)
    alone = [PassiveAgents({agent: stream}, 4, MeanFieldSharing(), family, specs[:1]) for agent, stream in streams.items()]
    rng = np.random.Generator(np.random.Philox(2))
    for step in range(5):
        private = [ObservationLayout(space, 4).pack(rng.integers(0, 2, (4, 1))) for _ in streams]
        begin, theta = np.full(4, step == 0), rng.normal(size=(4, 6))
        together.observe(together.read(step, private), begin)
        actions = together.act(step, theta)
        for index, agent in enumerate(alone):
            agent.observe(agent.read(step, [private[index]]), begin)
            assert np.array_equal(agent.act(step, theta)[:, 0], actions[:, index])


def test_a_mean_field_beyond_its_space_is_refused() -> None:
    """The coordinator's input is bounded, so that products of the first layer stay exact."""
    coordinator = Coordinator(loads().settings, seed_bytes(1))
    features = coordinator.space.features(np.array([[0], [5]]))
    assert np.abs(features).max() == 1.0
    assert coordinator.approximator.exponent == 2
