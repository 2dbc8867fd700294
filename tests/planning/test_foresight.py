"""Looks from farther away: bounds that fall apart by pairs of paths, and plans that rest on them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dadc_net.planning.finite import path_tightening
from dadc_net.planning.finite.foresight import Foresight
from dadc_net.planning.finite.joint_beliefs import JointBeliefs
from dadc_net.planning.finite.last_two import LastTwo
from dadc_net.planning.finite.path_tightening import Paths, Shape
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.prescription_search import PrescriptionSearch
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBelief, TeamBeliefs, fresh
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.team_by_force import cut, optimum
from tests.planning.test_finite_against_force import UNLIMITED, model_of, team

NOTHING = Sharing.from_record("no-sharing")


def drawn(rng: np.random.Generator, decisions: int, actions: int, observations: int) -> list[int]:
    """The course on each path of a random plan."""
    chosen: dict[tuple[int, ...], int] = {}
    courses = []
    for path in itertools.product(range(observations), repeat=decisions - 1):
        course = 0
        for depth in range(decisions):
            course = course * actions + chosen.setdefault(path[:depth], int(rng.integers(actions)))
        courses.append(course)
    return courses


@pytest.mark.parametrize(
    ("decisions", "actions", "observations"), [(1, (3, 2), (2, 2)), (2, (3, 2), (2, 3)), (3, (2, 3), (3, 2))]
)
def test_tightening_paths_keeps_what_plans_are_worth(
    decisions: int, actions: tuple[int, int], observations: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(decisions)
    (sees, hears), shape = (o ** (decisions - 1) for o in observations), Shape(decisions, actions, observations)
    memories = np.array([[0, 0, 1, 1, 1], [0, 2, 0, 1, 2]])
    rows = rng.normal(size=(5, sees, hears, actions[0] ** decisions, actions[1] ** decisions))
    by_fastest, by_numpy = Paths.of(rows, memories), Paths.of(rows, memories)
    bound = path_tightening.tighten_paths(by_fastest, shape, 6)
    monkeypatch.setattr(path_tightening, "best_first", path_tightening.best_first_numpy)
    monkeypatch.setattr(path_tightening, "best_second", path_tightening.best_second_numpy)
    assert path_tightening.tighten_paths(by_numpy, shape, 6) == bound
    np.testing.assert_array_equal(by_numpy.whole(), by_fastest.whole())
    assert bound == pytest.approx(by_fastest.whole().max(axis=(3, 4)).sum(), abs=1e-9)
    assert bound < 0.9 * rows.max(axis=(3, 4)).sum()

    def value(table: np.ndarray, own: list[list[int]], other: list[list[int]]) -> float:
        pairs = itertools.product(zip(range(5), *memories.tolist(), strict=True), range(sees), range(hears))
        return float(sum(table[t, p, q, own[i][p], other[m][q]] for (t, i, m), p, q in pairs))

    for _ in range(30):
        own = [drawn(rng, decisions, actions[0], observations[0]) for _ in range(2)]
        other = [drawn(rng, decisions, actions[1], observations[1]) for _ in range(3)]
        assert value(by_fastest.whole(), own, other) == pytest.approx(value(rows, own, other), abs=1e-9)
        assert value(rows, own, other) <= bound + 1e-9
    # Courses that begin alike must be changed alike: those of a plan that does not are worth something else now.
    if decisions > 1:
        torn = [[int(x) for x in rng.integers(actions[0] ** decisions, size=sees)] for _ in range(2)]
        assert value(by_fastest.whole(), torn, other) != pytest.approx(value(rows, torn, other), abs=1e-6)


def after_one_step(beliefs: TeamBeliefs) -> TeamBelief:
    return beliefs.following(fresh(0, 2), np.zeros((1, 2), dtype=np.int64), 1)[0][1]


@pytest.mark.parametrize("seed", range(6))
def test_no_prescription_is_worth_more_than_a_look_says(seed: int) -> None:
    joint = JointBeliefs(model_of(team(seed)))
    beliefs, full = TeamBeliefs(joint, NOTHING), FullSharingValues(joint, 1.0, 10_000)
    belief = after_one_step(beliefs)
    foresight = Foresight(joint, 1.0, full.q)
    near, far = (foresight.look(belief, stages, -np.inf) for stages in ([2], [2, 1]))
    memories = [np.unique(belief.memories[:, k]) for k in (0, 1)]
    values = []
    for chosen in itertools.product(range(2), repeat=sum(map(len, memories))):
        parts = np.split(np.array(chosen), [len(memories[0])])
        actions = np.stack([parts[k][np.searchsorted(memories[k], belief.memories[:, k])] for k in (0, 1)], axis=1)
        joint_actions = joint.model.joint_actions.index(actions)
        rows = np.arange(len(actions))
        value = float(belief.weights @ joint.reward(belief.numbers)[rows, joint_actions])
        for chance, after in beliefs.following(belief, actions, 2):
            last = PrescriptionSearch(after.memories, full.q(1, after.numbers) * after.weights[:, None], (2, 2)).pop()
            assert last is not None
            value += chance * last.value
        for look in (near, far):
            assert value <= look.table[rows, joint_actions].sum() + 1e-12
        values.append(value)
    assert max(values) - 1e-12 <= far.bound
    # To the end the bound rests on nothing but what courses are worth; the relaxation leaves little here.
    assert far.bound <= max(values) + 0.1


@pytest.mark.parametrize("seed", [1, 59])
def test_plans_that_look_far_at_once_are_as_good_as_the_best(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    whole = Foresight.look

    def look(self: Foresight, belief: TeamBelief, stages: list[int], enough: float) -> object:
        looks.append(len(stages))
        return whole(self, belief, stages, enough)

    monkeypatch.setattr(Foresight, "look", look)
    monkeypatch.setattr(Foresight, "cost", lambda self, rows, decisions: 0)
    monkeypatch.setattr(LastTwo, "is_worth_it", lambda self, memories: False)
    tiny = team(seed)
    plan = plan_team(model_of(tiny), NOTHING, horizon=3, discount=0.9, limits=UNLIMITED)
    best = optimum(tiny, cut("none", 2), 3, 0.9)
    assert plan.lower - 1e-9 <= best <= plan.upper + 1e-9
    assert plan.upper - plan.lower < 1e-8
    assert set(looks) == {2}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_looking_far_spares_trying_prescriptions_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned() -> TeamPlan:
        return plan_team(SHIPPED["dec-tiger"](), NOTHING, horizon=9, discount=1.0, limits=UNLIMITED)

    far = planned()
    monkeypatch.setattr(Foresight, "farthest", lambda self, rows, spent, most: 1)
    near = planned()
    # Three times the best policy for three decisions.
    assert far.lower == pytest.approx(3 * 5.190812, abs=1e-5)
    assert near.upper == pytest.approx(far.upper, abs=1e-5)
    assert far.beliefs < 0.5 * near.beliefs
