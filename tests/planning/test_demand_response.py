"""The demand-response program: pinned optima, brute force over joint states, the limit, and valuing rules."""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.demand_response import MeanFieldModel, envelope
from dadc_net.planning.demand_response_plan import DemandResponsePlan
from dadc_net.planning.mean_field_limit import limit_value
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.planning.planners import NoPlan, plan
from dadc_net.team.demand_response import DETERMINISTIC, DemandResponseParameters
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.tasks import TASKS

Array = NDArray[np.float64]
PAPER = DemandResponseParameters()
ODD = DemandResponseParameters(
    agents=4,
    natural_on_probabilities=(0.3, 0.9),
    off_slip=0.1,
    on_slip=0.35,
    off_cost=0.3,
    on_cost=0.05,
    target_on_share=0.55,
    initial_on_probability=0.2,
)


@pytest.mark.parametrize(
    ("prescriptions", "optimum", "tolerance"), [("deterministic", -1.042541, 1e-5), ("randomised", -0.97007, 2e-5)]
)
def test_pinned_optima(prescriptions: str, optimum: float, tolerance: float) -> None:
    found = plan(TASKS["demand-response"], PAPER, "", 0.9, prescriptions)
    assert found.value == pytest.approx(optimum, abs=tolerance)
    assert found.residual < 1e-8
    assert f"V* = {found.value:.6f}" in found.text
    assert found.extra["doing_nothing"] == pytest.approx(-2.9006, abs=1e-4)
    assert found.random < found.extra["doing_nothing"] < found.value


def brute_force(p: DemandResponseParameters, discount: float, rules: list[Array]) -> float:
    """Value iteration over all 2^n joint states, one of ``rules`` [2, 3] for all loads, chosen by how many are on."""
    n = p.agents
    joint = np.array(list(product((0, 1), repeat=n)))
    on = joint.sum(axis=1)
    natural = p.natural_on_probabilities
    value = np.zeros(len(joint))
    kernels, rewards = [], []
    for rule in rules:
        chance = np.zeros((len(joint), n))
        cost = np.zeros(len(joint))
        for state, action in product(range(2), range(3)):
            up = {0: natural[state], 1: p.off_slip * natural[state], 2: 1 - p.on_slip + p.on_slip * natural[state]}
            chance += (joint == state) * rule[state, action] * up[action]
            cost += (joint == state).sum(axis=1) * rule[state, action] * (0.0, p.off_cost, p.on_cost)[action] / n
        kernels.append(np.where(joint[None] == 1, chance[:, None], 1 - chance[:, None]).prod(axis=2))
        divergence = np.zeros(len(joint))
        for share, goal in ((1 - on / n, 1 - p.target_on_share), (on / n, p.target_on_share)):
            divergence += [0.0 if s == 0 else s * math.log(s / goal) for s in share.tolist()]
        rewards.append(-(cost + divergence))
    for _ in range(400):
        scores = np.stack([r + discount * (k @ value) for r, k in zip(rewards, kernels, strict=True)])
        # The rule may depend on the mean field only: all joint states with as many loads on agree on one.
        for count in range(n + 1):
            same = on == count
            value[same] = scores[scores[:, same].sum(axis=1).argmax()][same]
    start = np.where(joint == 1, p.initial_on_probability, 1 - p.initial_on_probability).prod(axis=1)
    return float(start @ value)


@pytest.mark.parametrize("parameters", [DemandResponseParameters(agents=5), ODD])
def test_deterministic_optimum_against_brute_force(parameters: DemandResponseParameters) -> None:
    rules = [np.eye(3)[[a, b]] for a, b in product(range(3), repeat=2)]
    found = MeanFieldModel(parameters, 0.8).deterministic().start_value
    assert found == pytest.approx(brute_force(parameters, 0.8, rules), abs=1e-7)


@pytest.mark.parametrize("parameters", [DemandResponseParameters(agents=3), ODD])
def test_randomised_optimum_against_brute_force_on_a_lattice(parameters: DemandResponseParameters) -> None:
    """Every mixture in steps of 1/16: at most as good as the optimum, and nearly so."""
    steps = np.arange(17) / 16
    rows = [np.array([1 - a - b, a, b]) for a, b in product(steps, repeat=2) if a + b <= 1 and (a == 0 or b == 0)]
    lattice = brute_force(parameters, 0.8, [np.stack(pair) for pair in product(rows, repeat=2)])
    found = MeanFieldModel(parameters, 0.8).randomised()
    assert lattice <= found.start_value + 1e-7
    assert found.start_value - lattice < 1e-3


def test_no_rule_nearby_is_better() -> None:
    """Perturbing the optimal rule anywhere, in all six probabilities, never gains."""
    model = MeanFieldModel(DemandResponseParameters(agents=12), 0.9)
    best = model.randomised()
    rng = np.random.Generator(np.random.Philox(3))
    for scale in (0.001, 0.03, 0.5):
        for _ in range(20):
            other = rng.dirichlet(np.ones(3), size=(13, 2))
            moved = (1 - scale) * best.prescriptions + scale * other
            assert (model.policy_value(moved) <= best.value + 1e-9).all()
    assert np.allclose(model.policy_value(best.prescriptions), best.value, atol=1e-10)


