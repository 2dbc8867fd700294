"""psi over several factors: a distribution, drawn as it says, decoded, differentiated, and able to say "both or neither"."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dadc_net.coordinator.algorithms.q_choices import Choices, Enumerated, Sampled
from dadc_net.coordinator.algorithms.registry import PpoSettings, QActorCriticSettings
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.factors import Factors
from dadc_net.coordinator.networks.autoregressive import Autoregressive
from dadc_net.coordinator.networks.distribution import Categorical, Distribution
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.coordinator.networks.q import QNetwork
from dadc_net.coordinator.prescription import Factored, Menu, theta_space
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.factored import FactoredSettings
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.errors import ConfigError
from dadc_net.exact import layers
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace
from tests.coordinator.test_learner import settings

SIZES = (2, 3, 2, 1)
EVERY = np.array(list(itertools.product(*map(range, SIZES))), dtype=np.int64)


def psi(coupled: bool = True, scale: float = 1.0) -> tuple[Factors, Autoregressive, ParameterGroup]:
    """psi with a coupling that is not zero."""
    factors = Factors(SIZES)
    distribution = Autoregressive(factors, coupled)
    group = ParameterGroup("test", {"unused": (1,), **distribution.shapes}, Stream("test", seed_bytes(2)))
    if coupled:
        group.arrays["coupling"][...] = scale * np.random.Generator(np.random.Philox(1)).normal(size=(8, 8))
    return factors, distribution, group


def logits(rows: int) -> Array:
    return np.random.Generator(np.random.Philox(5)).normal(size=(rows, sum(SIZES)))


def log_chances(distribution: Autoregressive, group: ParameterGroup, outputs: Array) -> Array:
    """[n, M] of every theta."""
    rows = np.repeat(outputs, len(EVERY), axis=0)
    return distribution.values(group, rows, np.tile(EVERY, (len(outputs), 1))).log_density().reshape(len(outputs), -1)


@pytest.mark.parametrize("coupled", [True, False])
def test_the_chances_of_all_choices_add_up_to_one(coupled: bool) -> None:
    _, distribution, group = psi(coupled)
    assert np.allclose(np.exp(log_chances(distribution, group, logits(4))).sum(axis=1), 1.0, atol=1e-7)


def test_a_choice_that_saw_a_later_one_would_be_noticed() -> None:
    factors, distribution, group = psi()
    factors.__dict__["earlier"] = np.ones((8, 8))
    assert abs(np.exp(log_chances(distribution, group, logits(4))).sum(axis=1) - 1.0).max() > 0.01


def test_draws_come_as_often_as_the_log_probabilities_say() -> None:
    factors, distribution, group = psi()
    outputs, draws = logits(1), 40_000
    words = Stream("test", seed_bytes(3)).words(0, draws, len(SIZES))
    drawn = factors.draw(np.repeat(outputs, draws, axis=0), distribution.own(group), words)
    space = FiniteSpace(SIZES)
    found = np.bincount(space.index(drawn), minlength=space.num_values) / draws
    chances = np.exp(log_chances(distribution, group, outputs)[0])
    assert np.abs(found - chances).max() < 0.01
    unseeing = np.exp(log_chances(*psi(coupled=False)[1:], outputs)[0])
    assert np.abs(found - unseeing).max() > 0.05


def test_a_row_is_drawn_alike_alone_and_in_a_batch_and_without_words_of_others() -> None:
    factors, distribution, group = psi()
    outputs, own = logits(9), distribution.own(group)
    words = Stream("test", seed_bytes(3)).words(0, 9, len(SIZES))
    together = factors.draw(outputs, own, words)
    alone = [factors.draw(outputs[e : e + 1], own, words[e : e + 1])[0] for e in range(9)]
    assert np.array_equal(together, np.array(alone))


def test_a_full_beam_finds_the_likeliest_theta_and_a_narrow_one_need_not() -> None:
    factors, distribution, group = psi(scale=3.0)
    outputs, own = logits(200), distribution.own(group)
    best = EVERY[np.argmax(log_chances(distribution, group, outputs), axis=1)]
    assert np.array_equal(factors.decode(outputs, own, 12), best)
    narrow = factors.decode(outputs, own, 1)
    assert not np.array_equal(narrow, best)
    # Width 1 takes each conditional's best choice in turn.
    first = np.argmax(outputs[:, :2], axis=1)
    assert np.array_equal(narrow[:, 0], first)
    assert np.array_equal(narrow[:, 1], np.argmax(outputs[:, 2:5] + own[first, 2:5], axis=1))
    widths = [float(np.mean((factors.decode(outputs, own, width) == best).all(axis=1))) for width in (1, 2, 4)]
    assert widths == sorted(widths)


def test_ties_go_to_the_lowest_choices() -> None:
    assert Factors((2, 3)).decode(np.zeros((2, 5)), np.zeros(0), 6).tolist() == [[0, 0], [0, 0]]


def test_one_factor_is_a_menu() -> None:
    assert isinstance(theta_space(FiniteSpace((4,)).to_plain()), Menu)
    several = theta_space(FiniteSpace((4, 2)).to_plain())
    assert isinstance(several, Factored)
    assert several.codes(np.array([[[3, 0]]])).tolist() == [[[0, 0, 0, 1, 1, 0]]]
    assert several.zeros(5, 2).shape == (5, 2, 2)


def plainly(
    outputs: torch.Tensor, coupling: torch.Tensor, drawn: NDArray[np.int64], credit: Array
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability, weighed by ``credit``, and conditional entropies along ``drawn``, by torch alone."""
    owner = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    codes = torch.from_numpy(Factors(SIZES).codes(drawn))
    seen = outputs + codes @ (coupling * (owner[:, None] < owner[None, :]))
    logs = [torch.log_softmax(part, dim=1) for part in torch.split(seen, SIZES, dim=1)]
    taken = [part[torch.arange(len(drawn)), drawn[:, f]] for f, part in enumerate(logs)]
    density = sum(part * torch.from_numpy(credit[:, f]) for f, part in enumerate(taken))
    entropy = sum(-(part.exp() * part).sum(dim=1) for part in logs)
    assert isinstance(density, torch.Tensor)
    assert isinstance(entropy, torch.Tensor)
    return density, entropy


