"""Appendix E.1: networks, optimiser and every printed hyperparameter of the multi-access broadcast experiment."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.adam import Adam
from dadc_net.exact.streams import seed_bytes
from dadc_net.team.multi_access_broadcast import MENUS
from tests.paper import printed
from tests.paper.one_update import OneUpdate, one_update, parameters
from tests.paper.printed import Array, Parameters

AIS_RATE, ACTOR_CRITIC_RATE, DISCOUNT = 0.08, 0.01, 0.9
HALF = 0.5
"""Weight of the critic's loss, which the paper does not print."""


def paper(*overrides: str, algorithm: str = "actor-critic", **options: object) -> RunConfig:
    return resolve("mabc", list(overrides), {"algorithm": algorithm, "preset": "paper", **options})


def actor_critic(p: Parameters, states: Array) -> tuple[Array, Array]:
    """One common linear layer with tanh; actor head linear with softmax; critic head linear with tanh, then linear."""
    trunk = np.tanh(printed.layer(p, "trunk", states))
    return printed.softmax(printed.layer(p, "actor", trunk)), printed.head(p, "critic.", trunk)[:, 0]


def test_the_state_approximator_has_the_printed_layers() -> None:
    """E.1: X_t 5-dimensional; linear 5 tanh, GRU 5; reward head linear 5 tanh, linear 1; nu head linear 5 tanh, means 5."""
    learner = Coordinator(paper().settings, seed_bytes(7))
    shapes = {name: array.shape for name, array in learner.approximator.group.arrays.items() if name.endswith("weight")}
    z, theta = learner.space.feature_size, 3
    assert shapes == {
        "encoder.input.weight": (z + theta, 5),
        "encoder.gates.weight": (5, 15),
        "encoder.recurrent.weight": (5, 15),
        "reward.hidden.weight": (5 + theta, 5),
        "reward.output.weight": (5, 1),
        "transition.hidden.weight": (5 + theta, 5),
        "transition.output.weight": (5, 5),
    }


@pytest.mark.parametrize("algorithm", ["actor-critic", "ppo"])
def test_actor_and_critic_share_a_layer_and_have_a_head_each(algorithm: str) -> None:
    """E.1: common linear 5 tanh; actor head 3 neurons, log softmax; critic head linear 5 tanh, linear 1; PPO the same."""
    learner = Coordinator(paper(algorithm=algorithm).settings, seed_bytes(7))
    p = parameters(learner)["actor-critic"]
    assert {name: array.shape for name, array in p.items() if name.endswith("weight")} == {
        "trunk.weight": (5, 5),
        "actor.weight": (5, 3),
        "critic.hidden.weight": (5, 5),
        "critic.output.weight": (5, 1),
    }
    states = np.random.Generator(np.random.Philox(1)).uniform(-1, 1, (7, 5))
    chances, values = actor_critic(p, states)
    assert np.allclose(printed.softmax(learner.algorithm.behaviour(0)(states)), chances, atol=1e-6)
    assert np.allclose(learner.algorithm.value()(states), values, atol=1e-6)


def advantages(p: Parameters, states: Array, rewards: Array, decay: float) -> Array:
    """Mixture of n-step advantages, its forward view; with decay 1 the discounted return minus the value."""
    values = actor_critic(p, states)[1]
    return printed.lambda_returns(rewards, values[1:], DISCOUNT, decay) - values[:-1]


def loss(p: Parameters, states: Array, done: OneUpdate, worth: Array, goals: Array) -> float:
    """-mean A log psi(theta) + w mean smoothL1(V - goal)."""
    chances, values = actor_critic(p, states[:-1])
    chosen = chances[np.arange(len(worth)), done.seen.thetas]
    return float(-(worth * np.log(chosen)).mean() + HALF * printed.smooth_l1(values - goals).mean())


