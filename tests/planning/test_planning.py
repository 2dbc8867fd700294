"""The planner: pinned optima, an independent check, and estimators that must agree with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.evaluation import blind_value, performance_difference, random_value, round_robin_value
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.planning.multi_access_broadcast import build_model
from dadc_net.planning.planners import Plan, plan
from dadc_net.planning.policy_text import visit_shares
from dadc_net.planning.value_iteration import policy_value, solve
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcast, MultiAccessBroadcastParameters
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tasks import TASKS

PAPER = MultiAccessBroadcastParameters()


def streams(seed: int) -> tuple[Stream, Stream]:
    """What moves an environment, and what agents draw with."""
    return Stream("plain", seed_bytes(seed)), Stream("plain/agents", seed_bytes(seed))


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan(TASKS["mabc"], PAPER, "paper", 0.9)


@pytest.mark.parametrize(
    ("menu", "busy", "optimum"),
    [("paper", 0.0, 0.868426), ("all", 0.0, 1.112973), ("paper", 0.5, 0.615989), ("all", 0.5, 0.878824)],
)
def test_pinned_optima(menu: str, busy: float, optimum: float) -> None:
    found = plan(TASKS["mabc"], MultiAccessBroadcastParameters(initial_busy_probability=busy), menu, 0.9)
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
    plain = monte_carlo(TASKS["mabc"], PAPER, MENUS["paper"], 0.9, rule, 4000, *streams(1))
    assert abs(low.value - 0.82198) < 4 * low.stderr + 1e-4
    assert abs(plain.value - 0.82198) < 4 * plain.stderr
    assert low.stderr * 400**0.5 < 0.2 * plain.stderr * 4000**0.5


def test_the_optimal_rule_earns_the_optimum_in_the_real_environment(paper: Plan) -> None:
    found = monte_carlo(TASKS["mabc"], PAPER, MENUS["paper"], 0.9, Optimal(paper), 6000, *streams(2))
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


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("stay", [(0.75, 0.75), (1.0, 1.0)])
def test_bounds_reach_the_same_fixed_point_as_plain_iteration(discount: float, stay: tuple[float, float]) -> None:
    parameters = MultiAccessBroadcastParameters(stay_probabilities=stay, initial_busy_probability=0.5)
    model = build_model(parameters, "paper")
    found = solve(model, discount)
    plain = np.zeros(len(model.reward))
    for _ in range(int(30 / (1 - discount))):
        plain = (model.reward + discount * model.expected(plain)).max(axis=1)
    assert np.abs(found.value - plain).max() < 1e-9
    assert found.residual <= 1e-10


def test_patience_costs_no_iterations() -> None:
    """Plain iteration needs 24,828 for this discount."""
    found = plan(TASKS["mabc"], PAPER, "all", 0.999)
    assert found.solution.iterations < 300
    assert found.value == pytest.approx(106.382510, abs=1e-5)


def test_ties_go_to_the_lowest_index(paper: Plan) -> None:
    q = np.array([[1.0, 2.0, 2.0 + 1e-15], [3.0, 3.0, 3.0], [0.0, 1.0, 1.1]])
    assert replace(paper.solution, q=q, value=q.max(axis=1)).best().tolist() == [1, 0, 2]
    assert paper.solution.best()[paper.model.start] == 0  # nobody has a packet: all prescriptions are equally good


def followed(plan_: Plan, choose: Callable[[int], NDArray[np.float64]]) -> float:
    """Value of an open-loop randomised rule by following the law of the belief forwards: choose(t) -> weights [M]."""
    model = plan_.model
    value, law = 0.0, np.eye(len(model.beliefs))[model.start]
    for t in range(260):
        joint = law[:, None] * choose(t)[None, :]
        value += 0.9**t * float((joint * model.reward).sum())
        mass = joint[:, :, None] * model.probability
        law = np.bincount(model.next_belief.reshape(-1), weights=mass.reshape(-1), minlength=len(law)).astype(float)
    return value


def test_exact_values_of_simple_rules_agree_with_following_the_belief(paper: Plan) -> None:
    model = paper.model
    for cycle in [(0,), (1,), (2,), (0, 1), (1, 0), (0, 1, 1), (2, 1, 0, 1)]:
        expected = followed(paper, lambda t, cycle=cycle: np.eye(3)[cycle[t % len(cycle)]])  # type: ignore[misc]
        assert blind_value(model, 0.9, cycle) == pytest.approx(expected, abs=1e-9)
    assert random_value(model, 0.9) == pytest.approx(followed(paper, lambda t: np.full(3, 1 / 3)), abs=1e-9)
    assert round_robin_value(model, 0.9) == max(blind_value(model, 0.9, (0, 1)), blind_value(model, 0.9, (1, 0)))
    assert blind_value(model, 0.9, (1,)) == pytest.approx(0.6039, abs=1e-4)
    assert blind_value(model, 0.9, (2,)) == pytest.approx(-4.9069, abs=1e-4)
    assert blind_value(model, 0.9, (1, 0)) == pytest.approx(0.7647, abs=1e-4)


class Random:
    """The uniformly random coordinator."""

    def begin(self, copies: int) -> None:
        self.stream, self.t = Stream("coordinator", seed_bytes(5)), 0

    def choose(self, common: NDArray[np.int64]) -> NDArray[np.int64]:
        self.t += 1
        chosen: NDArray[np.int64] = (3 * self.stream.uniforms(self.t, 1, len(common))[0]).astype(np.int64)
        return chosen


def test_both_estimators_are_unbiased_for_a_random_rule(paper: Plan) -> None:
    stream = Stream("evaluation", seed_bytes(3))
    low = performance_difference(paper.model, paper.solution, 0.9, Random(), 1000, stream)
    plain = monte_carlo(TASKS["mabc"], PAPER, MENUS["paper"], 0.9, Random(), 2000, *streams(3))
    assert abs(low.value - paper.random) < 4 * low.stderr
    assert abs(plain.value - paper.random) < 4 * plain.stderr


def calibration(model: CoordinatedModel, parameters: MultiAccessBroadcastParameters, menu: str) -> float:
    """Largest standardised distance between the model's probabilities and frequencies in the real environment.

    Random prescriptions; at each belief that occurs often, the hidden state against the belief, and the common outcomes
    against ``probability``.
    """
    copies, steps = 4000, 6
    environment = MultiAccessBroadcast(parameters, copies)
    stream, entries = Stream("environment", seed_bytes(11)), len(model.prescriptions)
    belief, chosen = np.full(copies, model.start), np.zeros(copies, dtype=np.int64)
    action = np.zeros((copies, 2), dtype=np.int64)
    worst = 0.0
    for t in range(steps):
        outcome = environment.advance(action, np.full(copies, t == 0), stream.uniforms(t, copies, 3))
        if t > 0:
            common = np.concatenate((action, outcome.public), axis=1)
            seen = (common[:, None, :] == model.outcomes[None]).all(axis=2).argmax(axis=1)
            for group in np.unique(belief * entries + chosen):
                rows = belief * entries + chosen == group
                law = model.probability[group // entries, group % entries]
                worst = max(worst, _distance(seen[rows, None] == np.arange(len(law)), law))
            belief = model.next_belief[belief, chosen, seen]
        hidden = np.concatenate((environment.state()["busy"][:, None], outcome.observations[:, :, 0]), axis=1)
        for group in np.unique(belief):
            worst = max(worst, _distance(hidden[belief == group], model.beliefs[group]))
        chosen = (entries * stream.uniforms(1000 + t, 1, copies)[0]).astype(np.int64)
        action = MENUS[menu].draw(chosen, np.array([1, 2]), outcome.observations[:, :, 0])
    return worst


def _distance(samples: NDArray[Any], law: NDArray[np.float64]) -> float:
    """Largest distance of sample means [n, c] from probabilities [c] in standard errors; small groups count nothing."""
    if len(samples) < 100:
        return 0.0
    error = np.sqrt(law * (1.0 - law) / len(samples)) + 1e-4
    return float((np.abs(samples.mean(axis=0) - law) / error).max())


@pytest.mark.parametrize(("menu", "busy"), [("paper", 0.0), ("all", 0.5)])
def test_the_environment_agrees_with_the_belief_model(menu: str, busy: float) -> None:
    parameters = MultiAccessBroadcastParameters(initial_busy_probability=busy)
    assert calibration(build_model(parameters, menu), parameters, menu) < 5.0


@pytest.mark.parametrize("slip", [{"arrival_probabilities": (0.3, 0.5)}, {"stay_probabilities": (0.75, 0.55)}])
def test_a_model_of_another_environment_is_noticed(slip: dict[str, Any]) -> None:
    assert calibration(build_model(replace(PAPER, **slip), "all"), PAPER, "all") > 7.0


def test_too_many_beliefs_are_told_apart_by_fewer_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = build_model(PAPER, "paper", digits=9)
    assert fine.rounding == 1e-9
    monkeypatch.setattr("dadc_net.planning.multi_access_broadcast._MOST_BELIEFS", 700)
    coarse = build_model(PAPER, "paper")
    assert coarse.rounding == 1e-4
    assert len(coarse.beliefs) <= 700
    values = [float(solve(model, 0.9).value[model.start]) for model in (fine, coarse)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    monkeypatch.setattr("dadc_net.planning.multi_access_broadcast._MOST_BELIEFS", 50)
    with pytest.raises(ConfigError, match="more than 50 beliefs"):
        build_model(PAPER, "paper")


def test_shares_of_time_add_up_and_explain_the_optimum(paper: Plan) -> None:
    for discount in (0.9, 0.999):
        solution = solve(paper.model, discount)
        shares = visit_shares(paper.model, solution, discount)
        assert shares.sum() == pytest.approx(1.0, abs=1e-12)
        earned = paper.model.reward[np.arange(len(shares)), solution.best()]
        value = float(shares @ earned) / (1.0 - discount)
        assert value == pytest.approx(float(solution.value[paper.model.start]), abs=1e-6)


ONE = FiniteSpace((1,))


class Ends:
    """One agent, reward 1 a step, over after three steps; refuses to be stepped past its end."""

    spec = EnvironmentSpec(
        name="ends", agents=equal_agents(1, ONE, ONE), public_space=ONE, draws_per_step=0
    )

    def __init__(self, num_envs: int) -> None:
        self.num_envs, self.age = num_envs, 0

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        assert begin[0] or self.age < 3
        self.age = 0 if begin[0] else self.age + 1
        rewards = np.full(self.num_envs, 0.0 if begin[0] else 1.0)
        ended = np.full(self.num_envs, 2 if self.age == 3 else 0, dtype=np.uint8)
        zeros = np.zeros((self.num_envs, 1), dtype=np.int64)
        return Outcome(zeros[:, None], zeros, rewards, ended)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"age": np.array(self.age)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.age = int(state["age"])


def test_plain_returns_stop_where_the_environment_ends() -> None:
    menu = PrescriptionMenu("only", ("wait",), (((0,),),))
    task = replace(TASKS["mabc"], make=lambda parameters, copies: Ends(copies), menus={"only": menu})
    found = monte_carlo(task, None, menu, 0.5, Fixed(0), 4, *streams(0), steps=12)
    assert found == (1.0 + 0.5 + 0.25, 0.0)


def test_the_text_says_where_the_rule_is_indifferent_and_adds_up(paper: Plan) -> None:
    lines = [line for line in paper.text.splitlines() if line.lstrip()[:1].isdigit()]
    assert sum(float(line.split("%")[0]) for line in lines) == pytest.approx(100.0, abs=0.5)
    at_start = next(line for line in lines if "P(buffer 2 full) = 0.000" in line)
    assert "agent 1 may transmit (next best: agent 2 may transmit, as good)" in at_start
    assert lines[-1].endswith("elsewhere")


def test_the_text_names_optimum_and_rule(paper: Plan) -> None:
    assert "0.868426" in paper.text
    assert "agent 2 may transmit" in paper.text
    assert "next best" in paper.text