@pytest.mark.parametrize("credited", [False, True])
@pytest.mark.parametrize("with_entropy", [True, False])
def test_values_and_gradients_are_those_of_plain_torch(with_entropy: bool, credited: bool) -> None:
    _, distribution, group = psi()
    x, drawn = logits(7), EVERY[[0, 3, 11, 5, 7, 2, 9]]
    weights = np.cos(np.arange(14.0)).reshape(2, 7) * np.array([[1.0], [with_entropy]])
    credit = (np.arange(28) % 3 > 0).astype(np.float64).reshape(7, 4) if credited else None
    values = distribution.values(group, x, drawn)
    slopes = values.back(weights[0], weights[1] if with_entropy else None, credit)
    found = values.log_density(credit), values.entropy(), slopes.outputs, slopes.own["coupling"]
    theirs, coupling = (torch.tensor(array, requires_grad=True) for array in (x, group.arrays["coupling"]))
    wanted = plainly(theirs, coupling, drawn, np.ones((7, 4)) if credit is None else credit)
    total = (wanted[0] * torch.from_numpy(weights[0]) + wanted[1] * torch.from_numpy(weights[1])).sum()
    for mine, other in zip(found, (*wanted, *torch.autograd.grad(total, [theirs, coupling])), strict=True):
        assert np.abs(mine - other.detach().numpy()).max() < 1e-6


def test_the_mean_of_conditional_entropies_is_the_joint_entropy() -> None:
    _, distribution, group = psi()
    outputs = logits(1)
    logs = log_chances(distribution, group, outputs)[0]
    along = distribution.values(group, np.repeat(outputs, len(EVERY), axis=0), EVERY).entropy()
    assert float(np.exp(logs) @ along) == pytest.approx(float(-np.exp(logs) @ logs), abs=1e-6)