@pytest.mark.parametrize("decay", [1.0, 0.6])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_one_update_of_actor_critic(optimiser: str, decay: float) -> None:
    """E.1, actor-critic: both components' movements in one update, against derivatives of the losses on this page.

    Deviation: (6) weighs log psi with Q; E.1 has a value head, so that the weight is an advantage: GAE, whose forward view
    is a mixture of n-step advantages. By Adam the first step of each parameter is its rate, against the gradient's sign.
    """
    chosen = ["learner.batch_steps=6", f"schedule.optimiser={optimiser}", f"learner.trace_decay={decay}"]
    done = one_update(paper(*chosen, updates=1).settings)
    p, states = done.before["actor-critic"], printed.encode(done.before["ais"], done.seen.inputs)
    worth = advantages(p, states, done.seen.rewards, decay)
    goals = worth + actor_critic(p, states[:-1])[1]

    def loss_ais(v: Parameters) -> float:
        return float(0.5 * printed.reward_terms(v, done.seen).mean() + 0.5 * printed.next_ais_terms(v, done.seen).mean())

    gradients = {
        "actor-critic": printed.slopes(lambda v: loss(v, states, done, worth, goals), p),
        "ais": printed.slopes(loss_ais, done.before["ais"]),
    }
    checked = 0
    for component, rate in (("ais", AIS_RATE), ("actor-critic", ACTOR_CRITIC_RATE)):
        for name, gradient in gradients[component].items():
            step = done.moved(component)[name]
            if optimiser == "sgd":
                assert step == pytest.approx(-rate * gradient, rel=1e-4, abs=1e-6)
                checked += gradient.size
            else:
                plain = np.abs(gradient) > 1e-3
                assert step[plain] == pytest.approx(-rate * np.sign(gradient[plain]), rel=1e-4)
                checked += int(plain.sum())
    assert checked > 150
    other = advantages(p, states, done.seen.rewards, 0.3)
    assert not np.allclose(worth, other, atol=1e-2)


def test_adam_with_default_parameters() -> None:
    """E.1: "ADAM as the optimizer, with the other ADAM parameters being the default values": 0.9, 0.999, 1e-8."""
    optimiser = Adam(3)
    assert (optimiser.beta1, optimiser.beta2, optimiser.epsilon) == (0.9, 0.999, 1e-8)
    found, expected = np.array([1.0, -2.0, 0.5]), np.array([1.0, -2.0, 0.5])
    m = v = np.zeros(3)
    for t in range(1, 20):
        gradient = np.cos(t * np.arange(1.0, 4.0))
        optimiser.step(found, gradient, AIS_RATE)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected = expected - AIS_RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("algorithm", ["actor-critic", "ppo"])
def test_every_printed_number(algorithm: str) -> None:
    """E.1: X_t in 5 dimensions, rates 0.08 and 0.01, Adam, gamma 0.9, batches of 300, 100 Monte-Carlo evaluations."""
    config = paper(algorithm=algorithm)
    settings = config.settings
    assert settings.ais.size == settings.learner.hidden_size == 5
    assert (settings.learner.hidden_layers, settings.learner.shared_trunk) == (1, True)
    assert (settings.ais.encoder, settings.ais.loss, settings.ais.detach_target) == ("gru", "next-ais-nll", False)
    assert (settings.ais.learning_rate, settings.learner.learning_rate) == (AIS_RATE, ACTOR_CRITIC_RATE)
    assert settings.schedule.optimiser == "adam"
    assert settings.discount == DISCOUNT
    assert (settings.learner.batch_steps, settings.learner.num_envs) == (300, 1)
    assert config.evaluation.monte_carlo_trajectories == 100
    # "Learning rates of 0.08 and 0.01" are constant, and nothing that the paper does not name is added.
    assert settings.ais.final_learning_rate_share == settings.learner.final_learning_rate_share == 1.0
    assert settings.learner.entropy_weight == settings.ais.gradient_norm == settings.learner.gradient_norm == 0.0
    # Deviation: "this infinite horizon environment" begins afresh after 300 steps, as long as a batch.
    assert config.parameters.restart_steps == settings.learner.batch_steps


def test_the_shipped_default_is_not_the_printed_one() -> None:
    """Deviation: actor-critic with an entropy bonus, falling step sizes, GAE(0.6), sizes 16; and the loss is (P2b)."""
    settings = resolve("mabc").settings
    assert settings.ais.loss == "next-observation"
    assert settings.ais.size == settings.learner.hidden_size == 16
    assert settings.learner.entropy_weight > 0.0
    assert settings.learner.trace_decay == 0.6
    assert settings.learner.final_learning_rate_share == settings.ais.final_learning_rate_share == 0.0


def test_the_actor_chooses_who_gets_the_opportunity() -> None:
    """E.1: "first passive agent gets opportunity to transmit, second .. and both"; transmit if opportunity and packet."""
    config = paper()
    assert (config.prescriptions, config.menu) == ("menu", "paper")
    assert config.settings.num_prescriptions == 3
    opportunities = [(1, 0), (0, 1), (1, 1)]
    expected = [[[0, may] for may in entry] for entry in opportunities]
    assert MENUS["paper"].table().tolist() == expected
