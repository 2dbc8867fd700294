"""Appendix D.2, demand response: equations (10) to (13) and every printed number; the mean field as information state."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.streams import seed_bytes
from dadc_net.planning.demand_response import MeanFieldModel
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.demand_response import DemandResponse, DemandResponseParameters

DRAWS = 2000
D = ((F(25, 100), F(75, 100)), (F(375, 1000), F(625, 1000)))
ZETA = (F(7, 10), F(3, 10))
NOTHING, ZERO, ONE = 0, 1, 2
"""The empty action, 0 and 1, as the environment numbers them."""
EPSILON = {ZERO: F(2, 10), ONE: F(2, 10)}
COST = {NOTHING: F(0), ZERO: F(1, 10), ONE: F(2, 10)}


def kernel(state: int, action: int) -> tuple[F, F]:
    """(10): D; (11): (1 - eps_1) [1 0; 1 0] + eps_1 D; (12): (1 - eps_2) [0 1; 0 1] + eps_2 D."""
    if action == NOTHING:
        return D[state]
    forced = (F(1), F(0)) if action == ZERO else (F(0), F(1))
    slip = EPSILON[action]
    off, on = ((1 - slip) * sure + slip * natural for sure, natural in zip(forced, D[state], strict=True))
    return off, on


def reward(states: tuple[int, ...], actions: tuple[int, ...]) -> float:
    """(13): R_t = -(1/n sum_i (c_0 1{A = 0} + c_1 1{A = 1}) + KL(M_t || zeta)), with 0 log 0 = 0."""
    n = len(states)
    cost = sum((COST[a] for a in actions), F(0)) / n
    field = (F(states.count(0), n), F(states.count(1), n))
    divergence = sum(float(m) * math.log(m / z) for m, z in zip(field, ZETA, strict=True) if m > 0)
    return -(float(cost) + divergence)


@pytest.mark.parametrize(("state", "action"), list(product((0, 1), (NOTHING, ZERO, ONE))))
def test_equations_10_to_12_a_load_moves_as_printed(state: int, action: int) -> None:
    """Equations (10), (11), (12): by exact counting over evenly spaced draws, for one load in every state and action."""
    environment = DemandResponse(DemandResponseParameters(agents=1), DRAWS)
    environment.restore({"states": np.full((DRAWS, 1), state)})
    draws = (np.arange(DRAWS)[:, None] + 0.5) / DRAWS
    after = environment.advance(np.full((DRAWS, 1), action), np.zeros(DRAWS, dtype=bool), draws).observations
    assert F(int(after.sum()), DRAWS) == kernel(state, action)[1]
    assert sum(kernel(state, action)) == 1


def test_the_three_actions_differ() -> None:
    """The negative control: the six rows of (10) to (12) are six laws, so that no two actions could be exchanged."""
    assert len({kernel(state, action) for state, action in product((0, 1), (NOTHING, ZERO, ONE))}) == 6


def test_equation_13_the_reward() -> None:
    """Equation (13): for all states and actions of three loads; M_t is before the loads move, logarithms are natural."""
    cases = list(product(product((0, 1), repeat=3), product((NOTHING, ZERO, ONE), repeat=3)))
    environment = DemandResponse(DemandResponseParameters(agents=3), len(cases))
    environment.restore({"states": np.array([states for states, _ in cases])})
    actions = np.array([actions for _, actions in cases])
    found = environment.advance(actions, np.zeros(len(cases), dtype=bool), np.full((len(cases), 3), 0.5))
    expected = [reward(*case) for case in cases]
    assert found.rewards == pytest.approx(expected, abs=1e-8)
    moved = found.observations[:, :, 0].tolist()
    late = [reward(tuple(after), acted) for after, (_, acted) in zip(moved, cases, strict=True)]
    assert not np.allclose(found.rewards, late, atol=1e-3)  # KL of M_{t+1} would be another reward


def test_the_divergence_is_zero_at_the_target_and_nowhere_else() -> None:
    """(13): KL(M_t || zeta) = 0 exactly when M_t = zeta; its ends are log 1/0.7 and log 1/0.3."""
    found = DemandResponseParameters().divergences()
    assert np.flatnonzero(np.abs(found) < 1e-7).tolist() == [30]
    assert found[[0, 100]] == pytest.approx([math.log(1 / 0.7), math.log(1 / 0.3)], abs=1e-8)
    assert (found > -1e-9).all()


def test_every_printed_number() -> None:
    """D.2: n = 100, P_0 = [1/3, 2/3], D, c_0 = 0.1, c_1 = 0.2, zeta = [0.7, 0.3], eps_1 = eps_2 = 0.2, gamma = 0.9."""
    config = resolve("demand-response")
    p = config.parameters
    assert p.agents == config.settings.num_agents == 100
    assert p.initial_on_probability == 2 / 3
    assert p.natural_on_probabilities == (float(D[0][1]), float(D[1][1]))
    assert (p.off_cost, p.on_cost) == (0.1, 0.2)
    assert p.target_on_share == 0.3
    assert (p.off_slip, p.on_slip) == (0.2, 0.2)
    assert config.settings.discount == 0.9


def test_the_initial_states_are_drawn_from_p_0() -> None:
    """D.2: P_0 = [1/3, 2/3], by exact counting."""
    environment = DemandResponse(DemandResponseParameters(agents=1), 3000)
    draws = (np.arange(3000)[:, None] + 0.5) / 3000
    begun = environment.advance(np.zeros((3000, 1), dtype=np.int64), np.ones(3000, dtype=bool), draws)
    assert F(int(begun.observations.sum()), 3000) == F(2, 3)


def test_the_next_mean_field_depends_on_the_mean_field_alone() -> None:
    """E.2: "the common observation (which is the mean field) itself acts as an information state".

    Three loads, a symmetric prescription: the law of the next count is the same for all states with the same count, and is
    the planner's. With a prescription that tells loads apart it would not be (the negative control).
    """
    q = [float(kernel(0, ONE)[1]), float(kernel(1, ZERO)[1])]
    model = MeanFieldModel(DemandResponseParameters(agents=3), 0.9)
    for states in product((0, 1), repeat=3):
        law = np.zeros(4)
        for after in product((0, 1), repeat=3):
            law[sum(after)] += math.prod(q[s] if up else 1 - q[s] for s, up in zip(states, after, strict=True))
        assert model.row(sum(states), np.array(q)) == pytest.approx(law, abs=1e-9)
    apart = (ONE, NOTHING, NOTHING)
    means = {sum(kernel(s, a)[1] for s, a in zip(states, apart, strict=True)) for states in ((1, 0, 0), (0, 0, 1))}
    assert len(means) == 2


def test_no_state_approximator_is_learned() -> None:
    """E.2: "we do not need a State approximator": x_t is a function of the present M_t alone, and has no parameters."""
    settings = resolve("demand-response", ["env.agents=4", "learner.num_envs=2", "learner.batch_steps=4"]).settings
    seen = []
    for past in ([1, 4], [0, 2]):
        learner = Coordinator(settings, seed_bytes(7))
        assert learner.approximator.group.size == 0
        for t, counts in enumerate((past, [3, 0])):
            z = np.array(counts)[:, None]
            zero, begin = np.zeros(2), np.full(2, t == 0)
            ais = learner.receive(CommonRecord(t, z, zero, begin, np.zeros(2, dtype=np.uint8))).ais
        seen.append(ais.copy())
    assert np.array_equal(seen[0], seen[1])
    assert seen[0][0, 0] > seen[0][1, 0]