def test_kernel_rows_are_laws_and_have_the_mean_they_should() -> None:
    model = MeanFieldModel(DemandResponseParameters(agents=30), 0.9)
    for on, q in ((0, [0.2, 0.9]), (30, [0.2, 0.9]), (11, [0.0, 1.0]), (11, [0.4, 0.6])):
        law = model.row(on, np.array(q))
        assert law.sum() == pytest.approx(1.0, abs=1e-12)
        assert law @ np.arange(31) == pytest.approx((30 - on) * q[0] + on * q[1], abs=1e-9)


def test_an_envelope_leaves_out_what_a_mixture_undercuts() -> None:
    curve = envelope(np.array([0.5, 0.1, 0.9]), np.array([0.0, 0.1, 0.2]))
    assert curve.actions.tolist() == [1, 0, 2]
    dear = envelope(np.array([0.5, 0.1, 0.9]), np.array([0.4, 0.1, 0.2]))
    assert dear.actions.tolist() == [1, 2]
    mixture = dear.mixture(np.array([0.1, 0.5]))
    assert mixture.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]
    assert float(mixture[1] @ [0.4, 0.1, 0.2]) == pytest.approx(dear.least_cost(np.array(0.5)))


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_optimum_approaches_the_infinite_population(deterministic: bool) -> None:
    limit = limit_value(PAPER, 0.9, deterministic)
    gaps = []
    for agents in (20, 80):
        model = MeanFieldModel(DemandResponseParameters(agents=agents), 0.9)
        gaps.append(limit - (model.deterministic() if deterministic else model.randomised()).start_value)
    assert gaps[0] > gaps[1] > 0.0
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.4)


class TableRule:
    """Plays theta[number on]; says that it has a memory, or not."""

    def __init__(self, theta: Array | NDArray[np.int64], is_memoryless: bool) -> None:
        self.theta, self.is_memoryless = theta, is_memoryless

    def begin(self, copies: int) -> None:
        self.copies = copies

    def choose(self, common: NDArray[np.int64]) -> Array | NDArray[np.int64]:
        return self.theta[common[:, 0]]


def test_a_rule_is_valued_exactly_by_differences_and_by_plain_returns_alike() -> None:
    parameters = DemandResponseParameters(agents=20)
    found = DemandResponsePlan(parameters, 0.9, "randomised")
    family = GibbsFamily(name="randomised", tables=1, local_values=2, num_actions=3, bound=5.0)
    theta = np.random.Generator(np.random.Philox(5)).normal(size=(21, 6))
    stream = Stream("value", seed_bytes(1))
    exact = found.estimate(family, TableRule(theta, True), 2, stream)
    sampled = found.estimate(family, TableRule(theta, False), 600, stream)
    assert exact.stderr == 0.0
    assert abs(sampled.value - exact.value) < 4 * sampled.stderr
    assert 0.0 < sampled.stderr < 0.05
    plain = monte_carlo(
        TASKS["demand-response"], parameters, family, 0.9, TableRule(theta, True), 500, stream, Stream("a", seed_bytes(1))
    )
    assert abs(plain.value - exact.value) < 4 * plain.stderr


def test_an_optimal_rule_has_no_gap_and_no_variance() -> None:
    found = DemandResponsePlan(DemandResponseParameters(agents=20), 0.9, "deterministic")
    entries = np.array([[3 * row[0].argmax() + row[1].argmax()] for row in found.solution.prescriptions])[:, 0]
    for memoryless in (True, False):
        value = found.estimate(DETERMINISTIC, TableRule(entries, memoryless), 50, Stream("value", seed_bytes(1)))
        assert value.value == pytest.approx(found.solution.start_value, abs=1e-9)
        assert value.stderr == pytest.approx(0.0, abs=1e-9)


def test_the_random_coordinator_is_an_average_over_entries() -> None:
    found = DemandResponsePlan(DemandResponseParameters(agents=6), 0.9, "deterministic")
    stream, private = Stream("random", seed_bytes(2)), Stream("random/agents", seed_bytes(2))
    draws = np.random.Generator(np.random.Philox(1))
    rule = SimpleNamespace(begin=lambda n: None, choose=lambda z: draws.integers(0, 9, len(z)), is_memoryless=False)
    parameters = DemandResponseParameters(agents=6)
    plain = monte_carlo(TASKS["demand-response"], parameters, DETERMINISTIC, 0.9, rule, 3000, stream, private)
    assert abs(plain.value - found.random) < 4 * plain.stderr


def test_prescriptions_that_differ_between_loads_have_no_plan() -> None:
    with pytest.raises(NoPlan, match="one-each"):
        plan(TASKS["demand-response"], PAPER, "", 0.9, "one-each")


def test_the_text_adds_up() -> None:
    lines = DemandResponsePlan(DemandResponseParameters(agents=15), 0.9, "randomised").text().splitlines()
    shares = [float(line.split("%")[0]) for line in lines if line.lstrip()[:1].isdigit()]
    assert sum(shares) == pytest.approx(100.0, abs=0.6)
    assert "infinite population" in lines[3]
