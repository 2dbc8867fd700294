"""Bounds without end: against trying everything, against known values, and the policies that start over."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

from dadc_net.planning.finite.delay_cascade import DelayCascade
from dadc_net.planning.finite.delayed_search import DelayedSearch
from dadc_net.planning.finite.joint_beliefs import JointBeliefs
from dadc_net.planning.finite.outlook import DiscountedOutlook
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.policy_words import describe_plan
from dadc_net.planning.finite.relaxations import StateValues
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.team_by_force import TinyTeam, cut, optimum
from tests.planning.test_finite_against_force import STRUCTURES, model_of, team


def never() -> bool:
    return False


def limits(gap: float) -> Limits:
    return Limits(gap=gap, memory_bytes=1 << 30, is_late=never)


def clocked(tiny: TinyTeam, decisions: int) -> TinyTeam:
    """The same team with a clock in the state: after so many decisions nothing is earned for ever."""
    states, actions = len(tiny.start), len(tiny.transition)
    count = states * decisions + 1
    transition = np.zeros((actions, count, count))
    observation = np.zeros((actions, count, tiny.observation.shape[2]))
    observation[:, -1, 0] = 1.0
    transition[:, -1, -1] = 1.0
    reward = np.zeros((actions, count))
    for t in range(decisions):
        here = slice(t * states, (t + 1) * states)
        observation[:, here] = tiny.observation
        reward[:, here] = tiny.reward
        if t + 1 < decisions:
            transition[:, here, (t + 1) * states : (t + 2) * states] = tiny.transition
        else:
            transition[:, here, -1] = 1.0
    start = np.zeros(count)
    start[:states] = tiny.start
    return tiny._replace(start=start, transition=transition, observation=observation, reward=reward)


@pytest.mark.parametrize(("definition", "number", "name", "parameters"), STRUCTURES)
def test_what_ends_by_itself_is_worth_what_trying_everything_finds(
    definition: str, number: int, name: str, parameters: dict[str, Any]
) -> None:
    tiny = team(59)
    expected = optimum(tiny, cut(definition, 2, number), 3, discount=0.8)
    plan = plan_team(
        model_of(clocked(tiny, 3)), Sharing.from_record(name, parameters), horizon=None, discount=0.8, limits=limits(1e-6)
    )
    assert plan.lower - 1e-9 <= expected <= plan.upper + 1e-9
    assert plan.stopped == "gap"
    assert plan.upper - plan.lower <= 2e-6


def by_delay(tiny: TinyTeam, name: str, delay: int, discount: float) -> float:
    """The root of a search whose observations become common after ``delay`` steps, which is no structure of users."""
    joint = JointBeliefs(model_of(tiny))
    outlook = DiscountedOutlook(joint, discount, 1, 3000)
    search = None
    for steps in range(1, delay + 1):
        beliefs = TeamBeliefs(joint, Sharing(name=name if steps > 1 else "delayed-sharing", delay_steps=steps))
        search = DelayedSearch(beliefs, outlook, discount, 1e-7, never, search)
        while not search.is_closed(search.root):
            search.trial(search.root)
    assert search is not None
    return search.root.upper


def test_actions_common_at_once_and_observations_after_two_steps() -> None:
    tiny = team(59)
    values = {name: by_delay(clocked(tiny, 3), name, 2, 0.8) for name in ("control-sharing", "delayed-sharing")}
    assert values["control-sharing"] == pytest.approx(optimum(tiny, cut("control-delayed", 2, 2), 3, 0.8), abs=1e-6)
    assert values["delayed-sharing"] == pytest.approx(optimum(tiny, cut("delayed", 2, 2), 3, 0.8), abs=1e-6)
    # Otherwise the comparison would prove nothing.
    assert optimum(tiny, cut("delayed", 2, 1), 3, 0.8) > max(values.values()) + 1e-3


def test_three_agents_without_end() -> None:
    tiny = team(5, agents=3)
    for definition, number, name, parameters in STRUCTURES:
        if name not in ("delayed-sharing", "no-sharing", "control-sharing"):
            continue
        expected = optimum(tiny, cut(definition, 3, number), 2, discount=0.7)
        plan = plan_team(
            model_of(clocked(tiny, 2)),
            Sharing.from_record(name, parameters),
            horizon=None,
            discount=0.7,
            limits=limits(1e-6),
        )
        assert plan.lower - 1e-9 <= expected <= plan.upper + 1e-9, name


@cache
def tiger(name: str, gap: float, **parameters: int) -> TeamPlan:
    return plan_team(
        SHIPPED["dec-tiger"](), Sharing.from_record(name, parameters), horizon=None, discount=0.9, limits=limits(gap)
    )


def test_the_tiger_under_a_delay_of_two_without_end() -> None:
    plan = tiger("delayed-sharing", 1e-3, delay_steps=2)
    assert plan.stopped == "gap"
    assert plan.lower - 2e-5 <= 18.338389 <= plan.upper + 2e-5
    assert "decision 4 (25.5 %): agent 1 listen; agent 2 listen" in describe_plan(plan)


@pytest.mark.parametrize(("name", "gap"), [("no-sharing", 4.89), ("control-sharing", 5.0)])
def test_a_policy_of_three_decisions_starts_over(name: str, gap: float) -> None:
    # 13.448 is the best value known (Dibangoye et al. 2016): listen twice, open if both times the same was heard, again.
    right, wrong = 0.85**2, 0.15**2  # both times
    mixed = 1.0 - right - wrong
    alone = 2.0 * mixed * (9.0 * right - 101.0 * wrong) - 2.0 * mixed**2
    third = 20.0 * right**2 - 50.0 * wrong**2 - 100.0 * 2.0 * right * wrong + alone
    once = -2.0 - 0.9 * 2.0 + 0.81 * third
    plan = tiger(name, gap)
    assert plan.stopped == "gap"
    assert once / (1.0 - 0.9**3) - 1e-5 <= plan.lower
    # With observations common after two steps both would be worth 18.338389: no more than that, and the gap above a policy.
    assert plan.lower < plan.upper <= min(plan.lower + gap + 1e-5, 21.0)
    text = describe_plan(plan).splitlines()
    assert text[0].endswith(": agent 1 listen; agent 2 listen")
    assert "repeat" not in describe_plan(plan)


@pytest.mark.parametrize(("definition", "name"), [("none", "no-sharing"), ("control", "control-sharing")])
@pytest.mark.parametrize("seed", [0, 3])
def test_policies_that_start_over_are_worth_what_is_said(definition: str, name: str, seed: int) -> None:
    tiny, discount, horizon = team(seed), 0.5, 3
    plan = plan_team(model_of(tiny), Sharing.from_record(name), horizon=None, discount=discount, limits=limits(1.0))
    first = optimum(tiny, cut(definition, 2), horizon, discount)
    rest = discount**horizon / (1.0 - discount)
    assert plan.lower <= first + rest * float(tiny.reward.max()) + 1e-9
    assert plan.upper >= first + rest * float(tiny.reward.min()) - 1e-9
    assert plan.upper - plan.lower <= 1.0 + 1e-6


def test_histories_that_lead_to_one_belief_are_followed_as_one() -> None:
    # Under control sharing there are 4 joint actions to see at every decision, and the policy looks some 20 of them ahead.
    model = SHIPPED["recycling"]()
    plans = [
        plan_team(model, Sharing.from_record(name), horizon=None, discount=0.9, limits=limits(gap))
        for name, gap in (("no-sharing", 0.75), ("control-sharing", 0.25))
    ]
    assert [plan.stopped for plan in plans] == ["gap", "gap"]
    assert plans[1].lower >= 32.211392 - 0.25 - 1e-5  # V* under a delay of one, and under control sharing
    assert plans[0].lower <= plans[1].lower


def test_each_delay_bounds_the_next() -> None:
    model = SHIPPED["recycling"]()
    joint = JointBeliefs(model)
    beliefs = TeamBeliefs(joint, Sharing.from_record("no-sharing"))
    cascade = DelayCascade(beliefs, DiscountedOutlook(joint, 0.9, 1, 3000), 0.9, 1e-3, never)
    while len(cascade.searches) < 3:
        cascade.look()
    uppers = [search.root.upper for search in cascade.searches]
    assert uppers[0] == pytest.approx(32.211392, abs=1e-3)
    assert uppers[1] == pytest.approx(31.929128, abs=1e-3)
    assert all(less <= more + 1e-9 for more, less in itertools.pairwise(uppers))


def test_tables_begin_with_what_is_never_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = team(59)
    right = by_delay(clocked(tiny, 3), "delayed-sharing", 2, 0.8)
    kept = DelayedSearch.prescriptions_upper
    monkeypatch.setattr(DelayedSearch, "prescriptions_upper", lambda self, belief: kept(self, belief) - 0.5)
    # Bounds that are too small lead past what is best.
    assert by_delay(clocked(tiny, 3), "delayed-sharing", 2, 0.8) < right - 1e-3


def test_enumerating_ends_where_the_state_bounds_as_tightly_as_beliefs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where both agree up to rounding, the maximum can stay above the bound, by as much as this.
    kept = StateValues.best
    monkeypatch.setattr(StateValues, "best", lambda self, remaining: kept(self, remaining) - 1e-9)
    joint = JointBeliefs(model_of(team(59)._replace(observation=np.ones((4, 2, 1)), observations=(1, 1))))
    outlook = DiscountedOutlook(joint, 0.9, 1, 50)
    assert outlook.upper(0, np.zeros(1, dtype=np.int64))[0] < np.inf
