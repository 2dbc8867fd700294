"""TRPO's parts against plain linear algebra: conjugate gradients, Fisher products, the line search."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.coordinator.algorithms.registry import TrpoSettings
from dadc_net.coordinator.algorithms.trpo import TrustRegion
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.networks.distribution import Categorical, CategoricalValues
from dadc_net.coordinator.networks.natural_gradient import conjugate_gradients
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from tests.coordinator.test_learner import records, settings


def test_conjugate_gradients_solve_a_positive_system() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    root = rng.normal(size=(6, 6))
    matrix = root @ root.T + np.eye(6)
    right = rng.normal(size=6)
    found = conjugate_gradients(lambda v: matrix @ v, right, 6)
    assert np.allclose(found, np.linalg.solve(matrix, right), atol=1e-8)
    assert not conjugate_gradients(lambda v: matrix @ v, np.zeros(6), 6).any()


@pytest.fixture(params=[1, 3], ids=["one-layer", "three-layers"])
def policy(request: pytest.FixtureRequest) -> PolicyNetwork:
    return PolicyNetwork(4, 5, 3, Categorical(), Stream("test", seed_bytes(1)), request.param)


def test_tangents_are_the_jacobian_and_its_transpose(policy: PolicyNetwork) -> None:
    states = np.round(np.cos(np.arange(28.0)).reshape(7, 4) * 2**24) / 2**24
    tangents, group = policy.tangents(states), policy.group
    rng = np.random.Generator(np.random.Philox(4))
    direction, vector = rng.normal(size=group.size), rng.normal(size=(7, 3))
    before, scale = group.values.copy(), 1e-3
    ends = []
    for sign in (1, -1):
        group.assign(before + sign * scale * direction)
        ends.append(policy.acting()(states))
    group.assign(before)
    assert np.allclose(tangents.along(direction), (ends[0] - ends[1]) / (2 * scale), atol=1e-4)
    assert float((tangents.along(direction) * vector).sum()) == pytest.approx(float(tangents.back(vector) @ direction))


def test_a_step_improves_the_surrogate_within_the_trust_region() -> None:
    chosen = settings(updates=4, copies=8, steps=10, algorithm="trpo")
    learner = Coordinator(chosen, seed_bytes(7))
    algorithm = learner.algorithm
    assert isinstance(algorithm, TrustRegion)
    shown = []
    before = algorithm.policy.group.values.copy()
    for record in records(chosen):
        report = learner.receive(record).update
        if report is not None:
            shown.append(report.losses)
    assert all(0.0 <= losses["kl"] <= chosen.section(TrpoSettings).max_kl for losses in shown)
    assert any(losses["step_share"] > 0.0 and losses["kl"] > 0.1 * chosen.section(TrpoSettings).max_kl for losses in shown)
    assert not np.array_equal(before, algorithm.policy.group.values)


def log_probabilities(policy: PolicyNetwork, states: Array) -> Array:
    psi = policy.forward(states, np.zeros(len(states), dtype=np.int64)).psi
    assert isinstance(psi, CategoricalValues)
    return psi.found.logs


def test_the_fisher_matrix_is_the_hessian_of_the_divergence(policy: PolicyNetwork) -> None:
    """KL(old || new) is half v' F v to second order."""
    states = np.round(np.sin(np.arange(40.0)).reshape(10, 4) * 2**24) / 2**24
    logs = log_probabilities(policy, states)
    chances = np.exp(logs)
    direction = np.random.Generator(np.random.Philox(5)).normal(size=policy.group.size)
    change = policy.tangents(states).along(direction)
    weighted = chances * (change - (chances * change).sum(axis=1, keepdims=True)) / len(states)
    curvature = float(direction @ policy.tangents(states).back(weighted))
    before, scale = policy.group.values.copy(), 1e-2
    policy.group.assign(before + scale * direction)
    moved = log_probabilities(policy, states)
    divergence = float((chances * (logs - moved)).sum(axis=1).mean())
    assert divergence == pytest.approx(0.5 * scale**2 * curvature, rel=0.1)
