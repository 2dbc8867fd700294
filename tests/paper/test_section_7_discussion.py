"""Section 7: perceived non-stationarity and its baseline; (P2a) and (P2b) instead of (P2), and what (P2) does as printed."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from dadc_net.coordinator.ais import StateApproximator, covariance, spread
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.model import LearnedModel
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.streams import seed_bytes
from dadc_net.planning.multi_access_broadcast import expand
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcastParameters
from tests.paper import broadcast, printed
from tests.paper.broadcast import ARRIVAL, START
from tests.paper.one_update import AS_PRINTED, batch_of, one_update, parameters, theorem_settings
from tests.paper.printed import Array
from tests.paper.test_section_5_team import configured, learn, replay


def reward_seen_by_agent_1(other: int) -> Fraction:
    """E[R_1 | agent 1 has a packet and transmits] when agent 2's rule is: transmit a packet, or never."""
    weight = gain = Fraction(0)
    for state, chance in broadcast.moves(START, (0, 0)).items():
        if state[0]:
            action = broadcast.obey((1, other), state)
            weight += chance
            gain += chance * broadcast.reward(action, state[2])
    return gain / weight


def sole_sender() -> Fraction:
    """E[R_1] when one device transmits alone: the channel was idle a step ago."""
    return sum((broadcast.transition(0, s) * broadcast.reward((0, 1), s) for s in (0, 1)), Fraction(0))


def test_the_environment_of_a_single_agent_is_not_stationary() -> None:
    """Section 7: for a single agent the environment depends on the other's policy; for the coordinator it does not.

    In D.1 the same observation and action of agent 1 are worth another reward when agent 2 changes its rule. To the
    coordinator the two rules are two prescriptions, and what a prescription is worth at a belief stays what it is,
    whatever was prescribed before.
    """
    assert reward_seen_by_agent_1(0) != reward_seen_by_agent_1(1)
    have = ARRIVAL[0]
    worth = have * reward_seen_by_agent_1(0), have * reward_seen_by_agent_1(1) + (1 - have) * ARRIVAL[1] * sole_sender()
    for before in broadcast.OPPORTUNITIES["all"]:
        (branch,) = broadcast.branches({START: Fraction(1)}, before).values()
        belief = [float(sum(w for s, w in branch.law.items() if s[place])) for place in (2, 0, 1)]
        found = expand(np.array([belief]), MultiAccessBroadcastParameters(), np.array([[[1.0, 0.0], [1.0, 1.0]]]))
        assert found.reward[0] == pytest.approx([float(value) for value in worth], abs=1e-12)


def test_independent_learners_are_a_baseline_that_shares_nothing() -> None:
    """Section 7, "a naive approach": each agent learns alone. Their parameters differ at every step; a team's never do."""
    for how, equal in (("independent", False), ("shared", True)):
        config = configured(f"learning={how}")
        log = learn(config)
        one, two = (replay(config, log, agent) for agent in (1, 2))
        pairs = zip(one.states, two.states, strict=True)
        assert all(np.array_equal(mine, theirs) is equal for mine, theirs in pairs)
        assert not np.array_equal(one.states[0], one.states[-1])


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Made-up common information of 40 steps in a learner's own form, for training on it again and again."""
    settings = theorem_settings("learner.batch_steps=40", "ais.size=5", *AS_PRINTED)
    return batch_of(one_update(settings, largest_reward=1.0).seen, 5)


def fresh(settings: CoordinatorSettings) -> StateApproximator:
    """A state approximator as seed 7 begins it."""
    approximator = Coordinator(settings, seed_bytes(7)).approximator
    assert isinstance(approximator, StateApproximator)
    return approximator


def test_a_constant_encoder_minimises_p2_as_printed_and_not_p2b(batch: Batch) -> None:
    """Deviation: the default loss is (P2b), because (P2) with identity covariance has its least value at a constant AIS.

    -log N(x_{t+1}; mean, I) is never below its constant, and a constant encoder reaches it. The same encoder leaves (P2b) at
    least the entropy of what was observed: a constant says nothing of the next observation.
    """
    found = {}
    for loss in ("next-ais-nll", "next-observation"):
        approximator = fresh(theorem_settings("ais.size=5", f"ais.loss={loss}", "ais.detach_target=false"))
        before = approximator.losses(batch).transition
        approximator.group.values[...] = 0.0
        constant = approximator.losses(batch)
        assert not constant.states.any()
        found[loss] = before, constant.transition
    assert found["next-ais-nll"][0] > 0.0
    assert found["next-ais-nll"][1] == 0.0
    shares = np.bincount(batch.common_index[1:, 0]) / 40
    entropy = -sum(share * np.log(share) for share in shares if share > 0.0)
    assert found["next-observation"][1] >= entropy > 1.0


