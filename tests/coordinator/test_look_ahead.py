"""The best prescription of several factors, found factor by factor, against all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.look_ahead import FactoredLookAhead, LookAhead
from dadc_net.coordinator.model import LearnedModel
from dadc_net.coordinator.prescription import Factored
from dadc_net.exact.streams import seed_bytes
from tests.coordinator.test_learner import settings

EVERY = np.array(list(itertools.product(range(2), range(3), range(2))))
"""[12, 3] all theta."""
STATES = np.round(np.cos(np.arange(200.0)).reshape(40, 5) * 2**24) / 2**24


@pytest.fixture
def learner() -> Coordinator:
    return Coordinator(settings(algorithm="ais-planning", theta="factored", reward_input="outcome"), seed_bytes(3))


def ahead(learner: Coordinator, coupled: bool = False) -> LookAhead:
    """With first parameters, or with a reward that factors earn together or not at all."""
    if coupled:
        hidden, output = (learner.approximator.group.arrays[f"reward.{name}.weight"] for name in ("hidden", "output"))
        hidden[...] = 0.0
        # Code: [2, 3, 2] choices after five of x; unit 0 fires where the first and the last choice are both 1.
        hidden[[6, 11], 0] = 4.0
        learner.approximator.group.arrays["reward.hidden.bias"][0] = -6.0
        output[...] = np.eye(5, 1)
        learner.approximator.group.arrays["reward.direct.weight"][...] = 0.0
        learner.approximator.group.arrays["reward.direct.weight"][[5, 10], 0] = 0.3
    model = LearnedModel(learner.approximator, learner.space, np.arange(12))
    return LookAhead(model, lambda x: x[:, 0].copy(), 0.9)


def of_all(one: LookAhead, learner: Coordinator) -> np.ndarray:
    """Q [n, 12] of all theta."""
    codes = learner.theta.codes(EVERY)
    return one.of(STATES, np.broadcast_to(codes, (len(STATES), *codes.shape)))


def found_by(one: LookAhead, learner: Coordinator, beginnings: np.ndarray) -> FactoredLookAhead:
    assert isinstance(learner.theta, Factored)
    return FactoredLookAhead(one, learner.theta.factors, beginnings)


def test_from_everywhere_it_finds_the_best_of_all(learner: Coordinator) -> None:
    one = ahead(learner)
    values, found = of_all(one, learner), found_by(one, learner, EVERY)
    assert np.array_equal(found.best(STATES), values.max(axis=1))
    assert np.array_equal(learner.theta.greedy(found(STATES), np.zeros(0)), EVERY[values.argmax(axis=1)])


def test_from_one_place_it_ends_where_no_single_choice_is_better(learner: Coordinator) -> None:
    one = ahead(learner)
    values, found = of_all(one, learner), found_by(one, learner, EVERY[:1])
    assert (found.best(STATES) <= values.max(axis=1)).all()
    chosen = learner.theta.greedy(found(STATES), np.zeros(0))
    for row, theta in enumerate(chosen):
        near = (theta != EVERY).sum(axis=1) <= 1
        assert found.best(STATES)[row] == values[row][near].max()


def test_what_is_gained_together_only_is_found_from_a_place_near_it(learner: Coordinator) -> None:
    one = ahead(learner, coupled=True)
    together = learner.theta.greedy(found_by(one, learner, np.array([[0, 0, 0], [1, 0, 1]]))(STATES), np.zeros(0))
    alone = learner.theta.greedy(found_by(one, learner, np.array([[0, 0, 0]]))(STATES), np.zeros(0))
    assert (together[:, [0, 2]] == 1).all()
    assert (alone[:, [0, 2]] == 0).all()


def test_a_row_alone_has_the_bits_that_it_has_in_a_batch(learner: Coordinator) -> None:
    found = found_by(ahead(learner), learner, EVERY[[0, 7]])
    scores, best = found(STATES), found.best(STATES)
    for row in range(len(STATES)):
        assert np.array_equal(found(STATES[row : row + 1])[0], scores[row])
        assert found.best(STATES[row : row + 1])[0] == best[row]


def test_places_to_begin_from_are_part_of_the_rule(learner: Coordinator) -> None:
    rule = learner.rule()
    assert rule["planning/beginnings"].shape == (4, 3)
    other = Coordinator(learner.settings, seed_bytes(4))
    assert not np.array_equal(other.rule()["planning/beginnings"], rule["planning/beginnings"])
    other.restore_rule(rule)
    assert np.array_equal(other.rule()["planning/beginnings"], rule["planning/beginnings"])
