"""Section 4: Definition 1, equation (3), Theorems 3 and 5, on a model small enough to solve on this page.

Six beliefs, of which an AIS tells three pairs apart: what it loses is known. Epsilon, delta, kappa and the Lipschitz
constant are worked out below from the definitions; the certificate under test must find the same.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dadc_net.coordinator.losses import energy_distance
from dadc_net.coordinator.view import Prediction
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.certificate import Certificate, EnumeratedBeliefs, certify, transport
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.value_iteration import Solution, solve

Array = NDArray[np.float64]
DISCOUNT = 0.7
BELIEFS, MENU, SEEN, POINTS = 6, 2, 2, 3
AIS = np.array([0.0, 1.0, 3.0])
"""The points of X on a line; belief b is compressed to point b // 2."""


def small_model() -> CoordinatedModel:
    """Rewards and laws differ a little within a pair. What pair follows depends on pair, prescription and z alone: (P2a)."""
    rng = np.random.Generator(np.random.Philox(5))
    reward = np.repeat(rng.uniform(-1, 1, (POINTS, MENU)), 2, axis=0) + rng.uniform(-0.1, 0.1, (BELIEFS, MENU))
    likely = np.repeat(rng.uniform(0.3, 0.7, (POINTS, MENU)), 2, axis=0) + rng.uniform(-0.1, 0.1, (BELIEFS, MENU))
    pair = np.repeat(rng.integers(POINTS, size=(POINTS, MENU, SEEN)), 2, axis=0)
    pair[:, 0, 0] = (np.arange(BELIEFS) // 2 + 1) % POINTS  # so that every point is visited
    member = rng.integers(2, size=(BELIEFS, MENU, SEEN))
    return CoordinatedModel(
        beliefs=np.arange(float(BELIEFS))[:, None],
        reward=reward,
        probability=np.stack((likely, 1.0 - likely), axis=2),
        next_belief=2 * pair + member,
        outcomes=np.arange(SEEN)[:, None],
        start=0,
        start_common=np.zeros(1, dtype=np.int64),
        prescriptions=("first", "second"),
        columns=("number",),
        rounding=0.0,
    )


class Learned(NamedTuple):
    """What someone who sees the AIS only can know: the mean over each pair."""

    reward: Array
    """[points, M]"""
    probability: Array
    """[points, M, Z]"""
    following: NDArray[np.int64]
    """[points, M, Z] point"""
    value: Array
    """[points] V of the critic"""
    exact: Array
    """[points] V^, the solution of (3)"""

    @property
    def scores(self) -> Array:
        """One step of (3) from the critic's V."""
        return np.asarray(self.reward + DISCOUNT * (self.probability * self.value[self.following]).sum(axis=2))


def learn(model: CoordinatedModel, value_error: Array) -> Learned:
    """The AIS's own dynamic program, equation (3), by plain iteration; the critic errs by ``value_error`` [points]."""
    reward = model.reward.reshape(POINTS, 2, MENU).mean(axis=1)
    probability = model.probability.reshape(POINTS, 2, MENU, SEEN).mean(axis=1)
    following = model.next_belief[::2] // 2
    exact = np.zeros(POINTS)
    for _ in range(200):
        exact = (reward + DISCOUNT * (probability * exact[following]).sum(axis=2)).max(axis=1)
    return Learned(reward, probability, following, exact + value_error, exact)


class View:
    """n copies of the AIS driven by common information, for the certificate."""

    def __init__(self, learned: Learned) -> None:
        self.learned = learned

    def begin(self, copies: int) -> None:
        self.point = np.zeros(copies, dtype=np.int64)
        self.chosen: NDArray[np.int64] | None = None

    def observe(self, common: NDArray[np.int64]) -> Prediction:
        if self.chosen is not None:
            self.point = self.learned.following[self.point, self.chosen, common[:, 0]]
        x, learned = self.point, self.learned
        best = np.argmax(learned.scores[x], axis=1)
        following = AIS[learned.following[x]][..., None]
        shown = AIS[x][:, None], learned.value[x], learned.reward[x], learned.probability[x], following
        return Prediction(*shown, learned.scores[x], best)

    def follow(self, prescriptions: NDArray[np.int64]) -> None:
        self.chosen = prescriptions


def wasserstein(points: Array, weights: Array, others: Array) -> float:
    """On a line: the area between the two distribution functions."""
    order = np.argsort(points)
    gaps = np.diff(points[order])
    return float((np.abs(np.cumsum((weights - others)[order]))[:-1] * gaps).sum())


class Constants(NamedTuple):
    epsilon: float
    delta: float
    lipschitz: float


def constants(model: CoordinatedModel, learned: Learned) -> Constants:
    """Definition 1: the least epsilon of (P1) and delta of (P2) over all beliefs and prescriptions; and L_V."""
    everywhere = list(product(range(BELIEFS), range(MENU)))
    epsilon = max(abs(model.reward[b, h] - learned.reward[b // 2, h]) for b, h in everywhere)
    delta = max(
        wasserstein(AIS[learned.following[b // 2, h]], model.probability[b, h], learned.probability[b // 2, h])
        for b, h in everywhere
    )
    v = learned.value
    slope = max(abs(v[i] - v[j]) / abs(AIS[i] - AIS[j]) for i in range(POINTS) for j in range(i))
    return Constants(epsilon, delta, slope)


def certified(model: CoordinatedModel, solution: Solution, learned: Learned) -> Certificate:
    return certify(EnumeratedBeliefs(model, solution), DISCOUNT, View(learned), 60, 40, Stream("test", seed_bytes(2)))


@pytest.fixture(scope="module")
def solved() -> tuple[CoordinatedModel, Solution]:
    model = small_model()
    return model, solve(model, DISCOUNT)


def test_definition_1_epsilon_and_delta_are_those_of_the_certificate(solved: tuple[CoordinatedModel, Solution]) -> None:
    """(P1): |E[R | c, h] - E[R | x, h]| <= epsilon; (P2): W(mu, nu) <= delta; found from sampled common information."""
    model, solution = solved
    learned = learn(model, np.zeros(POINTS))
    expected, found = constants(model, learned), certified(model, solution, learned)
    assert expected.epsilon > 0.02
    assert expected.delta > 0.02
    assert found.epsilon == pytest.approx(expected.epsilon, abs=1e-12)
    assert found.delta == pytest.approx(expected.delta, abs=1e-12)
    assert found.lipschitz == pytest.approx(expected.lipschitz, abs=1e-9)
    assert found.kappa == pytest.approx(0.0, abs=1e-9)


def test_theorem_3_the_ais_program_is_near_the_true_one(solved: tuple[CoordinatedModel, Solution]) -> None:
    """Theorem 3: |V(b_t) - V^(rho(c_t))| <= (epsilon + gamma L_V delta) / (1 - gamma), V^ the fixed point of (3)."""
    model, solution = solved
    learned = learn(model, np.zeros(POINTS))
    known = constants(model, learned)
    error = np.abs(solution.value - np.repeat(learned.exact, 2)).max()
    bound = (known.epsilon + DISCOUNT * known.lipschitz * known.delta) / (1.0 - DISCOUNT)
    assert 0.0 < error <= bound
    assert certified(model, solution, learned).error == pytest.approx(error, abs=1e-9)
    # The negative control: the program of a learner whose rewards are wrong by more than epsilon is not within the bound.
    wrong = learned.reward + np.array([1.0, -1.0])
    far = np.zeros(POINTS)
    for _ in range(200):
        far = (wrong + DISCOUNT * (learned.probability * far[learned.following]).sum(axis=2)).max(axis=1)
    assert np.abs(solution.value - np.repeat(far, 2)).max() > bound


@pytest.mark.parametrize("value_error", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.1), (1.0, 1.0, 1.0)])
def test_theorem_5_the_bound_is_the_printed_one_and_holds(
    solved: tuple[CoordinatedModel, Solution], value_error: tuple[float, float, float]
) -> None:
    """Theorem 5: |V(b_t) - V_learned(x_t)| <= kappa + (epsilon + L_V delta) / (1 - gamma), kappa = |V_learned - V^|.

    V^ is unknown to a learner: the certificate bounds kappa by the critic's residual in (3), which is never less.
    """
    model, solution = solved
    learned = learn(model, np.array(value_error))
    known, found = constants(model, learned), certified(model, solution, learned)
    kappa = np.abs(learned.value - learned.exact).max()
    residual = np.abs(learned.value - learned.scores.max(axis=1)).max() / (1.0 - DISCOUNT)
    assert found.kappa == pytest.approx(residual, abs=1e-9)
    assert found.kappa >= kappa - 1e-9
    printed = found.kappa + (known.epsilon + known.lipschitz * known.delta) / (1.0 - DISCOUNT)
    assert found.bound == pytest.approx(printed, abs=1e-9)
    assert found.error == pytest.approx(np.abs(solution.value - np.repeat(learned.value, 2)).max(), abs=1e-9)
    assert found.error <= found.bound


def test_a_learner_that_is_wrong_about_the_model_is_certified_as_such(solved: tuple[CoordinatedModel, Solution]) -> None:
    """The negative control: a reward off by 0.5 and exchanged outcomes show in epsilon and delta, and in nothing else."""
    model, solution = solved
    learned = learn(model, np.zeros(POINTS))
    right = certified(model, solution, learned)
    wrong = certified(model, solution, learned._replace(reward=learned.reward + 0.5))
    assert wrong.epsilon == pytest.approx(np.abs(model.reward - np.repeat(learned.reward + 0.5, 2, axis=0)).max(), abs=1e-12)
    assert wrong.delta == right.delta
    turned = certified(model, solution, learned._replace(probability=learned.probability[:, :, ::-1]))
    assert turned.epsilon == right.epsilon
    assert turned.delta > right.delta


def test_the_energy_distance_is_zero_for_equal_laws_alone() -> None:
    """Abstract, Section 4: "Wasserstein or KL-divergence regularized". In place of W the loss of (P2) has a distance of its
    kind: averaged over x ~ mu it is, up to E|X - X'|, twice the integral of (F_mu - F_nu)^2."""
    points = np.array([-0.8, -0.1, 0.3, 0.9])
    gaps = np.diff(points)
    for others in ([0, 1, 2, 3], [0, 0, 2, 3], [3, 3, 3, 3]):
        cloud = points[others]
        particles = tuple(torch.full((4, 1), float(y), dtype=torch.float64) for y in cloud)
        average = energy_distance.rows(particles, torch.from_numpy(points[:, None].copy())).mean().item()
        found = average - np.abs(points[:, None] - points[None]).mean()
        nu = np.bincount(others, minlength=4) / 4
        expected = 2.0 * ((np.cumsum(np.full(4, 0.25) - nu)[:-1] ** 2) * gaps).sum()
        assert found == pytest.approx(expected, abs=1e-5)
        assert bool(expected > 1e-3) is (others != [0, 1, 2, 3])


def test_the_wasserstein_distance_is_bounded_by_total_variation() -> None:
    """Section 4: W <= D |mu - nu|_TV on a space of diameter D; and the certificate's W is never below the true one."""
    rng = np.random.Generator(np.random.Philox(6))
    for _ in range(50):
        points = rng.uniform(-1, 1, 4)
        mu, nu = (weights / weights.sum() for weights in rng.uniform(0, 1, (2, 4)))
        found = float(transport(mu[None], nu[None], points[None, :, None])[0])
        assert wasserstein(points, mu, nu) - 1e-12 <= found
        assert found <= np.ptp(points) * 0.5 * np.abs(mu - nu).sum() + 1e-12
    two = np.array([0.0, 2.0]), np.array([0.3, 0.7]), np.array([0.8, 0.2])
    assert transport(two[1][None], two[2][None], two[0][None, :, None])[0] == pytest.approx(wasserstein(*two))
