"""Symmetries of models, beliefs that are alike by them, and plans that rest on both."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dadc_net.planning.finite import plan as planning
from dadc_net.planning.finite.alike import Alike, Kin
from dadc_net.planning.finite.joint_beliefs import JointBeliefs
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.symmetry import symmetries
from dadc_net.planning.finite.team_belief import TeamBelief
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.team_by_force import TinyTeam, cut, optimum
from tests.planning.test_finite_against_force import UNLIMITED, model_of, team


def turned(tiny: TinyTeam, agents: tuple[int, ...], states: np.ndarray, flipped: bool) -> TinyTeam:
    """The same team by other names: agent k takes the place ``agents[k]``; actions and observations are flipped or not."""
    count = len(agents)

    def renamed(table: np.ndarray, sizes: tuple[int, ...], axis: int) -> np.ndarray:
        moved = np.moveaxis(table, axis, -1)
        moved = moved.reshape(*moved.shape[:-1], *sizes)
        first = moved.ndim - count
        moved = moved.transpose(*range(first), *(first + int(k) for k in np.argsort(agents)))
        if flipped:
            moved = np.flip(moved, axis=tuple(range(first, moved.ndim)))
        return np.moveaxis(moved.reshape(*moved.shape[:first], -1), -1, axis)

    back = np.argsort(states)
    return TinyTeam(
        tiny.start[back],
        renamed(tiny.transition[:, back][:, :, back], tiny.actions, 0),
        renamed(renamed(tiny.observation[:, back], tiny.actions, 0), tiny.observations, 2),
        renamed(tiny.reward[:, back], tiny.actions, 0),
        tiny.actions,
        tiny.observations,
    )


def symmetric(seed: int, agents: int) -> TinyTeam:
    """A team that stays what it is when agents change places, and when states, actions and observations all flip."""
    tiny = team(seed, agents=agents)
    orders = list(itertools.permutations(range(agents)))
    all_of_it = [turned(tiny, a, np.array(s), s != (0, 1)) for a in orders for s in ((0, 1), (1, 0))]

    def mean(name: str) -> np.ndarray:
        return np.asarray(sum(getattr(one, name) for one in all_of_it) / len(all_of_it))

    return tiny._replace(**{name: mean(name) for name in ("start", "transition", "observation", "reward")})


@pytest.mark.parametrize(("agents", "expected"), [(2, 4), (3, 12)])
def test_all_symmetries_are_found(agents: int, expected: int) -> None:
    found = symmetries(model_of(symmetric(3, agents)))
    assert len(found) == expected
    assert {one.agents for one in found} == set(itertools.permutations(range(agents)))
    assert {tuple(one.states.tolist()) for one in found} == {(0, 1), (1, 0)}
    assert all(one.deviation < 1e-10 for one in found)


def test_what_is_not_the_same_is_no_symmetry() -> None:
    assert len(symmetries(model_of(team(59)))) == 1
    tiny = symmetric(3, 2)
    reward = tiny.reward.copy()
    reward[1, 0] += 1e-8
    assert len(symmetries(model_of(tiny._replace(reward=reward)))) == 1


def test_differences_that_colours_do_not_see_are_compared() -> None:
    tiny = symmetric(3, 2)
    reward = tiny.reward.copy()
    reward[1, 0] += 3e-12
    found = symmetries(model_of(tiny._replace(reward=reward)))
    assert len(found) == 1 or all(one.deviation > 0.0 for one in found[1:])


def test_symmetries_of_the_fields_problems() -> None:
    # Dec-Tiger: agents change places, and left and right do. A grid can be turned and mirrored, too.
    counts = {task: len(symmetries(SHIPPED[task]())) for task in ("dec-tiger", "recycling", "box-pushing", "meeting-grid")}
    assert counts == {"dec-tiger": 4, "recycling": 2, "box-pushing": 2, "meeting-grid": 8}
    assert len(symmetries(SHIPPED["broadcast-channel"]())) == 1


def grown(model: FiniteModel) -> JointBeliefs:
    joint = JointBeliefs(model)
    for _ in range(2):
        numbers = np.arange(len(joint))
        for action in range(model.num_joint_actions):
            joint.following(numbers, np.full(len(numbers), action))
    return joint


def test_beliefs_by_other_names_are_alike_and_no_others() -> None:
    model = SHIPPED["dec-tiger"]()
    joint, found = grown(model), symmetries(model)
    alike = Alike(joint, found)
    rng = np.random.default_rng(0)
    memories = np.array(list(itertools.product(range(3), range(4))))
    weights = rng.dirichlet(np.ones(12))
    numbers = rng.integers(0, len(joint), 12)
    belief = TeamBelief(memories, numbers, weights, 0)
    mirrored = [joint.number_of(s, m) for s, m in (_mirrored(joint, n) for n in numbers.tolist())]
    rows = np.stack((rng.permutation(4)[memories[:, 1]], rng.permutation(3)[memories[:, 0]]), axis=1)
    order = np.lexsort(rows.T[::-1])
    other = TeamBelief(rows[order], np.array(mirrored)[order], weights[order], 0)
    kin = alike.kin(3, belief)
    assert alike.kin(3, other) is kin
    assert alike.kin(2, belief) is not kin
    changed = weights.copy()
    changed[:2] = changed[[1, 0]]
    assert alike.kin(3, TeamBelief(memories, numbers, changed, 0)) is not kin
    assert alike.kin(3, TeamBelief(memories, np.roll(numbers, 1), weights, 0)) is not kin


def _mirrored(joint: JointBeliefs, number: int) -> tuple[np.ndarray, np.ndarray]:
    states, mass = joint.support(number)
    return 1 - states[::-1], mass[::-1].copy()


@pytest.mark.parametrize(
    ("agents", "horizon", "definition", "number", "name", "parameters"),
    [
        (2, 3, "none", 0, "no-sharing", {}),
        (2, 3, "control", 0, "control-sharing", {}),
        (2, 3, "periodic-a", 2, "periodic-sharing", {"period_steps": 2}),
        (3, 2, "none", 0, "no-sharing", {}),
        (3, 2, "control", 0, "control-sharing", {}),
    ],
)
def test_symmetric_teams_are_worth_what_trying_everything_says(
    agents: int, horizon: int, definition: str, number: int, name: str, parameters: dict[str, int]
) -> None:
    tiny = symmetric(7, agents)
    expected = optimum(tiny, cut(definition, agents, number), horizon)
    sharing = Sharing.from_record(name, parameters)
    plan = plan_team(model_of(tiny), sharing, horizon=horizon, discount=1.0, limits=UNLIMITED)
    assert plan.lower - 1e-9 <= expected <= plan.upper + 1e-9
    assert plan.upper - plan.lower < 1e-8


def tiger(horizon: int) -> TeamPlan:
    limits = Limits(gap=1e-9, memory_bytes=1 << 30, is_late=lambda: False)
    return plan_team(SHIPPED["dec-tiger"](), Sharing.from_record("no-sharing"), horizon=horizon, discount=1.0, limits=limits)


def test_symmetries_save_beliefs(monkeypatch: pytest.MonkeyPatch) -> None:
    with_them = tiger(6)
    monkeypatch.setattr(planning, "alike", lambda beliefs: None)
    without = tiger(6)
    assert with_them.lower == pytest.approx(without.lower, abs=1e-9)
    assert with_them.beliefs < without.beliefs


def test_a_wrong_symmetry_gives_a_wrong_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    # If all beliefs of a stage were alike, the bound of the worst would be everyone's.
    everyone: dict[int, Kin] = {}
    monkeypatch.setattr(Alike, "kin", lambda self, stage, belief: everyone.setdefault(stage, Kin(belief.weights)))
    assert tiger(5).upper < 7.026451 - 0.1
