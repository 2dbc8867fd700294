"""The coordinator as a state machine: one step exactly, batches, restore, masking, and what it must refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.coordinator import advantage
from dadc_net.coordinator.advantage import generalised_advantages, normalised
from dadc_net.coordinator.algorithms.registry import ALGORITHMS, NafSettings, PlanningSettings, PpoSettings
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.losses import NEXT_AIS_LOSSES
from dadc_net.coordinator.prescription import Box, Menu
from dadc_net.coordinator.rule import GreedyRule
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.errors import ConfigError, InvariantError, NumericError
from dadc_net.exact.acting import draw
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from tests.coordinator.batches import batch_of

THETAS = {"menu": FiniteSpace((3,)), "factored": FiniteSpace((2, 3, 2)), "box": BoxSpace((-1.0, 0.0), (1.0, 5.0))}
AIS_LOSSES = ("next-observation", *NEXT_AIS_LOSSES)
LEARNERS = [(algorithm, theta) for algorithm, spec in ALGORITHMS.items() for theta in spec.thetas]
"""Algorithms with the prescriptions that they can learn."""
# Planning looks ahead over next common observations, so it takes no other loss.
CASES = [
    (*pair, loss) for pair in LEARNERS for loss in AIS_LOSSES if pair[0] != "ais-planning" or loss == "next-observation"
]


def settings(
    updates: int = 3,
    copies: int = 4,
    steps: int = 5,
    algorithm: str = "actor-critic",
    theta: str = "menu",
    learner: Mapping[str, Any] = {},
    **ais: object,
) -> CoordinatorSettings:
    return CoordinatorSettings(
        num_agents=2,
        updates=updates,
        discount=0.9,
        algorithm=algorithm,
        common_space=FiniteSpace((2, 2, 3)).to_plain(),
        theta_space=THETAS[theta].to_plain(),
        learner=LearnerSettings(num_envs=copies, batch_steps=copies * steps, hidden_size=5, **learner),
        ais=AisSettings(**ais),  # type: ignore[arg-type]
        own={
            "ppo": PpoSettings(epochs=2),
            "naf": NafSettings(steps=2, windows=4, window=3, warm_up=1, first_steps=0, hidden_size=6),
            "planning": PlanningSettings(model_steps=2, windows=4, window=3, warm_up=1, states=8),
        },
    )


def records(chosen: CoordinatorSettings, seed: int = 1, restart: int = 7) -> Iterator[CommonRecord]:
    """Synthetic common records: any values of the space will do."""
    stream = Stream("test", seed_bytes(seed))
    copies = chosen.learner.num_envs
    last = chosen.updates * chosen.learner.batch_lock_steps
    for t in range(last + 1):
        u = stream.uniforms(t, copies, 4)
        common = np.stack([(u[:, 0] * 2), (u[:, 1] * 2), (u[:, 2] * 3)], axis=1).astype(np.int64)
        age = t % (restart + 1)
        begin = np.full(copies, age == 0)
        ended = np.full(copies, 1 if age == restart else 0, dtype=np.uint8)
        yield CommonRecord(t, common, np.where(begin, 0.0, u[:, 3] - 0.5), begin, ended)


def run(chosen: CoordinatorSettings, seed: int = 7) -> Coordinator:
    learner = Coordinator(chosen, seed_bytes(seed))
    for record in records(chosen):
        learner.receive(record)
    return learner


def test_two_replicas_are_equal_and_seeds_differ() -> None:
    chosen = settings()
    assert run(chosen).digest() == run(chosen).digest()
    assert run(chosen).digest() != run(chosen, seed=8).digest()


def test_updates_happen_at_the_records_that_close_a_batch() -> None:
    chosen = settings(updates=3)
    learner = Coordinator(chosen, seed_bytes(7))
    closed = []
    for record in records(chosen):
        decision = learner.receive(record)
        if decision.update is not None:
            closed.append((record.step, decision.update.update))
            assert decision.update.learner_digest
        assert (decision.prescriptions is None) == (record.step == 15)
    assert closed == [(5, 1), (10, 2), (15, 3)]


APART = {"hidden_layers": 2, "shared_trunk": False, "normalise_advantages": True}


@pytest.mark.parametrize(("algorithm", "theta", "loss"), CASES)
def test_every_parameter_moves_in_an_update(algorithm: str, theta: str, loss: str) -> None:
    chosen = settings(updates=1, algorithm=algorithm, theta=theta, loss=loss)
    before = Coordinator(chosen, seed_bytes(7)).snapshot()
    after = run(chosen).snapshot()
    moving = (".weight", ".bias", "log-deviation", "naf/target")
    still = [name for name in before if name.endswith(moving) and (before[name] == after[name]).all()]
    assert still == []


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
def test_every_parameter_of_deeper_networks_moves_without_a_state_approximator(algorithm: str, theta: str) -> None:
    if algorithm == "ais-planning":
        with pytest.raises(ConfigError, match=r"ais\.encoder"):
            Coordinator(settings(algorithm=algorithm, encoder="none"), seed_bytes(7))
        return
    chosen = settings(2, algorithm=algorithm, theta=theta, learner=APART, encoder="none", feature_scale=2.0)
    before = Coordinator(chosen, seed_bytes(7)).snapshot()
    after = run(chosen).snapshot()
    moving = [name for name in before if name.endswith((".weight", ".bias", "log-deviation"))]
    assert not any(name.startswith("ais/") for name in moving)
    assert any(name.endswith("hidden.2.weight") for name in moving)
    assert [name for name in moving if (before[name] == after[name]).all()] == []


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
@pytest.mark.parametrize("cut", [0, 3, 5, 8])
def test_restore_continues_with_the_same_bits(cut: int, algorithm: str, theta: str) -> None:
    chosen = settings(updates=3, algorithm=algorithm, theta=theta)
    whole = run(chosen)
    first, second = Coordinator(chosen, seed_bytes(7)), Coordinator(chosen, seed_bytes(7))
    for record in records(chosen):
        if record.step == cut:
            second.restore(first.snapshot())
            first = second
        first.receive(record)
    assert first.digest() == whole.digest()


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
@pytest.mark.parametrize("learner_settings", [{}, APART], ids=["", "apart"])
def test_a_row_is_scored_alone_as_in_the_batch(algorithm: str, theta: str, learner_settings: Mapping[str, Any]) -> None:
    """Acting and the learned rule: the same bits for one copy as for many."""
    learner = run(settings(algorithm=algorithm, theta=theta, learner=learner_settings))
    states = np.round(np.cos(np.arange(45.0)).reshape(9, 5) * 2**24) / 2**24
    for scores in (learner.algorithm.behaviour(3), learner.algorithm.greedy()):
        together = scores(states)
        assert together.shape == (9, learner.theta.code_size)
        assert np.unique(together).size > 3
        alone = np.concatenate([scores(row[None]) for row in states])
        assert np.array_equal(together, alone)


def test_acting_gives_the_states_of_the_batch_scan() -> None:
    """x_t made one record at a time equals x_t of the scan over the whole batch, bit for bit."""
    chosen = settings(updates=1, copies=3, steps=6)
    learner = Coordinator(chosen, seed_bytes(7))
    acted: list[NDArray[np.float64]] = []
    window: dict[str, NDArray[np.float64]] = {}
    for record in records(chosen):
        if record.step == 6:
            break
        acted.append(learner.receive(record).ais)
        window = learner.snapshot()
    batch = Batch(
        inputs=window["window/inputs"][:6],
        keep=window["window/keep"][:6],
        start=window["window/start"],
        common_index=window["window/common-index"][:6].astype(np.int64),
        prescriptions=window["window/prescriptions"][:5].astype(np.int64),
        rewards=window["window/rewards"][1:6],
        ended=window["window/ended"][:6].astype(np.uint8),
    )
    assert np.array_equal(learner.approximator.encode(batch), np.stack(acted))


def test_a_begin_forgets_state_and_prescription() -> None:
    """After a begin, the same observation gives the same AIS whatever came before."""
    chosen = settings(updates=50, copies=2)
    learner = Coordinator(chosen, seed_bytes(7))
    z = np.array([[1, 0, 1], [1, 0, 1]])
    ended, none = np.zeros(2, dtype=np.uint8), np.zeros(2)
    learner.receive(CommonRecord(0, z, none, np.array([True, True]), ended))
    learner.receive(CommonRecord(1, np.array([[0, 1, 2], [1, 1, 0]]), none, np.array([False, False]), ended))
    fresh = learner.receive(CommonRecord(2, z, none, np.array([True, True]), ended)).ais
    first = Coordinator(chosen, seed_bytes(7)).receive(CommonRecord(0, z, none, np.array([True, True]), ended)).ais
    assert np.array_equal(fresh, first)
    assert np.array_equal(fresh[0], fresh[1])


def test_copies_draw_the_same_for_any_number_of_copies() -> None:
    few, many = settings(copies=2), settings(copies=5)
    z = np.zeros((5, 3), dtype=np.int64)

    def chosen(s: CoordinatorSettings) -> NDArray[np.int64]:
        n = s.learner.num_envs
        record = CommonRecord(0, z[:n], np.zeros(n), np.ones(n, dtype=bool), np.zeros(n, dtype=np.uint8))
        result = Coordinator(s, seed_bytes(7)).receive(record).prescriptions
        assert result is not None
        return result

    assert np.array_equal(chosen(few), chosen(many)[:2])


def test_rewards_of_ignored_steps_do_not_matter() -> None:
    """The reward that arrives with a begin belongs to an action that was ignored; it is masked out of all losses."""
    chosen = settings(updates=2)
    plain, disturbed = Coordinator(chosen, seed_bytes(7)), Coordinator(chosen, seed_bytes(7))
    for record in records(chosen):
        plain.receive(record)
        odd = np.where(record.begin, 123.0, record.rewards)
        disturbed.receive(record._replace(rewards=odd))
    a, b = plain.snapshot(), disturbed.snapshot()
    assert all(np.array_equal(a[name], b[name]) for name in a if not name.startswith("window/rewards"))


def test_missing_records_and_bad_rewards_are_refused() -> None:
    chosen = settings()
    learner = Coordinator(chosen, seed_bytes(7))
    first, second, *_ = records(chosen)
    learner.receive(first)
    with pytest.raises(InvariantError, match="expected record 1"):
        learner.receive(first)
    with pytest.raises(NumericError, match="rewards of record 1"):
        learner.receive(second._replace(rewards=np.array([0.0, np.nan, 0.0, 0.0])))


def test_a_non_finite_parameter_stops_with_the_tensor_named() -> None:
    chosen = settings(updates=1)
    learner = Coordinator(chosen, seed_bytes(7))
    *before, last = records(chosen)
    for record in before:
        learner.receive(record)
    learner.groups[1].arrays["critic.output.bias"][:] = np.inf
    with pytest.raises(NumericError, match=r"actor-critic/critic\.output"):
        learner.receive(last)


def test_greedy_rule_follows_the_coordinator() -> None:
    """The rule's AIS is the coordinator's when both are given the same observations and prescriptions."""
    chosen = settings(updates=2)
    learner = run(chosen)
    rule = GreedyRule(chosen, learner.snapshot())
    rule.begin(3)
    picks = rule.choose(np.zeros((3, 3), dtype=np.int64))
    assert picks.shape == (3,)
    assert len(set(picks.tolist())) == 1
    logits = learner.algorithm.greedy()(np.zeros((1, chosen.ais.size)))
    assert logits.shape == (1, 3)


def test_greedy_ties_go_to_the_lowest_index() -> None:
    assert Menu(3).greedy(np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]]), np.zeros(0)).tolist() == [0, 1]


def test_a_point_outside_the_box_is_played_as_the_nearest_inside() -> None:
    box = Box(np.array([-1.0, 0.0]), np.array([1.0, 5.0]))
    drawn = np.array([[-3.0, 2.5], [0.5, 7.0]])
    assert box.played(drawn).tolist() == [[-1.0, 2.5], [0.5, 5.0]]
    assert box.codes(drawn).tolist() == [[-1.0, 0.0], [0.5, 1.0]]
    assert box.greedy(drawn, np.ones(2)).tolist() == box.played(drawn).tolist()


def test_a_gaussian_is_drawn_around_its_mean() -> None:
    box = Box(np.array([-1.0, 0.0]), np.array([1.0, 5.0]))
    words = Stream("sampling", seed_bytes(3)).words(0, 2, 20_000).T
    drawn = box.draw(np.tile([0.3, 2.0], (20_000, 1)), np.array([0.5, 2.0]), words)
    assert np.abs(drawn.mean(axis=0) - [0.3, 2.0]).max() < 0.05
    assert np.abs(drawn.std(axis=0) / [0.5, 2.0] - 1.0).max() < 0.02
    assert np.array_equal(drawn[:1], box.draw(np.array([[0.3, 2.0]]), np.array([0.5, 2.0]), words[:1]))


def test_advantages_are_normalised_over_the_steps_that_count() -> None:
    advantages = np.cos(np.arange(20.0)).reshape(5, 4) * 3.0 + 1.0
    valid = np.ones((5, 4))
    valid[2, 1] = 0.0
    advantages[2, 1] = 1e6
    counted = normalised(advantages, valid)[valid > 0.0]
    assert counted.mean() == pytest.approx(0.0, abs=1e-9)
    assert counted.std() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("algorithm", "theta"), [("naf-dqn", "menu"), ("ais-planning", "box"), ("q-actor-critic", "box")])
def test_prescriptions_that_an_algorithm_cannot_learn_are_refused(algorithm: str, theta: str) -> None:
    with pytest.raises(ConfigError, match="can learn"):
        settings(algorithm=algorithm, theta=theta)


def test_planning_demands_a_learned_model_of_the_next_observation() -> None:
    with pytest.raises(ConfigError, match="looks ahead with"):
        settings(algorithm="ais-planning", encoder="none")
    with pytest.raises(ConfigError, match="looks ahead over"):
        settings(algorithm="ais-planning", loss="next-ais-nll")


def test_sampling_follows_the_probabilities() -> None:
    words = Stream("sampling", seed_bytes(3)).words(0, 1, 40_000)[0]
    logits = np.tile(np.log(np.array([[0.2, 0.5, 0.3]])), (40_000, 1))
    shares = np.bincount(draw(logits, words), minlength=3) / 40_000
    assert np.abs(shares - [0.2, 0.5, 0.3]).max() < 0.01


def test_advantages_against_a_direct_sum() -> None:
    """lambda = 1 and no ends: the advantage is the discounted return to the bootstrap minus the value."""
    steps, copies, gamma = 6, 2, 0.9
    rewards = np.arange(12, dtype=np.float64).reshape(steps, copies) / 7
    values = np.cos(np.arange(14, dtype=np.float64)).reshape(steps + 1, copies)
    batch = batch_of(rewards, np.zeros((steps + 1, copies)))
    found = generalised_advantages(batch, values, gamma, 1.0)
    for t in range(steps):
        direct = sum(gamma ** (k - t) * rewards[k] for k in range(t, steps)) + gamma ** (steps - t) * values[steps]
        assert np.allclose(found[t], direct - values[t], atol=1e-12)


@pytest.mark.parametrize("copies", [1, 3, 8])
def test_advantages_of_few_copies_have_the_bits_of_many(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 50
    draws = np.random.default_rng(copies).normal(size=(3, steps + 1, copies))
    batch = batch_of(draws[0, :-1], draws[1] > 1.5)
    one_by_one = generalised_advantages(batch, draws[2], 0.95, 0.9)
    monkeypatch.setattr(advantage, "_FEW_COPIES", 0)
    by_rows = generalised_advantages(batch, draws[2], 0.95, 0.9)
    assert one_by_one.shape == (steps, copies)
    assert one_by_one.tobytes() == by_rows.tobytes()


def test_truncated_bootstraps_and_terminated_does_not() -> None:
    values = np.array([[1.0, 1.0], [5.0, 5.0], [7.0, 7.0]])
    ended = np.array([[0, 0], [1, 2], [0, 0]], dtype=np.uint8)
    batch = Batch(
        inputs=np.zeros((3, 2, 1)),
        keep=np.ones((3, 2, 1)),
        start=np.zeros((2, 1)),
        common_index=np.zeros((3, 2), dtype=np.int64),
        prescriptions=np.zeros((2, 2), dtype=np.int64),
        rewards=np.zeros((2, 2)),
        ended=ended,
    )
    found = generalised_advantages(batch, values, 0.5, 1.0)
    assert found[0].tolist() == [0.5 * 5.0 - 1.0, -1.0]
    assert batch.valid.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_settings_round_trip_and_digest() -> None:
    chosen = settings()
    again = CoordinatorSettings.from_plain(chosen.to_plain())
    assert again == chosen
    assert again.digest() == chosen.digest()
    assert settings(size=6).digest() != chosen.digest()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["learner.batch_steps=301", "learner.num_envs=4"], "multiple of learner.num_envs"),
        (["ais.size=0"], "ais.size is 0"),
        (['ais.loss="next-obs"'], "Did you mean 'next-observation'"),
        (["discount=1.0"], "strictly between"),
        (["learner.trace_decay=2"], "from 0 to 1"),
        (["ppo.epochs=0"], "ppo.epochs"),
        (['learner.learning_rate="fast"'], "not of type float"),
        (["learner.learning_rates=0.1"], "Did you mean 'learning_rate'"),
    ],
)
def test_bad_settings_name_key_value_and_remedy(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve("mabc", overrides)