def test_the_fisher_matrix_is_the_hessian_of_the_divergence() -> None:
    """KL(old || new) is half v' F v to second order, W among the parameters; both averaged over theta drawn from the old."""
    factors = Factors(SIZES)
    distribution = Autoregressive(factors, coupled=True)
    policy = PolicyNetwork(4, 5, factors.code_size, distribution, Stream("test", seed_bytes(1)))
    policy.group.arrays["coupling"][...] = np.random.Generator(np.random.Philox(1)).normal(size=(8, 8))
    states = np.repeat(np.round(np.sin(np.arange(12.0)).reshape(3, 4) * 2**24) / 2**24, len(EVERY), axis=0)
    drawn = np.tile(EVERY, (3, 1))
    old = policy.values(states, drawn)
    share = np.exp(old.log_density())[:, None] / 3
    direction = np.random.Generator(np.random.Philox(5)).normal(size=policy.group.size)
    own = policy.group.slices["coupling"]
    tangents = policy.tangents(states)
    weighted, image = old.fisher(tangents.along(direction), direction[own], share)
    curvature = float(direction @ tangents.back(weighted)) + float(direction[own] @ image)
    before, scale = policy.group.values.copy(), 1e-2
    policy.group.assign(before + scale * direction)
    new = policy.values(states, drawn)
    divergence = float((old.divergence(new) * share[:, 0]).sum())
    joint = float(((old.log_density() - new.log_density()) * share[:, 0]).sum())
    assert divergence == pytest.approx(joint, rel=1e-3)
    assert divergence == pytest.approx(0.5 * scale**2 * curvature, rel=0.1)


@pytest.mark.parametrize("baseline", [True, False])
def test_samples_of_q_estimate_the_sums_over_all_theta(baseline: bool) -> None:
    """Sampled expectation and gradient of (6) against the sums of which they are estimates."""
    factors = Factors(SIZES)
    stream = Stream("test", seed_bytes(1))
    policy = PolicyNetwork(4, 5, factors.code_size, Autoregressive(factors, coupled=True), stream)
    policy.group.arrays["coupling"][...] = np.random.Generator(np.random.Philox(1)).normal(size=(8, 8))
    critic = QNetwork(4, 5, factors.code_size, Stream("critic", seed_bytes(1)), 0)
    critic.group.assign(critic.group.values * 3.0)
    states = np.round(np.sin(np.arange(4.0)).reshape(1, 4) * 2**24) / 2**24
    every = np.repeat(states, len(EVERY), axis=0)
    values = critic.at(every, factors.codes(EVERY))
    way, summed = policy.forward(every, EVERY), Gradients()
    chances = np.exp(way.psi.log_density())
    way.back(chances * values, None, summed)
    exact = policy.group.flat(summed)
    q = QActorCriticSettings(samples=4096, baseline=baseline)
    sampled = Sampled(policy, critic, q, Factored(SIZES, 1), Stream("q/samples", seed_bytes(3)))
    assert sampled.expected(states, 5)[0] == pytest.approx(float(chances @ values), abs=0.02)
    found, gradients = sampled.gain(states, EVERY[:1], np.zeros(1), 1.0, 6), Gradients()
    ones = np.ones(found.repeats)
    found.back(layers.mean_gradient(1.0, ones, found.repeats), 0.0 * ones, gradients)
    gradient = policy.group.flat(gradients)
    assert np.abs(gradient - exact).max() < 0.03
    assert np.abs(exact).max() > 0.1
    # With the same draws, in units of 4.
    assert np.array_equal(found.gain, sampled.gain(states, EVERY[:1], np.zeros(1), 4.0, 6).gain * 4.0)


