"""Self-imitation: what is kept, that it comes to use, and that nothing of it is there where nobody asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dadc_net.coordinator.algorithm import Parts
from dadc_net.coordinator.algorithms.actor_critic import Targets
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.algorithms.trpo import TrustRegion
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.best_windows import LARGEST, BestWindows
from dadc_net.coordinator.encoder import encoder
from dadc_net.coordinator.networks.distribution import PolicyValues
from dadc_net.coordinator.prescription import theta_space
from dadc_net.coordinator.schedule import imitation_weight
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import ConfigError
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.spaces import space_from_plain
from tests.coordinator.test_general import goes_on_from_a_snapshot
from tests.coordinator.test_learner import THETAS, run, settings

ON: Mapping[str, Any] = {"imitation_weight": 1.0, "imitation_windows": 2}
ABLE = [name for name, spec in ALGORITHMS.items() if spec.imitates]


def best_windows(chosen: CoordinatorSettings) -> BestWindows:
    space, theta = space_from_plain(chosen.common_space), theta_space(chosen.theta_space)
    approximator = encoder(chosen, space, theta, Stream("ais", seed_bytes(7)))
    return BestWindows(Parts(chosen, space, theta, approximator, seed_bytes(7)))


def batch_of(rewards: Array, begins: Array) -> Batch:
    """Rewards [T, E]; begins [T+1, E]; theta at record t is t."""
    steps, copies = rewards.shape
    return Batch(
        inputs=np.zeros((steps + 1, copies, 15)),
        keep=1.0 - begins[:, :, None],
        start=np.zeros((copies, 5)),
        common_index=np.zeros((steps + 1, copies), dtype=np.int64),
        prescriptions=np.repeat(np.arange(steps)[:, None] % 3, copies, axis=1),
        rewards=rewards,
        ended=np.zeros((steps + 1, copies), dtype=np.uint8),
    )


def nothing(states: Array) -> Array:
    return np.zeros(len(states))


def test_the_columns_that_earned_most_since_a_begin_are_kept_until_better_ones_come() -> None:
    windows = best_windows(settings(1, 4, 3, learner=ON))
    begins = np.zeros((4, 4))
    begins[0, :3] = 1.0  # Copy 4 began long ago: what came before is not known here.
    first = batch_of(np.array([[0.0, 1.0, -5.0, 90.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]), begins)
    found = windows.repeated(nothing, first, np.zeros((4, 4, 5)))
    rewards = windows.arrays()["imitation/rewards"]
    assert rewards.T.tolist() == [[-5.0, 0.0, 2.0], [1.0, 0.0, 0.0]]
    # G of -5, 0, 2 is -3.38, 1.8, 2: what is below V = 0 is not followed.
    assert found.weights.reshape(3, 2).T.tolist() == [pytest.approx([0.0, 1.8, 2.0]), [1.0, 0.0, 0.0]]
    assert found.drawn.reshape(3, 2).T.tolist() == [[0, 1, 2], [0, 1, 2]]
    windows.repeated(nothing, batch_of(np.full((3, 4), 1.0), begins), np.zeros((4, 4, 5)))
    assert rewards.T.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    windows.repeated(nothing, batch_of(np.zeros((3, 4)), begins), np.zeros((4, 4, 5)))
    assert rewards.T.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    # Once more is expected than was earned there, nothing is followed.
    following = batch_of(np.zeros((3, 4)), begins)
    found = windows.repeated(lambda states: np.full(len(states), 50.0), following, np.zeros((4, 4, 5)))
    assert found.weights.tolist() == [0.0] * 6


def test_no_more_is_kept_than_there_are_copies() -> None:
    for copies, kept in ((1, 1), (5, 2)):
        windows = best_windows(settings(1, copies, 3, learner=ON))
        assert windows.arrays()["imitation/rewards"].shape == (3, kept)


def test_what_is_followed_is_measured_in_deviations_and_bounded() -> None:
    windows = best_windows(settings(1, 600, 1, learner={**ON, "normalise_advantages": True}))
    rewards, begins = np.zeros((1, 600)), np.ones((2, 600))
    rewards[0, 0], rewards[0, 1] = 4000.0, 1000.0
    found = windows.repeated(nothing, batch_of(rewards, begins), np.zeros((2, 600, 5)))
    assert found.weights.tolist() == [LARGEST, pytest.approx(1000.0 / np.std(rewards))]


def test_only_what_is_rare_is_followed_where_that_is_asked_for() -> None:
    rewards, begins = np.zeros((1, 600)), np.ones((2, 600))
    rewards[0, 0], rewards[0, 1:301] = 40.0, 1.0  # One success in 600, and the luck of every second copy.
    deviation = np.std(rewards)
    for least, followed in ((0.0, 40.0 + 1.0), (3.0, 40.0), (20.0, 40.0), (0.2, 40.0 + 1.0)):
        windows = best_windows(settings(1, 600, 1, learner={**ON, "imitation_least": least}))
        found = windows.repeated(nothing, batch_of(rewards, begins), np.zeros((2, 600, 5)))
        assert found.weights.sum() == followed
        assert (least * deviation <= 1.0) == (followed == 41.0)
    # A success that every fifth copy has is nothing rare any more: its like is left to the batches themselves.
    rewards[0, ::5] = 40.0
    windows = best_windows(settings(1, 600, 1, learner={**ON, "imitation_least": 3.0}))
    assert windows.repeated(nothing, batch_of(rewards, begins), np.zeros((2, 600, 5))).weights.sum() == 0.0


@pytest.mark.parametrize(("algorithm", "theta"), [(name, theta) for name in ABLE for theta in ALGORITHMS[name].thetas])
def test_it_changes_what_is_learned_while_its_weight_lasts(algorithm: str, theta: str) -> None:
    on = settings(4, algorithm=algorithm, theta=theta, learner={**ON, "imitation_share": 0.5})
    assert [imitation_weight(on, update) for update in (1, 2, 3, 4)] == [1.0, 0.5, 0.0, 0.0]
    with_it, without = run(on), run(settings(4, algorithm=algorithm, theta=theta))
    assert with_it.digest() != without.digest()
    assert set(with_it.rule()) == set(without.rule())  # What is kept is not part of the rule.
    assert {name for name in with_it.snapshot() if name.startswith("imitation/")}
    assert not {name for name in without.snapshot() if name.startswith("imitation/")}
    assert run(on).digest() == with_it.digest()


@pytest.mark.parametrize(("algorithm", "theta"), [(name, theta) for name in ABLE for theta in ALGORITHMS[name].thetas])
def test_a_learner_that_imitates_goes_on_from_a_snapshot(algorithm: str, theta: str) -> None:
    chosen = settings(6, algorithm=algorithm, theta=theta, learner={**ON, "imitation_share": 1.0})
    assert goes_on_from_a_snapshot(chosen)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in ABLE])
def test_an_algorithm_that_follows_nothing_again_says_so(algorithm: str) -> None:
    theta = ALGORITHMS[algorithm].thetas[0]
    with pytest.raises(ConfigError, match=f"the algorithm {algorithm} follows nothing again.*actor-critic, ppo"):
        settings(algorithm=algorithm, theta=theta, learner=ON)


@pytest.mark.parametrize("theta", THETAS)
def test_the_step_of_a_trust_region_and_its_search_follow_one_gain(theta: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient that conjugate gradients are given is the slope of what the line search compares, imitation and all."""
    gradients: list[Array] = []
    slopes: list[tuple[float, float, float]] = []

    def gradient_itself(_fisher: object, gradient: Array, _steps: int) -> Array:
        gradients.append(gradient.copy())
        return gradient.copy()

    def slope(self: TrustRegion, goal: Targets, _step: Array, old: PolicyValues, weights: Any) -> tuple[float, float]:
        along = gradients[-1] / np.linalg.norm(gradients[-1])
        before, found = self.policy.group.values.copy(), []
        for given in (goal, goal._replace(repeated=None)):
            ends = []
            for side in (1e-3, -1e-3):
                self.policy.group.assign(before + side * along)
                ends.append(self._surrogate(given, old, weights)[0])
            found.append((ends[0] - ends[1]) / 2e-3)
        self.policy.group.assign(before)
        slopes.append((float(np.linalg.norm(gradients[-1])), *found))
        return 0.0, 0.0

    monkeypatch.setattr("dadc_net.coordinator.algorithms.trpo.conjugate_gradients", gradient_itself)
    monkeypatch.setattr(TrustRegion, "_search", slope)
    run(settings(2, algorithm="trpo", theta=theta, learner={**ON, "imitation_weight": 5.0, "imitation_share": 1.0}))
    assert len(slopes) == 2
    assert [whole for _, whole, _ in slopes] == pytest.approx([steepness for steepness, _, _ in slopes], rel=1e-3)
    assert any(abs(without - steepness) > 0.01 * steepness for steepness, _, without in slopes)
