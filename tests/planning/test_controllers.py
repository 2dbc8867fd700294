"""Finite-state controllers: against following every path, what changing nodes gains, and the best of them as bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dadc_net.planning.finite import controller_search, controllers
from dadc_net.planning.finite.controller_search import ControllerSearch
from dadc_net.planning.finite.controllers import Controller, Controllers
from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs
from dadc_net.planning.finite.outlook import DiscountedOutlook
from dadc_net.planning.finite.plan import plan_team
from dadc_net.planning.finite.policy_words import describe_plan
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.models.shipped import SHIPPED
from tests.planning.team_by_force import TinyTeam
from tests.planning.test_finite_against_force import model_of, team

DISCOUNT = 0.5


def never() -> bool:
    return False


def drawn(tiny: TinyTeam, nodes: int, seed: int) -> Controller:
    rng = np.random.default_rng(seed)
    return Controller(
        [rng.integers(0, size, nodes) for size in tiny.actions],
        [rng.integers(0, nodes, (nodes, size)) for size in tiny.observations],
    )


def by_paths(tiny: TinyTeam, controller: Controller, nodes: tuple[int, ...], state: int, decisions: int) -> float:
    """The value over so many decisions, by following every state and every observation."""
    if decisions == 0:
        return 0.0
    played = [int(actions[node]) for actions, node in zip(controller.actions, nodes, strict=True)]
    joint = int(np.ravel_multi_index(played, tiny.actions))
    total = float(tiny.reward[joint, state])
    for after, observed in itertools.product(range(len(tiny.start)), range(tiny.observation.shape[2])):
        chance = float(tiny.transition[joint, state, after] * tiny.observation[joint, after, observed])
        if chance > 0.0:
            own = np.unravel_index(observed, tiny.observations)
            following = tuple(int(f[node, o]) for f, node, o in zip(controller.following, nodes, own, strict=True))
            total += DISCOUNT * chance * by_paths(tiny, controller, following, after, decisions - 1)
    return total


@pytest.mark.parametrize("dense", [0, 1000])
def test_values_are_those_of_all_paths(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dadc_net.planning.finite.controllers._MOST_DENSE", dense)
    tiny, decisions = team(0), 4
    controller = drawn(tiny, 2, 1)
    found = Controllers(model_of(tiny), DISCOUNT, never).value(controller)
    rest = DISCOUNT**decisions / (1.0 - DISCOUNT)
    for row, nodes in enumerate(itertools.product(range(2), repeat=len(tiny.actions))):
        for state in range(len(tiny.start)):
            until = by_paths(tiny, controller, nodes, state, decisions)
            assert until + rest * float(tiny.reward.min()) - 1e-6 <= found.values[row, state]
            assert found.values[row, state] <= until + rest * float(tiny.reward.max()) + 1e-9
    assert found.value == pytest.approx(float((found.values @ tiny.start).max()))


def test_a_value_is_never_too_much_where_sweeps_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = team(3)
    controller = drawn(tiny, 2, 2)
    right = Controllers(model_of(tiny), DISCOUNT, never).value(controller).values
    monkeypatch.setattr("dadc_net.planning.finite.controllers._MOST_DENSE", 0)
    early = Controllers(model_of(tiny), DISCOUNT, lambda: True).value(controller, np.full(right.shape, 50.0)).values
    assert (early <= right + 1e-9).all()
    assert (early < right - 1.0).any()


def test_gains_of_a_node_that_is_visited_once_are_what_changing_it_adds() -> None:
    compared = 0
    for seed in range(12):
        tiny, node = team(seed), 0
        controllers, alone = Controllers(model_of(tiny), DISCOUNT, never), drawn(tiny, 3, seed)
        # Where nothing leads back to a node, it is visited once: there, the change is worth what is said and no more.
        alone.following[0][:] = np.maximum(alone.following[0], 1)
        value = controllers.value(alone)._replace(node=node)
        own, after, gain = controllers.changes(value, 0)
        assert (gain >= -1e-9).all()
        if (after[node] == node).any():
            continue
        changed = Controller([a.copy() for a in alone.actions], [f.copy() for f in alone.following])
        changed.actions[0][node], changed.following[0][node] = own[node], after[node]
        gained = (controllers.value(changed).values[node] - value.values[node]) @ tiny.start
        assert gained == pytest.approx(gain[node], abs=1e-6)
        compared += gain[node] > 1e-3
    assert compared > 1


def test_improving_never_loses_and_is_the_same_every_time() -> None:
    model, found = SHIPPED["recycling"](), []
    for _ in range(2):
        search = ControllerSearch(model, 0.9, never)
        search.more()
        assert search.best is not None
        values = [search.best.value]
        for _ in range(5):
            search.more()
            values.append(search.best.value)
        assert values == sorted(values)
        found.append(values)
    assert found[0] == found[1]


def _found_with(rounding: float, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Values of the best controllers on the way, where solutions of equations are off by so much, now up and now down."""
    solve = np.linalg.solve

    def elsewhere(a: Array, b: Array) -> Array:
        found = solve(a, b)
        return np.asarray(found * (1.0 + rounding * np.cos(np.arange(len(found)))))

    with monkeypatch.context() as patch:
        patch.setattr(np.linalg, "solve", elsewhere)
        search = ControllerSearch(SHIPPED["recycling"](), 0.9, never)
        values = []
        for _ in range(24):
            search.more()
            values.append(0.0 if search.best is None else search.best.value)
    return values


