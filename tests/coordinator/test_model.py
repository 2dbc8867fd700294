"""The learned model: the state approximator's own numbers, every prescription and outcome at once."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.look_ahead import LookAhead
from dadc_net.coordinator.model import LearnedModel
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.prescription import one_hot
from dadc_net.exact.streams import seed_bytes
from tests.coordinator.test_learner import run, settings

OUTCOMES = np.array([1, 4, 5, 11])


@pytest.mark.parametrize("reward_input", ["prescription", "outcome"])
def test_an_expansion_is_what_heads_and_encoder_say(reward_input: str) -> None:
    learner = run(settings(reward_input=reward_input))
    approximator = learner.approximator
    states = np.round(np.cos(np.arange(10.0)).reshape(2, 5) * 2**24) / 2**24
    found = LearnedModel(approximator, learner.space, OUTCOMES).expand(states, every=True)
    assert found.probability.shape == (2, 3, 4)
    assert len(found.reward) == len(found.following) == 24
    encode, head = approximator.behaviour(), Tower(("transition.hidden",), "transition.output")
    for row in range(2):
        for theta in range(3):
            code = one_hot(np.array([theta]), 3)
            known = np.concatenate((states[row : row + 1], code), axis=1)
            logits = head.forward(approximator.group, known).outputs[0]
            chances = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            among = chances[OUTCOMES].sum()
            for place, outcome in enumerate(OUTCOMES):
                assert found.probability[row, theta, place] == pytest.approx(chances[outcome] / among, abs=1e-8)
                inputs = np.concatenate((learner.space.features(learner.space.values(np.array([outcome]))), code), axis=1)
                after = encode(inputs, np.ones((1, 1)), states[row : row + 1])
                place_in_rows = (row * 3 + theta) * 4 + place
                assert np.array_equal(found.following[place_in_rows], after[0])


def test_looking_ahead_sums_over_outcomes() -> None:
    learner = run(settings(reward_input="outcome"))
    model = LearnedModel(learner.approximator, learner.space, OUTCOMES)
    states = np.round(np.cos(np.arange(10.0)).reshape(2, 5) * 2**24) / 2**24
    found = model.expand(states)
    value = np.zeros(found.probability.shape)
    value[found.weighs] = found.reward + 0.5 * found.following[:, 0]
    direct = (found.probability * value).sum(axis=2)
    scores = LookAhead(model, lambda x: x[:, 0].copy(), 0.5)(states)
    assert np.allclose(scores, direct, atol=1e-12)


def test_what_comes_after_the_end_is_worth_nothing() -> None:
    learner = Coordinator(settings(reward_input="outcome", predicts_end=True), seed_bytes(7))
    group = learner.approximator.group
    model = LearnedModel(learner.approximator, learner.space, OUTCOMES)
    states = np.round(np.cos(np.arange(10.0)).reshape(2, 5) * 2**24) / 2**24
    found = model.expand(states)
    pair, outcome = np.nonzero(found.probability.reshape(6, 4))
    codes = learner.approximator.outcomes.codes(OUTCOMES)
    known = np.concatenate((states[pair // 3], np.eye(3)[pair % 3], codes[outcome]), axis=1)
    logits = np.tanh(known @ group.arrays["end.hidden.weight"] + group.arrays["end.hidden.bias"])
    logits = logits @ group.arrays["end.output.weight"] + group.arrays["end.output.bias"]
    assert found.goes_on is not None
    assert np.allclose(found.goes_on, 1.0 / (1.0 + np.exp(logits[:, 1] - logits[:, 0])), atol=1e-6)
    value = np.zeros(found.probability.shape)
    value[found.weighs] = found.reward + 0.5 * found.goes_on * found.following[:, 0]
    scores = LookAhead(model, lambda x: x[:, 0].copy(), 0.5)(states)
    assert np.allclose(scores, (found.probability * value).sum(axis=2), atol=1e-12)
    group.arrays["end.output.bias"][1] = -40.0
    never = LearnedModel(learner.approximator, learner.space, OUTCOMES).expand(states)
    assert never.goes_on is not None
    assert (never.goes_on == 1.0).all()
    assert LearnedModel(run(settings()).approximator, learner.space, OUTCOMES).expand(states).goes_on is None


def test_outcomes_that_weigh_nothing_change_nothing() -> None:
    learner = run(settings(reward_input="outcome"))
    group = learner.approximator.group
    group.arrays["transition.output.bias"][OUTCOMES[1]] = -40.0
    model = LearnedModel(learner.approximator, learner.space, OUTCOMES)
    states = np.round(np.cos(np.arange(10.0)).reshape(2, 5) * 2**24) / 2**24
    likely, every = model.expand(states), model.expand(states, every=True)
    assert not likely.weighs[:, :, 1].any()
    assert likely.weighs[:, :, 0].all()
    assert every.weighs.all()
    assert np.allclose(likely.probability.sum(axis=2), 1.0)
    chosen = np.flatnonzero(likely.weighs.reshape(-1))
    assert np.array_equal(likely.following, every.following[chosen])
    assert np.array_equal(likely.reward, every.reward[chosen])
    worth = np.arange(24.0)
    assert np.array_equal(likely.scores(worth[chosen], 0.9), every.scores(worth, 0.9))


def test_planning_explores_uniformly_before_it_knows_anything() -> None:
    learner = Coordinator(settings(algorithm="ais-planning"), seed_bytes(7))
    assert np.ptp(learner.algorithm.behaviour(0)(np.zeros((4, 5)))) == 0.0
