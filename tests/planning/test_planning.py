"""The planner: pinned optima, an independent check, and estimators that must agree with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.evaluation import performance_difference
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.planning.multi_access_broadcast import build_model
from dadc_net.planning.planners import Plan, plan
from dadc_net.planning.value_iteration import policy_value, solve
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcastParameters
from dadc_net.team.tasks import TASKS

PAPER = MultiAccessBroadcastParameters()


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan("mabc", PAPER, "paper", 0.9)


@pytest.mark.parametrize(
    ("menu", "busy", "optimum"),
    [("paper", 0.0, 0.868426), ("all", 0.0, 1.112973), ("paper", 0.5, 0.615989), ("all", 0.5, 0.878824)],
)
def test_pinned_optima(menu: str, busy: float, optimum: float) -> None:
    found = plan("mabc", MultiAccessBroadcastParameters(initial_busy_probability=busy), menu, 0.9)
    assert found.value == pytest.approx(optimum, abs=1e-5)
    assert found.residual < 1e-6


def test_pinned_references(paper: Plan) -> None:
    assert paper.round_robin == pytest.approx(0.8220, abs=1e-4)
    assert paper.random == pytest.approx(-0.5587, abs=1e-4)


def _worlds(p: MultiAccessBroadcastParameters) -> dict[tuple[int, int, int], float]:
    busy = p.initial_busy_probability
    return {(s, 0, 0): w for s, w in ((0, 1 - busy), (1, busy)) if w > 0}


def _successors(
    p: MultiAccessBroadcastParameters, state: tuple[int, int, int], action: tuple[int, int]
) -> Iterator[tuple[tuple[int, int, int], float]]:
    s, b1, b2 = state
    success = sum(action) == 1 and s == 0
    stay = p.stay_probabilities[s]
    for w1, w2, moved in itertools.product((0, 1), (0, 1), (0, 1)):
        weight = stay if moved == s else 1 - stay
        for w, q in zip((w1, w2), p.arrival_probabilities, strict=True):
            weight *= q if w else 1 - q
        after = [min(b - a * success + w, 1) for b, a, w in zip((b1, b2), action, (w1, w2), strict=True)]
        yield (moved, after[0], after[1]), weight


def brute_force(p: MultiAccessBroadcastParameters, entries: int, horizon: int, new_channel: bool = False) -> float:
    """Optimal finite-horizon value by exhaustive search over histories of joint states; shares no code with the planner."""
    tables = MENUS["all"].table()[:entries]

    def best(belief: dict[tuple[int, int, int], float], steps: int) -> float:
        if steps == 0:
            return 0.0
        return max(value_of(belief, m, steps) for m in range(entries))

    def value_of(belief: dict[tuple[int, int, int], float], m: int, steps: int) -> float:
        reward = 0.0
        seen: dict[tuple[int, int, int], dict[tuple[int, int, int], float]] = {}
        for state, weight in belief.items():
            action = (int(tables[m, 0, state[1]]), int(tables[m, 1, state[2]]))
            symbol = state[0] if sum(action) else 2
            group = seen.setdefault((*action, symbol), {})
            for after, chance in _successors(p, state, action):
                group[after] = group.get(after, 0.0) + weight * chance
                channel = after[0] if new_channel else state[0]
                gain = p.success_reward * (sum(action) == 1 and channel == 0) - p.transmission_cost * sum(action)
                reward += weight * chance * gain
        future = 0.0
        for group in seen.values():
            total = sum(group.values())
            if total > 0:
                future += total * best({s: w / total for s, w in group.items()}, steps - 1)
        return reward + 0.9 * future

    return best(_worlds(p), horizon)


def finite_horizon(p: MultiAccessBroadcastParameters, menu: str, horizon: int) -> float:
    """The same value from the planner's model."""
    model = build_model(p, menu)
    value = np.zeros(len(model.beliefs))
    for _ in range(horizon):
        value = (model.reward + 0.9 * model.expected(value)).max(axis=1)
    return float(value[model.start])