@pytest.mark.parametrize("kind", ["menu", "factored"])
def test_the_corrected_gradient_is_right_whatever_q_is(kind: str) -> None:
    """Averaged over theta ~ psi, it is that of sum_theta psi(theta) G(theta), for any critic that was not fitted to G."""
    sizes = (len(EVERY),) if kind == "menu" else SIZES
    factors, stream = Factors(sizes), Stream("test", seed_bytes(1))
    theta = np.arange(len(EVERY)) if kind == "menu" else EVERY
    distribution: Distribution = Categorical() if kind == "menu" else Autoregressive(factors, coupled=True)
    policy = PolicyNetwork(4, 5, factors.code_size, distribution, stream)
    critic = QNetwork(4, 5, factors.code_size, Stream("critic", seed_bytes(1)), 0)
    critic.group.assign(critic.group.values * 3.0)
    states = np.repeat(np.round(np.sin(np.arange(4.0)).reshape(1, 4) * 2**24) / 2**24, len(EVERY), axis=0)
    returns = 2.0 * np.cos(np.arange(float(len(EVERY))))
    way, summed = policy.forward(states, theta), Gradients()
    chances = np.exp(way.psi.log_density())
    way.back(chances * returns, None, summed)
    exact = policy.group.flat(summed)

    def mean(gradient: str, goals: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
        """Over all theta, each as often as psi draws it; samples of their own are many."""
        q = QActorCriticSettings(gradient=gradient, samples=2048)  # type: ignore[arg-type]
        choices: Choices = Enumerated(policy, critic, q)
        if kind == "factored":
            choices = Sampled(policy, critic, q, Factored(SIZES, 1), Stream("q/samples", seed_bytes(3)))
        found, gradients = choices.gain(states, theta, goals, unit, 6), Gradients()
        weights = np.tile(chances, found.repeats) * unit
        found.back(layers.mean_gradient(1.0, weights, found.repeats), 0.0 * weights, gradients)
        return policy.group.flat(gradients)

    tolerance = 1e-6 if kind == "menu" else 0.05
    assert np.abs(exact).max() > 0.2
    assert np.abs(mean("corrected", returns, 1.0) - exact).max() < tolerance
    assert np.abs(mean("corrected", returns, 4.0) - exact).max() < tolerance
    # Whoever believes Q alone is wrong by what Q is.
    assert np.abs(mean("all", returns, 1.0) - exact).max() > 0.1
    assert np.array_equal(mean("all", returns, 1.0), mean("all", 0.0 * returns, 1.0))


def both_or_neither(algorithm: str, coupled: bool, updates: int = 40) -> NDArray[np.int64]:
    """What two agents play after learning that lifting (2) together pays 1, neither 0.5 and one alone -1: [2].

    There are two ways not to lift. So lifting is bad for whoever takes the other's choice as random, and good if both do.
    """
    chosen = replace(
        settings(updates=updates, copies=32, steps=4, algorithm=algorithm, size=4),
        theta_space=FiniteSpace((3, 3)).to_plain(),
        # The future is worth the same whatever is chosen, and Q, unlike an advantage, has to learn it.
        discount=0.1 if algorithm == "q-actor-critic" else 0.9,
        factored=FactoredSettings(coupled=coupled),
        learner=LearnerSettings(
            num_envs=32,
            batch_steps=128,
            hidden_size=5,
            learning_rate=0.05,
            entropy_weight=1.0,
            # Q is small before it is learned: in units of its deviation its noise would decide.
            normalise_advantages=algorithm != "q-actor-critic",
        ),
        own={"ppo": PpoSettings(epochs=4), "q": QActorCriticSettings(critic_learning_rate=0.05, critic_steps=4)},
    )
    learner = Coordinator(chosen, seed_bytes(7))
    worth = np.array([[0.5, 0.5, -1.0], [0.5, 0.5, -1.0], [-1.0, -1.0, 1.0]])
    rewards, step, played = np.zeros(32), 0, None
    while step <= learner.last_step:
        begin = np.full(32, step == 0)
        record = CommonRecord(step, np.zeros((32, 3), dtype=np.int64), rewards, begin, np.zeros(32, dtype=np.uint8))
        played = learner.receive(record).prescriptions
        if played is not None:
            rewards = worth[played[:, 0], played[:, 1]]
        step += 1
    own = learner.algorithm.own(updates)
    greedy: NDArray[np.int64] = learner.theta.greedy(learner.algorithm.greedy()(learner._ais[:1]), own)[0]
    return greedy


@pytest.mark.parametrize(
    ("algorithm", "updates"), [("actor-critic", 120), ("ppo", 40), ("trpo", 40), ("q-actor-critic", 120)]
)
def test_both_or_neither_is_learned_by_choices_that_see_one_another(algorithm: str, updates: int) -> None:
    assert both_or_neither(algorithm, coupled=True, updates=updates).tolist() == [2, 2]


@pytest.mark.parametrize(("algorithm", "updates"), [("actor-critic", 120), ("ppo", 40), ("q-actor-critic", 120)])
def test_both_or_neither_is_missed_by_independent_choices(algorithm: str, updates: int) -> None:
    assert 2 not in both_or_neither(algorithm, coupled=False, updates=updates)


def test_what_cannot_learn_several_factors_says_what_can() -> None:
    words = (
        r"are factored, but the algorithm naf-dqn can learn .* only\. They .*\. Set prescriptions=gibbs, or choose "
        r"an algorithm that learns such: actor-critic, ppo, trpo, q-actor-critic, ais-planning\.$"
    )
    with pytest.raises(ConfigError, match=words):
        replace(settings(algorithm="naf-dqn", theta="box"), theta_space=_SEVERAL)


_SEVERAL = FiniteSpace((2, 2)).to_plain()


def test_settings_of_several_factors_are_kept() -> None:
    chosen = replace(settings(), factored=FactoredSettings(beam_width=3))
    assert CoordinatorSettings.from_plain(chosen.to_plain()).factored.beam_width == 3
