"""What lets one setting fit every task: rewards on a scale of their own, an AIS that leads, losses clipped apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.prescription import Box, Corners, Factored, Menu
from dadc_net.coordinator.reward_scale import RewardScale
from dadc_net.coordinator.schedule import entropy_weight
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import ConfigError, NumericError
from dadc_net.exact.adam import gradient_norm
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from tests.coordinator.batches import batch_of
from tests.coordinator.test_learner import LEARNERS, records, settings

ALL_ON: Mapping[str, Any] = {
    "scale_rewards": True,
    "uniform_share": 0.3,
    "normalise_advantages": True,
    "entropy_weight": 0.2,
    "entropy_share": 0.5,
}
AIS_ON: Mapping[str, Any] = {"clips_apart": True, "replay_windows": 3, "replay_window": 4, "replay_warm_up": 1}
_DISCOUNT = 0.9


def run(chosen: CoordinatorSettings, factor: float = 1.0) -> Coordinator:
    """A learner that was shown all records, with their rewards times ``factor``."""
    learner = Coordinator(chosen, seed_bytes(7))
    for record in records(chosen):
        learner.receive(record._replace(rewards=record.rewards * factor))
    return learner


def test_the_scale_is_the_deviation_of_all_discounted_returns() -> None:
    stream = Stream("test", seed_bytes(3))
    draws = np.stack([stream.uniforms(t, 5, 2) for t in range(41)])
    rewards, ended = 50.0 + 8.0 * draws[:40, :, 0], (draws[:, :, 1] < 0.15).astype(np.float64)
    scale = RewardScale(5, _DISCOUNT, used=True)
    assert scale.value == 1.0
    for first in (0, 16, 24):
        last = {0: 16, 16: 24, 24: 40}[first]
        scale.observe(batch_of(rewards[first:last], ended[first : last + 1]))
    returns, now = [], np.zeros(5)
    for t in range(40):
        now = np.where(ended[t] == 0, _DISCOUNT * now + rewards[t], 0.0)
        returns += now[ended[t] == 0].tolist()
    assert scale.value == pytest.approx(float(np.std(returns)), rel=1e-12)


def test_a_scale_that_is_not_asked_for_is_one_and_no_state() -> None:
    scale = RewardScale(2, _DISCOUNT, used=False)
    scale.observe(batch_of(np.full((3, 2), 9.0), np.zeros((4, 2))))
    assert (scale.value, scale.state()) == (1.0, {})
    assert not any(name.startswith("rewards/") for name in run(settings()).snapshot())


def test_rewards_that_are_all_the_same_are_divided_by_one_and_those_beyond_numbers_refused() -> None:
    scale = RewardScale(2, _DISCOUNT, used=True)
    scale.observe(batch_of(np.zeros((3, 2)), np.zeros((4, 2))))
    assert scale.value == 1.0
    with pytest.raises(NumericError, match=r"not a finite number below 2\^300"):
        scale.observe(batch_of(np.array([[1e200, -1e200]]), np.zeros((2, 2))))


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
def test_the_unit_of_rewards_does_not_matter(algorithm: str, theta: str) -> None:
    """In another unit, here a power of two, every parameter comes out to the bit; without the scale it does not."""
    on = settings(6, algorithm=algorithm, theta=theta, learner=ALL_ON, **AIS_ON)
    one, other = run(on), run(on, 64.0)
    assert all(np.array_equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))
    assert other.rewards.value == 64.0 * one.rewards.value != one.rewards.value
    off = settings(6, algorithm=algorithm, theta=theta)
    changed = zip(run(off).parameters, run(off, 64.0).parameters, strict=True)
    assert not all(np.array_equal(a, b) for a, b in changed)


def goes_on_from_a_snapshot(chosen: CoordinatorSettings) -> bool:
    """Whether a learner that is restored in the middle of a run ends as one that went straight on, which goes further."""
    straight, first = Coordinator(chosen, seed_bytes(7)), Coordinator(chosen, seed_bytes(7))
    second = Coordinator(chosen, seed_bytes(7))
    for record in records(chosen):
        straight.receive(record)
        if record.step < 17:
            first.receive(record)
            continue
        if record.step == 17:
            second.restore(first.snapshot())
        second.receive(record)
    return second.digest() == straight.digest() != first.digest()


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
def test_a_learner_with_everything_on_goes_on_from_a_snapshot(algorithm: str, theta: str) -> None:
    chosen = settings(6, algorithm=algorithm, theta=theta, learner=ALL_ON, **AIS_ON)
    assert goes_on_from_a_snapshot(chosen)


@pytest.mark.parametrize("theta", ["menu", "factored"])
@pytest.mark.parametrize("algorithm", ["actor-critic", "ppo", "trpo", "q-actor-critic"])
def test_the_actor_stays_and_the_others_move_while_prescriptions_are_uniform(algorithm: str, theta: str) -> None:
    chosen = settings(4, algorithm=algorithm, theta=theta, learner={"uniform_share": 0.5})
    learner = Coordinator(chosen, seed_bytes(7))
    first = learner.snapshot()
    own = {"trpo": "policy/", "q-actor-critic": "policy/"}.get(algorithm, "actor-critic/actor.")
    actor = [name for name in first if (name.startswith(own) or name.endswith("/coupling")) and "adam" not in name]
    assert any(name.endswith("/coupling") for name in actor) == (theta == "factored")
    for record in records(chosen):
        learner.receive(record)
        if record.step == 2 * chosen.learner.batch_lock_steps:
            early = learner.snapshot()
    late = learner.snapshot()
    assert all(np.array_equal(first[name], early[name]) for name in actor)
    assert not all(np.array_equal(first[name], late[name]) for name in actor)
    parts = ("ais", "critic", "value", "actor-critic")
    moved = [name for name in first if name not in actor and name.split("/")[0] in parts]
    assert any(not np.array_equal(first[name], early[name]) for name in moved)


def test_uniform_prescriptions_are_uniform_in_every_space() -> None:
    words = Stream("test", seed_bytes(1)).words(0, 4000, 2)
    assert np.bincount(Menu(4).uniform(words[:, :1])) == pytest.approx(np.full(4, 1000), abs=120)
    pairs = Factored((4, 2), 1).uniform(words)
    assert np.bincount(2 * pairs[:, 0] + pairs[:, 1]) == pytest.approx(np.full(8, 500), abs=90)
    low, high = np.array([-1.0, 2.0]), np.array([3.0, 10.0])
    points = Box(low, high).uniform(words)
    assert (points >= low).all()
    assert (points < high).all()
    assert np.quantile(points, [0.25, 0.75], axis=0) == pytest.approx(np.array([[0.0, 4.0], [2.0, 8.0]]), abs=0.25)
    assert Corners(low, high).uniform(words).mean(axis=0) == pytest.approx([1.0, 6.0], abs=0.25)


def test_the_entropy_bonus_ends_with_its_share_of_the_run() -> None:
    half = settings(8, learner={"entropy_weight": 0.4, "entropy_share": 0.5})
    assert [entropy_weight(half, update) for update in range(1, 9)] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0])
    whole = settings(8, learner={"entropy_weight": 0.4})
    assert entropy_weight(whole, 8) == pytest.approx(0.05)


def test_neither_loss_of_the_ais_owns_the_step() -> None:
    """What a step does to the head of z' depends on the size of rewards if one norm clips both losses, and not otherwise."""

    def moved(factor: float, apart: bool) -> Array:
        chosen = settings(1, gradient_norm=0.01, clips_apart=apart)
        learner = Coordinator(chosen, seed_bytes(7))
        group = learner.approximator.group
        group.set_step_rule("sgd", 0.0)
        before = group.values.copy()
        for record in records(chosen):
            learner.receive(record._replace(rewards=record.rewards * factor))
        change: Array = (group.values - before)[group.slices["transition.output.weight"]]
        return change

    assert np.array_equal(moved(1.0, apart=True), moved(1000.0, apart=True))
    small, large = gradient_norm(moved(1.0, apart=False)), gradient_norm(moved(1000.0, apart=False))
    assert large < 0.99 * small


def test_the_ais_learns_from_replay_beside_any_algorithm() -> None:
    chosen = settings(6, learner={}, **AIS_ON)
    learner, without = run(chosen), run(settings(6, clips_apart=True))
    assert learner.memory is not None
    assert learner.memory.count == 30
    assert without.memory is None
    assert not np.array_equal(learner.approximator.group.values, without.approximator.group.values)
    assert "memory" in learner.tensor_digests()
    with pytest.raises(ConfigError, match=r"ais\.replay_warm_up is 8, .*Give less than ais\.replay_window"):
        AisSettings(replay_window=8)
