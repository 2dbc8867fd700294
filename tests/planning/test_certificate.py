"""Theorem 5's constants: zero for the exact belief, as large as the error that is put in, and a bound that holds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.coordinator.view import Prediction
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.experiment.simulation import Simulation
from dadc_net.planning.certificate import EnumeratedBeliefs, ExactBeliefs, certify, transport
from dadc_net.planning.coordinated_model import CoordinatedModel
from dadc_net.planning.planners import Plan, plan
from dadc_net.planning.value_iteration import Solution


class BeliefView:
    """A learner whose AIS is the exact belief, with errors put in."""

    def __init__(self, model: CoordinatedModel, solution: Solution, reward_error: float, value_error: float) -> None:
        self.model, self.solution = model, solution
        self.reward_error, self.value_error = reward_error, value_error

    def begin(self, copies: int) -> None:
        self.belief = np.full(copies, self.model.start)
        self.chosen: NDArray[np.int64] | None = None

    def observe(self, common: NDArray[np.int64]) -> Prediction:
        model, solution = self.model, self.solution
        if self.chosen is not None:
            outcome = np.argmax((model.outcomes[None] == common[:, None]).all(axis=2), axis=1)
            self.belief = model.next_belief[self.belief, self.chosen, outcome]
        b = self.belief
        scores = model.reward[b] + 0.9 * (model.expected(solution.value)[b] + self.value_error)
        return Prediction(
            model.beliefs[b],
            solution.value[b] + self.value_error,
            model.reward[b] + self.reward_error,
            model.probability[b],
            model.beliefs[model.next_belief[b]],
            scores,
            np.argmax(scores, axis=1),
        )

    def follow(self, prescriptions: NDArray[np.int64]) -> None:
        self.chosen = prescriptions


@pytest.fixture(scope="module")
def solved() -> Plan:
    config = resolve("mabc")
    return plan(config.task, config.parameters, config.menu, 0.9)


@pytest.mark.parametrize(("reward_error", "value_error"), [(0.0, 0.0), (0.03, 0.0), (0.0, 0.2)])
def test_the_constants_are_the_errors_that_were_put_in(solved: Plan, reward_error: float, value_error: float) -> None:
    view = BeliefView(solved.model, solved.solution, reward_error, value_error)
    found = certify(EnumeratedBeliefs(solved.model, solved.solution), 0.9, view, 60, 20, Stream("test", seed_bytes(1)))
    assert found.points == 1200
    assert found.epsilon == pytest.approx(reward_error, abs=1e-12)
    assert found.delta == pytest.approx(0.0, abs=1e-12)
    # A constant error c of the value leaves the Bellman residual c - gamma c, which is c again over 1 - gamma.
    assert found.kappa == pytest.approx(value_error, abs=1e-8)
    assert found.error == pytest.approx(value_error, abs=1e-8)
    assert found.bound >= found.error - 1e-8
    assert found.lipschitz > 0.1


def test_transport_of_two_point_masses_is_their_distance_times_the_mass() -> None:
    points = np.array([[[0.0, 0.0], [3.0, 4.0]]])
    assert transport(np.array([[0.7, 0.3]]), np.array([[0.5, 0.5]]), points)[0] == pytest.approx(0.2 * 5.0)
    assert transport(np.array([[0.7, 0.3]]), np.array([[0.7, 0.3]]), points)[0] == 0.0


def test_a_learner_is_certified_and_its_bound_holds_where_it_was_measured() -> None:
    config = resolve("mabc", ["learner.num_envs=16", "learner.batch_steps=160"], {"updates": 30})
    learned = Simulation(config, seed_bytes(7), seed_bytes(1)).run().snapshot
    found = Evaluator(config).certificate(learned, trajectories=20)
    assert found is not None
    assert 0.0 < found.epsilon < 2.0
    assert found.delta > 0.0
    assert found.error <= found.bound


def test_a_learner_that_predicts_no_observation_is_refused() -> None:
    config = resolve("mabc", ["ais.loss=next-ais-nll", "learner.num_envs=4", "learner.batch_steps=8"], {"updates": 1})
    learned = Simulation(config, seed_bytes(7), seed_bytes(1)).run().snapshot
    with pytest.raises(UsageError, match="predicts no common observation"):
        Evaluator(config).certificate(learned)


def test_the_exact_belief_of_a_finite_task_has_no_error_but_what_is_put_in() -> None:
    config = resolve("recycling", (), {"evaluation.plan_seconds": 0.5})
    found = Evaluator(config).plan
    assert found is not None
    beliefs = found.beliefs
    assert beliefs is not None
    for reward_error, swapped in ((0.0, False), (0.25, False), (0.0, True)):
        view = LawView(beliefs, reward_error, swapped)
        made = certify(beliefs, 0.9, view, 20, 12, Stream("test", seed_bytes(1)))
        assert made.points == 12 * beliefs.copies(20)
        assert made.epsilon == pytest.approx(reward_error, abs=1e-12)
        assert (made.delta > 0.01) == swapped
        # V* is within its bounds, which are some way apart.
        assert made.error == 0.0
        assert made.value_bounds > 1.0


class LawView:
    """A learner that knows what is true, with errors put in; its AIS tells outcomes apart and nothing else."""

    def __init__(self, beliefs: ExactBeliefs, reward_error: float, swapped: bool) -> None:
        self._beliefs, self._reward_error, self._swapped = beliefs, reward_error, swapped

    def begin(self, copies: int) -> None:
        pass

    def observe(self, common: NDArray[np.int64]) -> Prediction:
        truth = self._beliefs.seen()
        count, entries, outcomes = truth.probability.shape
        following = np.broadcast_to(np.arange(outcomes)[None, None, :, None], (count, entries, outcomes, 1)) * 1.0
        middle = 0.5 * (truth.low + truth.high)
        return Prediction(
            common[:, :1].astype(np.float64),
            middle,
            truth.reward + self._reward_error,
            truth.probability[:, :, ::-1] if self._swapped else truth.probability,
            following,
            np.repeat(middle[:, None], entries, axis=1),
            np.argmax(truth.reward, axis=1),
        )

    def follow(self, prescriptions: NDArray[np.int64]) -> None:
        pass


def test_what_follows_in_a_finite_task_has_the_probabilities_that_were_said() -> None:
    config = resolve("recycling", (), {"evaluation.plan_seconds": 0.5})
    found = Evaluator(config).plan
    assert found is not None
    assert found.beliefs is not None
    copies = found.beliefs.copies(2000)
    found.beliefs.begin(copies)
    truth = found.beliefs.seen()
    assert truth.probability.sum(axis=2) == pytest.approx(np.ones(truth.probability.shape[:2]))
    entry = np.full(copies, int(np.argmax((truth.probability[0] > 1e-9).sum(axis=1))))
    common = found.beliefs.follow(entry, np.random.default_rng(0).random(copies))
    said = truth.probability[0, entry[0]]
    met = (found.beliefs.outcomes[None] == common[:, None]).all(axis=2).mean(axis=0)
    assert np.abs(met - said).max() < 5.0 * np.sqrt(0.25 / copies)
    assert (met[said == 0.0] == 0.0).all()


def test_a_learner_of_a_finite_task_is_certified() -> None:
    quick = ["learner.num_envs=8", "learner.batch_steps=80", "evaluation.plan_seconds=0.1"]
    config = resolve("dec-tiger", quick, {"updates": 3})
    learned = Simulation(config, seed_bytes(7), seed_bytes(1)).run().snapshot
    found = Evaluator(config).certificate(learned, trajectories=2)
    assert found is not None
    assert found.epsilon > 0.0
    assert found.delta > 0.0
    assert found.error <= found.bound