def test_training_with_p2_as_printed_collapses_the_ais_and_p2b_does_not(batch: Batch) -> None:
    """Deviation, shown: 100 steps of Adam at E.1's rate, from the same parameters, three times the usual first ones."""
    ends = {}
    optimiser = ["schedule.optimiser=adam", "schedule.kind=linear", "ais.final_learning_rate_share=1"]
    for loss in ("next-ais-nll", "next-observation"):
        chosen = ["ais.size=5", f"ais.loss={loss}", "ais.detach_target=false", "ais.learning_rate=0.08", *optimiser]
        settings = theorem_settings(*chosen, updates=1000)
        approximator = fresh(settings)
        approximator.group.values *= 3.0
        spreads = []
        for step in range(1, 101):
            states, _ = approximator.improve(batch, settings, step)
            spreads.append(spread(covariance(states[:-1, 0])))
        ends[loss] = spreads[0], spreads[-1]
    assert ends["next-ais-nll"][0] == ends["next-observation"][0]
    assert ends["next-ais-nll"][1] < 0.5 * ends["next-ais-nll"][0]
    assert ends["next-observation"][1] > 2.0 * ends["next-observation"][0]


def test_p2a_the_ais_evolves_like_a_state() -> None:
    """(P2a): X_{t+1} = rho(X_t, observation, action), Lipschitz; for the coordinator these are z_{t+1} and theta_t.

    By E.1's formula on this page: the learner's next AIS is a function of the three, and of nothing before them.
    """
    learner = one_update(theorem_settings()).learner
    approximator, entries = learner.approximator, learner.settings.num_prescriptions
    assert isinstance(approximator, StateApproximator)
    p = parameters(learner)["ais"]
    outcomes = np.array([0, 5, 11])
    states = np.round(np.random.Generator(np.random.Philox(8)).uniform(-1, 1, (4, 3)) * 2**24) / 2**24
    following = LearnedModel(approximator, learner.space, outcomes).expand(states, every=True).following
    found = following.reshape(4, entries, len(outcomes), 3)
    for row, theta, place in product(range(4), range(entries), range(len(outcomes))):
        given = np.concatenate((np.eye(learner.space.num_values)[outcomes[place]], np.eye(entries)[theta]))
        assert found[row, theta, place] == pytest.approx(_rho(p, states[row], given), abs=1e-6)
    # Lipschitz in x, with the constant 3 at these weights: a GRU of bounded weights is.
    change = np.linalg.norm(found[0] - found[1], axis=-1)
    assert (change <= 3.0 * np.linalg.norm(states[0] - states[1])).all()


def _rho(p: printed.Parameters, x: Array, given: Array) -> Array:
    """One step of E.1's encoder from x."""
    g = np.split(printed.layer(p, "encoder.gates", np.tanh(printed.layer(p, "encoder.input", given))), 3)
    s = np.split(printed.layer(p, "encoder.recurrent", x), 3)
    reset, update = (1.0 / (1.0 + np.exp(-(g[gate] + s[gate]))) for gate in (0, 1))
    return (1.0 - update) * np.tanh(g[2] + reset * s[2]) + update * x


def test_p2b_the_loss_is_the_divergence_from_what_was_observed() -> None:
    """(P2b): the KL divergence of the predicted law of z_{t+1} from the observed one, here by its sample, -log nu^(z_{t+1}).

    Averaged over z ~ mu, -log nu^(z) is KL(mu || nu^) plus the entropy of mu, which no parameter changes.
    """
    done = one_update(theorem_settings())
    terms = printed.next_observation_terms(done.before["ais"], done.seen)
    assert done.losses["transition"] == pytest.approx(terms.mean(), abs=1e-6)
    mu, nu = (weights / weights.sum() for weights in np.random.Generator(np.random.Philox(9)).uniform(0.1, 1, (2, 5)))
    divergence, entropy = (mu * np.log(mu / nu)).sum(), -(mu * np.log(mu)).sum()
    assert -(mu * np.log(nu)).sum() == pytest.approx(divergence + entropy)
