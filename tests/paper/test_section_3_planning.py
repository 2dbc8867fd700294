"""Section 3: Theorem 1, Theorem 2 and the dynamic program (2), on the model of Appendix D.1.

``tests.paper.broadcast`` states that model in fractions and follows beliefs by Bayes' rule over whole joint laws; the
planner under test keeps three probabilities and rounds beliefs that are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from dadc_net.coordinator.prescription import Menu
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.multi_access_broadcast import OUTCOMES, build_model, expand
from dadc_net.planning.value_iteration import Solution, policy_value, solve
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcastParameters
from tests.paper import broadcast
from tests.paper.broadcast import ARRIVAL, COST, DISCOUNT, OPPORTUNITIES, START, Law, Seen, State

PAPER = MultiAccessBroadcastParameters()
PLACE = {tuple(outcome): place for place, outcome in enumerate(OUTCOMES.tolist())}


@pytest.fixture(scope="module", params=["paper", "all"])
def solved(request: pytest.FixtureRequest) -> tuple[str, CoordinatedModel, Solution]:
    model = build_model(PAPER, request.param)
    return request.param, model, solve(model, 0.9)


def marginals(law: Law) -> list[float]:
    """(P(busy), P(B^1 = 1), P(B^2 = 1)) of a joint law."""
    return [float(sum(weight for state, weight in law.items() if state[place])) for place in (2, 0, 1)]


def test_theorem_2_the_belief_is_updated_from_belief_prescription_and_z() -> None:
    """Theorem 2: b_{t+1} = Phi(b_t, h_t, z_t). Three bits that the planner holds apart stay independent, by Bayes' rule.

    All sequences of three prescriptions and what may be seen; the posterior is that of the joint law of (S, L^1, L^2).
    """
    menu = OPPORTUNITIES["all"]
    may = np.array(menu, dtype=np.float64)[None]

    def follow(law: Law, belief: np.ndarray, left: int) -> Iterator[None]:
        weights = broadcast.product_law(*marginals(law))
        assert all(weights[state] == pytest.approx(float(law.get(state, 0)), abs=1e-12) for state in weights)
        assert belief == pytest.approx(marginals(law), abs=1e-12)
        if left == 0:
            return
        found = expand(belief[None], PAPER, may)
        for entry, choice in enumerate(menu):
            branches = broadcast.branches(law, choice)
            assert found.reward[0, entry] == pytest.approx(float(sum(b.gain for b in branches.values())), abs=1e-12)
            for z, branch in branches.items():
                chance = found.probability[0, entry, PLACE[z]]
                assert chance == pytest.approx(float(branch.chance), abs=1e-12)
                yield
                yield from follow(branch.law, found.following[0, entry, PLACE[z]], left - 1)

    assert sum(1 for _ in follow({START: Fraction(1)}, np.zeros(3), 3)) > 100


def test_equation_2_holds_at_every_belief(solved: tuple[str, CoordinatedModel, Solution]) -> None:
    """Equation (2): V(b) = max_h E[r + gamma V(Phi(b, h, Z)) | b, h], with the model of D.1 stated independently."""
    name, model, solution = solved
    for index in range(0, len(model.beliefs), max(1, len(model.beliefs) // 40)):
        law: Law = {s: Fraction(w) for s, w in broadcast.product_law(*model.beliefs[index]).items() if w > 0.0}
        worth = []
        for entry, choice in enumerate(OPPORTUNITIES[name]):
            total = 0.0
            for z, branch in broadcast.branches(law, choice).items():
                following = model.next_belief[index, entry, PLACE[z]]
                assert model.beliefs[following] == pytest.approx(marginals(branch.law), abs=2 * model.rounding)
                total += float(branch.gain) + 0.9 * float(branch.chance) * solution.value[following]
            worth.append(total)
        assert solution.value[index] == pytest.approx(max(worth), abs=1e-8)
        assert worth[solution.best()[index]] == pytest.approx(max(worth), abs=1e-8)


def joint_paths() -> Iterator[tuple[Fraction, State, State]]:
    """Buffers are empty at t = 0, so nobody can transmit: laws of the states at t = 1."""
    for state, chance in broadcast.moves(START, (0, 0)).items():
        yield chance, START, state


def best_decentralised_policies() -> Fraction:
    """Exhaustive search over all pairs (pi^1, pi^2), pi_t^k a function of (c_t, l_t^k), for three steps; no coordinator.

    At t = 1 nothing has been seen, at t = 2 both agents have seen z; an agent decides for each of those whether it
    transmits when it has a packet. That is 2 times 2^7 policies for each agent, and every pair is valued.
    """
    seen: list[Seen] = [tuple(outcome) for outcome in OUTCOMES.tolist()]
    most = Fraction(-100)
    for first in product((0, 1), repeat=2):
        now = Fraction(0)
        later = np.full((len(seen), 2, 2), Fraction(0), dtype=object)
        for chance, _, state in joint_paths():
            action = broadcast.obey((first[0], first[1]), state)
            now += chance * broadcast.reward(action, state[2])
            place = seen.index(broadcast.seen(action, state[2]))
            for following, probability in broadcast.moves(state, action).items():
                for second in product((0, 1), repeat=2):
                    gain = broadcast.reward(broadcast.obey((second[0], second[1]), following), following[2])
                    later[place][second] += chance * probability * gain
        value = np.array([[[float(later[z][a, b]) for b in (0, 1)] for a in (0, 1)] for z in range(len(seen))])
        policies = np.array(list(product((0, 1), repeat=len(seen))))
        pairs = sum(value[z][policies[:, None, z], policies[None, :, z]] for z in range(len(seen)))
        assert np.shape(pairs) == (128, 128)
        one, two = (int(i) for i in np.unravel_index(int(np.argmax(pairs)), (128, 128)))
        exact = sum((later[z][policies[one, z], policies[two, z]] for z in range(len(seen))), Fraction(0))
        most = max(most, DISCOUNT * now + DISCOUNT**2 * exact)
    return most


def test_theorem_1_the_coordinated_optimum_is_that_of_decentralised_policies() -> None:
    """Theorem 1: an optimal coordination policy is worth as much as the best pair of decentralised policies.

    Three steps of D.1: exhaustive search over policies, the dynamic program (2) over joint laws, and the same program on the
    planner's own model agree; with the menu of E.1, which cannot say "nobody", the coordinator is worth less.
    """
    best = best_decentralised_policies()
    assert broadcast.optimum({START: Fraction(1)}, 3, OPPORTUNITIES["all"]) == best
    assert broadcast.optimum({START: Fraction(1)}, 3, OPPORTUNITIES["paper"]) < best
    for name in ("paper", "all"):
        model = build_model(PAPER, name)
        value = np.zeros(len(model.beliefs))
        for _ in range(3):
            value = (model.reward + 0.9 * model.expected(value)).max(axis=1)
        expected = broadcast.optimum({START: Fraction(1)}, 3, OPPORTUNITIES[name])
        assert value[model.start] == pytest.approx(float(expected), abs=1e-4)


def test_equation_1_the_performance_is_a_discounted_sum(solved: tuple[str, CoordinatedModel, Solution]) -> None:
    """Equation (1): J = E sum_t gamma^t R_t. Of "agent 1 may transmit, always", by powers of a chain of eight states.

    The optimum is at least that, and the planner values the rule as the sum does.
    """
    _, model, solution = solved
    states = list(product((0, 1), repeat=3))
    kernel, gains = np.zeros((8, 8)), np.zeros(8)
    for place, state in enumerate(states):
        action = broadcast.obey((1, 0), (state[0], state[1], state[2]))
        gains[place] = float(broadcast.reward(action, state[2]))
        for following, chance in broadcast.moves((state[0], state[1], state[2]), action).items():
            kernel[place, states.index(following)] += float(chance)
    law, total = np.zeros(8), 0.0
    law[states.index(START)] = 1.0
    for t in range(400):
        total += 0.9**t * float(law @ gains)
        law = law @ kernel
    weights = np.zeros(model.reward.shape)
    weights[:, 0] = 1.0
    assert policy_value(model, 0.9, weights) == pytest.approx(total, abs=1e-4)
    assert solution.value[model.start] > total + 0.1


def test_ties_are_broken_alike_by_everyone() -> None:
    """Section 3, second interpretation: all agents choose the same arg max, here the lowest index."""
    q = np.array([[0.5, 0.7, 0.7], [0.2, 0.2, 0.2]])
    assert Menu(3).greedy(q, np.zeros(0)).tolist() == [1, 0]
    assert Solution(q.max(axis=1), q, 0.0, 1).best().tolist() == [1, 0]
    shifted = Solution(q.max(axis=1), q[:, ::-1].copy(), 0.0, 1)
    assert shifted.best().tolist() == [0, 0]


def test_the_parameters_of_this_page_are_the_planners() -> None:
    """D.1, so that the tests above cannot agree about another model."""
    assert PAPER.arrival_probabilities == tuple(map(float, ARRIVAL))
    assert (PAPER.success_reward, PAPER.transmission_cost) == (1.0, float(COST))