@pytest.mark.parametrize("menu", ["paper", "all"])
@pytest.mark.parametrize("busy", [0.0, 0.3, 1.0])
def test_model_agrees_with_exhaustive_search(menu: str, busy: float) -> None:
    p = MultiAccessBroadcastParameters(
        stay_probabilities=(0.8, 0.6),
        arrival_probabilities=(0.35, 0.5),
        transmission_cost=0.25,
        initial_busy_probability=busy,
    )
    entries = 3 if menu == "paper" else 4
    assert finite_horizon(p, menu, 4) == pytest.approx(brute_force(p, entries, 4), abs=1e-4)


def test_exhaustive_search_notices_the_wrong_channel() -> None:
    """The check above can fail: with the reward taken from the new channel state the values differ."""
    assert abs(finite_horizon(PAPER, "paper", 4) - brute_force(PAPER, 3, 4, new_channel=True)) > 0.01


def test_probabilities_sum_to_one(paper: Plan) -> None:
    assert np.allclose(paper.model.probability.sum(axis=2), 1.0, atol=1e-12)


class Fixed:
    """A rule that repeats a cycle."""

    def __init__(self, *cycle: int) -> None:
        self.cycle = cycle

    def begin(self, copies: int) -> None:
        self.t = 0

    def choose(self, common: NDArray[np.int64]) -> NDArray[np.int64]:
        chosen = self.cycle[self.t % len(self.cycle)]
        self.t += 1
        return np.full(len(common), chosen)


class Optimal:
    """Follows the model's belief through the observations and plays the optimal prescription."""

    def __init__(self, found: Plan) -> None:
        self.found = found

    def begin(self, copies: int) -> None:
        self.belief = np.full(copies, self.found.model.start)
        self.last: NDArray[np.int64] | None = None

    def choose(self, common: NDArray[np.int64]) -> NDArray[np.int64]:
        model = self.found.model
        if self.last is not None:
            outcome = (common[:, None, :] == model.outcomes[None]).all(axis=2).argmax(axis=1)
            self.belief = model.next_belief[self.belief, self.last, outcome]
        self.last = self.found.solution.best()[self.belief]
        return self.last


def test_the_optimal_rule_has_no_gap_at_all(paper: Plan) -> None:
    stream = Stream("evaluation", seed_bytes(0))
    found = performance_difference(paper.model, paper.solution, 0.9, Optimal(paper), 50, stream)
    assert found.value == pytest.approx(paper.value, abs=1e-12)
    assert found.stderr < 1e-12


def test_the_estimator_agrees_with_exact_values_and_beats_plain_returns(paper: Plan) -> None:
    stream = Stream("evaluation", seed_bytes(1))
    rule = Fixed(0, 1)
    low = performance_difference(paper.model, paper.solution, 0.9, rule, 400, stream)
    plain = monte_carlo(TASKS["mabc"], PAPER, "paper", 0.9, rule, 4000, Stream("plain", seed_bytes(1)))
    assert abs(low.value - 0.82198) < 4 * low.stderr + 1e-4
    assert abs(plain.value - 0.82198) < 4 * plain.stderr
    assert low.stderr * 400**0.5 < 0.2 * plain.stderr * 4000**0.5


def test_the_optimal_rule_earns_the_optimum_in_the_real_environment(paper: Plan) -> None:
    found = monte_carlo(TASKS["mabc"], PAPER, "paper", 0.9, Optimal(paper), 6000, Stream("plain", seed_bytes(2)))
    assert abs(found.value - paper.value) < 4 * found.stderr
    assert found.stderr < 0.02


def test_policy_value_of_the_optimal_rule_is_the_optimum(paper: Plan) -> None:
    best = paper.solution.best()
    weights = np.eye(3)[best]
    assert policy_value(paper.model, 0.9, weights) == pytest.approx(paper.value, abs=1e-8)


def test_residual_bounds_the_error(paper: Plan) -> None:
    rough = solve(paper.model, 0.9, tolerance=1e-2)
    assert np.abs(rough.value - paper.solution.value).max() <= rough.residual + 1e-9
    assert rough.residual <= 1e-2


def test_the_text_names_optimum_and_rule(paper: Plan) -> None:
    assert "0.868426" in paper.text
    assert "agent 2 may transmit" in paper.text
    assert "next best" in paper.text
