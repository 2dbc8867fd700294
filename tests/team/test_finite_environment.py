"""Finite models as environments: what is drawn, observed, paid and ended."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.conformance import check_environment, check_task
from dadc_net.team.environment import Ended
from dadc_net.team.finite.build import build_model
from dadc_net.team.finite.environment import FiniteEnvironment, FiniteParameters, over_states
from dadc_net.team.finite.menus import deterministic_menu, menu_size
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.dec_tiger import LISTEN, OPEN_LEFT, dec_tiger
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.finite.sampling import RowSampler
from dadc_net.team.finite.sparse_rows import SparseRows
from dadc_net.team.information import ControlSharing
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tasks import TASKS

LAST = 1.0 - 2.0**-53
"""The largest number that is drawn."""
NO, YES = np.zeros(1, dtype=np.bool_), np.ones(1, dtype=np.bool_)


def lopsided() -> FiniteModel:
    """Two agents that differ: 2 and 3 actions, 3 and 1 observations. State 2 is the end."""
    return build_model(
        name="lopsided",
        states=("a", "b", "end"),
        actions=(("stay", "go"), ("one", "two", "three")),
        observations=(("x", "y", "z"), ("nothing",)),
        start={0: 1.0},
        move=lambda s, joint: {s: 1.0} if s == 2 or joint[0] == 0 else {s + 1: 1.0},
        observe=lambda joint, s: {(s, 0): 1.0},
        reward=lambda s, joint: 0.0 if s == 2 else 10.0 * joint[1],
        arrival_reward=lambda s: (0.0, 1.0, 0.0)[s],
        discount=0.9,
    )


def environment(model: FiniteModel, copies: int = 1, horizon: int = 0) -> FiniteEnvironment:
    return FiniteEnvironment(model, FiniteParameters(horizon=horizon), copies)


def step(env: FiniteEnvironment, *joint: int, begin: NDArray[np.bool_] = NO, draws: tuple[float, float] = (0.0, 0.0)):  # type: ignore[no-untyped-def]
    return env.advance(np.array([joint]), begin, np.array([draws]))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_are_tasks_that_conform(name: str) -> None:
    assert check_task(TASKS[name], steps=32) == []
    assert check_task(TASKS[name], FiniteParameters(horizon=5), steps=32) == []
    spec = TASKS[name].make(FiniteParameters(), 1).spec
    model = SHIPPED[name]()
    assert (spec.name, spec.num_agents) == (model.name, model.num_agents) == (name, 2)


def test_agents_that_differ_conform() -> None:
    assert check_environment(partial(_lopsided_environment), ControlSharing(), steps=32) == []


def _lopsided_environment(copies: int) -> FiniteEnvironment:
    return environment(lopsided(), copies)


def test_nothing_is_observed_before_the_first_decision() -> None:
    env = environment(dec_tiger(), 4)
    outcome = env.advance(np.zeros((4, 2), dtype=np.int64), np.ones(4, dtype=np.bool_), np.full((4, 2), LAST))
    assert outcome.observations.tolist() == [[[0], [0]]] * 4
    assert outcome.rewards.tolist() == [0.0] * 4
    assert env.state()["states"].tolist() == [1] * 4


def test_spaces_are_the_widest_and_what_lies_beyond_an_agents_own_is_its_last() -> None:
    env = environment(lopsided())
    assert env.spec.action_space == FiniteSpace((3,))
    assert env.spec.observation_space == FiniteSpace((3,))
    step(env, 0, 0, begin=YES)
    beyond = step(env, 2, 2)
    step(env, 0, 0, begin=YES)
    assert beyond.rewards.tolist() == step(env, 1, 2).rewards.tolist() == [21.0]


def test_rewards_observations_and_the_end_follow_the_model() -> None:
    env = environment(lopsided())
    assert over_states(lopsided()).tolist() == [False, False, True]
    step(env, 0, 0, begin=YES)
    first = step(env, 1, 1)
    assert (first.rewards[0], first.observations[0, :, 0].tolist(), first.ended[0]) == (11.0, [1, 0], Ended.NO)
    second = step(env, 0, 0)
    assert (second.rewards[0], second.ended[0]) == (1.0, Ended.NO)
    last = step(env, 1, 2)
    assert (last.rewards[0], last.observations[0, :, 0].tolist(), last.ended[0]) == (20.0, [2, 0], Ended.TERMINATED)


def test_a_horizon_counts_decisions() -> None:
    for env in (environment(dec_tiger(), horizon=3), environment(replace(dec_tiger(), horizon=3))):
        codes = [step(env, 0, 0, begin=YES).ended[0], *(step(env, 0, 0).ended[0] for _ in range(3))]
        assert codes == [Ended.NO, Ended.NO, Ended.NO, Ended.TERMINATED]
    endless = environment(dec_tiger())
    assert all(step(endless, 0, 0, begin=YES if t == 0 else NO).ended[0] == Ended.NO for t in range(500))


def test_the_horizon_of_the_parameters_goes_before_the_models() -> None:
    assert environment(replace(dec_tiger(), horizon=3), horizon=7).horizon == 7


@pytest.mark.parametrize(("key", "value"), [("horizon", -1), ("restart_steps", -1)])
def test_parameters_are_checked(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"env.{key} is -1"):
        FiniteParameters(**{key: value})


@pytest.mark.parametrize(
    ("uniform", "column"),
    [(0.0, 1), (0.25 - 2.0**-33, 1), (0.25, 3), (0.5, 3), (1.0 - 2.0**-32, 4), (LAST, 4)],
)
def test_thresholds_are_integers(uniform: float, column: int) -> None:
    tables = [SparseRows.from_dense([[1.0, 0, 0, 0, 0], [0, 0.25, 0, 0.75 - 1e-12, 1e-12]])] * 2
    sampler = RowSampler(tables)
    drawn = sampler.draw(np.array([1]), np.array([1]), np.array([uniform]))
    assert sampler.columns[drawn].tolist() == [column]
    first = sampler.draw(np.array([1]), np.array([0]), np.array([uniform]))
    assert sampler.columns[first].tolist() == [0]


def test_rows_of_many_small_parts_are_drawn_as_often_as_they_say() -> None:
    weights = np.arange(1, 1001) / np.arange(1, 1001).sum()
    sampler = RowSampler([SparseRows.from_dense(weights[None, :])])
    uniforms = (np.arange(2**20) + 0.5) / 2**20
    none = np.zeros(2**20, dtype=np.int64)
    counts = np.bincount(sampler.columns[sampler.draw(none, none, uniforms)], minlength=1000)
    assert np.abs(counts / 2**20 - weights).max() < 2e-6


@pytest.mark.parametrize(("joint", "seed"), [((LISTEN, LISTEN), 1), ((OPEN_LEFT, LISTEN), 2)])
def test_what_is_drawn_has_the_law_of_the_model(joint: tuple[int, int], seed: int) -> None:
    copies, model = 40_000, dec_tiger(left=0.3)
    env, draws = environment(model, copies), Stream("environment", seed_bytes(seed))
    actions = np.tile(np.array(joint), (copies, 1))
    env.advance(actions, np.ones(copies, dtype=np.bool_), draws.uniforms(0, copies, 2))
    before = env.state()["states"]
    assert before.mean() == pytest.approx(0.7, abs=0.01)
    outcome = env.advance(actions, np.zeros(copies, dtype=np.bool_), draws.uniforms(1, copies, 2))
    a = int(model.joint_actions.index(np.array(joint)))
    assert np.array_equal(outcome.rewards, model.expected_rewards[a, before])
    after = env.state()["states"]
    for s in range(2):
        share = np.bincount(after[before == s], minlength=2) / (before == s).sum()
        assert share == pytest.approx(model.transitions[a].dense()[s], abs=0.02)
        seen = model.joint_observations.index(outcome.observations[after == s, :, 0])
        share = np.bincount(seen, minlength=4) / (after == s).sum()
        assert share == pytest.approx(model.observation_probabilities[a].dense()[s], abs=0.02)


def test_the_menu_holds_every_map_once() -> None:
    menu = TASKS["dec-tiger"].menus["all"]
    assert len(set(menu.actions)) == len(set(menu.entries)) == 81 == menu_size([3, 3], [2, 2])
    assert menu.entries[1] == "listen/listen, listen/open-left"
    assert menu.actions[1] == ((0, 0), (0, 1))


def test_the_menu_of_agents_that_differ_is_as_wide_as_the_widest() -> None:
    menu = deterministic_menu("all", (("a", "b"), ("c",)), (("x",), ("y", "z")))
    assert menu.actions == (((0, 0), (0, 0)), ((1, 1), (0, 0)))
    assert menu.entries == ("a, c/c", "b, c/c")


def test_tasks_too_large_for_a_menu_choose_by_logits() -> None:
    task = TASKS["box-pushing"]
    assert (dict(task.menus), task.default_prescriptions) == ({}, "gibbs")
    assert menu_size([4, 4], [5, 5]) == 4**10
