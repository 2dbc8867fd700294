"""Appendix E.2: networks and every printed hyperparameter of the demand-response experiment."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.algorithms.naf_dqn import NafDqn
from dadc_net.coordinator.algorithms.registry import NafSettings, TrpoSettings
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.streams import seed_bytes
from tests.paper import printed
from tests.paper.one_update import parameters
from tests.paper.printed import Array, Parameters

ALGORITHMS = ("ppo", "trpo", "naf-dqn")
FIELD = np.linspace(-1.0, 1.0, 11)[:, None]
"""Mean fields as they enter the networks: the share of loads that are on, from -1 to 1."""


def paper(algorithm: str) -> RunConfig:
    return resolve("demand-response", [], {"algorithm": algorithm, "preset": "paper"})


def tower(p: Parameters, hidden: tuple[str, ...], output: str, x: Array, rectified: bool = False) -> Array:
    """Linear layers with tanh, or ReLU, then a linear one."""
    for name in hidden:
        x = np.maximum(printed.layer(p, name, x), 0.0) if rectified else np.tanh(printed.layer(p, name, x))
    return printed.layer(p, output, x)


def names(component: str) -> tuple[tuple[str, ...], str, str, str]:
    """Of a policy's and a value's layers, in PPO's one group and in TRPO's two: hidden and output, twice."""
    if component == "ppo":
        return ("actor.hidden", "actor.hidden.2"), "actor", "critic.hidden", "critic.output"
    return ("hidden", "hidden.2"), "logits", "hidden", "output"


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_policy_and_value_networks_of_ppo_and_trpo(algorithm: str) -> None:
    """E.2, PPO: policy 64 tanh, 64 tanh, 6 means, a Gaussian with state-independent covariance; value 64, 64. TRPO the same.

    Deviation: the value network is printed with a tanh after its first layer only; here after both, as in the policy.
    """
    learner = Coordinator(paper(algorithm).settings, seed_bytes(7))
    groups = parameters(learner)
    policy, value = (groups["actor-critic"],) * 2 if algorithm == "ppo" else (groups["policy"], groups["value"])
    hidden, output, critic, critic_output = names(algorithm)
    layers = (critic, f"{critic}.2")
    for p, wide, last, units in ((policy, hidden, output, 6), (value, layers, critic_output, 1)):
        assert [p[f"{name}.weight"].shape for name in (*wide, last)] == [(1, 64), (64, 64), (64, units)]
    assert policy["log-deviation"].shape == (6,)  # no input: the same at every state
    means = learner.algorithm.behaviour(0)(FIELD)
    assert np.allclose(means, tower(policy, hidden, output, FIELD), atol=1e-5)
    assert np.allclose(learner.algorithm.value()(FIELD), tower(value, layers, critic_output, FIELD)[:, 0], atol=1e-5)
    assert np.allclose(learner.algorithm.own(0), np.exp(policy["log-deviation"]), atol=1e-6)
    assert groups["ais"] == {}


def test_the_critic_of_naf_dqn() -> None:
    """E.2, NAF-DQN: 100 ReLU, 100 ReLU, a value head of one neuron, heads for mu and L; Q = V - |L^T (theta - mu)|^2 / 2.

    Deviation: both heads are printed with 6 neurons. L has 6 on its diagonal and 15 below it, as in the cited paper: 6
    numbers alone make a diagonal L, whose Q cannot say that two entries of theta matter together.
    """
    learner = Coordinator(paper("naf-dqn").settings, seed_bytes(7))
    assert isinstance(learner.algorithm, NafDqn)
    p = parameters(learner)["naf"]
    assert [p[f"{name}.weight"].shape for name in ("hidden", "hidden.2", "output")] == [(1, 100), (100, 100), (100, 28)]
    codes = np.random.Generator(np.random.Philox(1)).uniform(-1, 1, (11, 6))
    outputs = tower(p, ("hidden", "hidden.2"), "output", FIELD, rectified=True)
    expected = []
    for row, code in zip(outputs, codes, strict=True):
        value, peak, entries = row[0], row[1:7], row[7:]
        lower = np.zeros((6, 6))
        lower[np.tril_indices(6)] = entries
        np.fill_diagonal(lower, np.exp(np.diagonal(lower)))
        expected.append(value - 0.5 * ((lower.T @ (code - peak)) ** 2).sum())
    found = learner.algorithm.network.forward(FIELD, codes).values.detach().numpy()
    assert found == pytest.approx(np.array(expected), abs=1e-5)
    curved = np.outer(lower[:, 0], lower[:, 0])
    assert np.abs(curved - np.diag(np.diagonal(curved))).max() > 1e-3  # two entries do matter together


def test_every_printed_number() -> None:
    """E.2: Adam at 0.0003 (PPO) and 0.001 (TRPO, NAF), gamma 0.9, batches of 200, 10 Monte-Carlo evaluations."""
    ppo, trpo, naf = (paper(algorithm) for algorithm in ALGORITHMS)
    for config in (ppo, trpo, naf):
        assert config.settings.discount == 0.9
        assert config.settings.schedule.optimiser == "adam"
        assert config.settings.ais.encoder == "none"
        assert config.evaluation.monte_carlo_trajectories == 10
        assert (config.settings.num_agents, config.settings.learner.num_envs) == (100, 1)
        assert config.parameters.restart_steps == 0  # "infinite horizon environment"
    for config in (ppo, trpo):
        assert config.settings.learner.batch_steps == 200
        assert (config.settings.learner.hidden_size, config.settings.learner.hidden_layers) == (64, 2)
        assert config.settings.learner.final_learning_rate_share == 1.0
    critic = naf.settings.section(NafSettings)
    assert critic.windows == 200
    assert (critic.hidden_size, critic.hidden_layers, critic.activation) == (100, 2, "relu")
    assert ppo.settings.learner.learning_rate == ppo.settings.gaussian.learning_rate == 0.0003
    assert trpo.settings.section(TrpoSettings).value_learning_rate == 0.001
    assert (critic.learning_rate, critic.final_learning_rate_share) == (0.001, 1.0)


def test_theta_has_six_entries_one_for_each_state_and_action() -> None:
    """E.2: the final layer has 6 neurons. Two states, three actions: one table for all loads, a symmetric prescription."""
    config = paper("ppo")
    assert config.family.shape == (1, 2, 3)
    theta = np.array([[0.0, 1.0, -1.0, 2.0, 0.0, 0.5]])
    tables = np.exp(theta.reshape(2, 3))
    assert np.allclose(config.family.probabilities(theta)[0, 0], tables / tables.sum(axis=1, keepdims=True), atol=1e-6)