def test_the_search_goes_the_same_way_on_hosts_that_round_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear algebra adds up in another order on another processor; what is equal up to that must be told to be equal."""
    one, other = (_found_with(rounding, monkeypatch) for rounding in (3e-15, -5e-15))
    assert np.allclose(one, other, rtol=1e-9, atol=0.0)
    monkeypatch.setattr(controllers, "alike", lambda values: values)
    monkeypatch.setattr(controller_search, "alike", lambda values: values)
    one, other = (_found_with(rounding, monkeypatch) for rounding in (3e-15, -5e-15))
    assert not np.allclose(one, other, rtol=1e-9, atol=0.0), "the control: nothing would be noticed"


@pytest.mark.parametrize("name", ["no-sharing", "delayed-sharing"])
def test_recycling_robots_need_nothing_in_common(name: str) -> None:
    # 31.929 is the best value known without sharing; 31.929128 is V* where observations are common after two steps.
    sharing = Sharing.from_record(name, {"delay_steps": 2} if name == "delayed-sharing" else {})
    limits = Limits(gap=1e-3, memory_bytes=1 << 30, is_late=never)
    plan = plan_team(SHIPPED["recycling"](), sharing, horizon=None, discount=0.9, limits=limits)
    assert plan.stopped == "gap"
    assert plan.lower - 2e-5 <= 31.929128 <= plan.upper + 2e-5
    text = describe_plan(plan)
    assert ("every agent begins controller 1" in text) == (name == "no-sharing")
    assert ("controller 1, agent 2: 1 " in text) == (name == "no-sharing")


def test_memories_that_are_cut_off_begin_no_controller() -> None:
    sharing = Sharing.from_record("no-sharing", {"memory_steps": 0})
    limits = Limits(gap=1e-2, memory_bytes=1 << 30, is_late=never)
    tiny = plan_team(model_of(team(0)), sharing, horizon=None, discount=DISCOUNT, limits=limits)
    assert not tiny.search.begun


def test_the_distance_of_bounds_holds_for_mixtures() -> None:
    model = SHIPPED["recycling"]()
    outlook = DiscountedOutlook(JointBeliefs(model), 0.9, 1, 3000)
    numbers = np.arange(2)
    upper = outlook.upper(0, numbers)
    for state in range(model.num_states):
        # Each as good as can be in one state, and bad in all others.
        outlook.add(np.where(np.arange(model.num_states) == state, float(upper.max()), 0.0))
    weights = np.array([0.5, 0.5])
    gap = float(weights @ upper - (weights @ outlook.lower(0, numbers)).max())
    each = float((upper - outlook.lower(0, numbers).max(axis=1)).max())
    assert gap <= outlook.distance() + 1e-9
    assert gap > each + 1.0
