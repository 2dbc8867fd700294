"""Whole updates by hand: gradients of the state approximator and of actor and critic have the bits of torch graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.algorithms import ppo
from dadc_net.coordinator.algorithms.actor_critic import ActorCritic, Targets, likelihood_gain
from dadc_net.coordinator.batch import ENDED_TERMINATED, Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.losses import NEXT_AIS_LOSSES
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight
from dadc_net.exact import compiled, functions, grid, layers, scan
from dadc_net.exact.adam import clip_norm
from dadc_net.exact.array import Array
from dadc_net.exact.streams import seed_bytes
from dadc_net.team.spaces import BoxSpace, FiniteSpace, ProductSpace, Space, space_from_plain
from tests.coordinator import graphs
from tests.coordinator.graphs import Leaves
from tests.coordinator.test_learner import THETAS, settings

STEPS, COPIES, UPDATE = 15, 4, 2
SPACES: dict[str, tuple[Space, list[int]]] = {
    "one column": (FiniteSpace((2, 2, 3)), [12]),
    "several columns": (FiniteSpace((16, 9, 8)), [16, 9, 8]),
    "real numbers": (ProductSpace((BoxSpace((-2.0, 0.0), (2.0, 9.0)), FiniteSpace((3,)))), [0, 0, 3]),
}
"""Common observations, and what each column of them is predicted as: one of so many values, or a number (0)."""
VARIANTS: dict[str, Mapping[str, Any]] = {
    "default": {},
    "reward from the outcome": {"reward_input": "outcome"},
    "end": {"predicts_end": True},
    "beside": {"beside": "next-ais-energy", "beside_weight": 0.3},
    "truncation": {"truncation": 3, "reward_loss_weight": 0.2},
    "(P2) as printed": {"loss": "next-ais-nll", "detach_target": False},
    "all": {
        **{"beside": "next-ais-mmd", "detach_target": False, "predicts_end": True},
        **{"reward_input": "outcome", "truncation": 2, "particles": 3},
    },
}
SIZES = {"menu": (3,), "factored": (2, 3, 2), "box": ()}


@pytest.fixture(autouse=True, scope="module", params=["numpy", "compiled"])
def arithmetic(request: pytest.FixtureRequest) -> Iterator[None]:
    """Which implementation computes, for graph and hand alike."""
    compiled.unload()
    assert request.param == "numpy" or compiled.load()
    yield
    compiled.unload()


def made(space: str = "one column", algorithm: str = "actor-critic", theta: str = "menu", **chosen: Any) -> Coordinator:
    """A learner whose parameters are three times the usual first ones; ``learner``: settings of that section."""
    own = settings(4, COPIES, STEPS, algorithm, theta, chosen.pop("learner", {}), **chosen)
    learner = Coordinator(replace(own, common_space=SPACES[space][0].to_plain()), seed_bytes(7))
    for group in learner.groups:
        for name, array in group.arrays.items():
            array *= 3.0 if name != "log-deviation" else 1.0
            array += np.cos(np.arange(array.size)).reshape(array.shape) if name == "coupling" else 0.0
    return learner


def batch_for(learner: Coordinator) -> Batch:
    """Made-up common information: copies begin and end at any time."""
    rng, approximator = np.random.Generator(np.random.Philox(3)), approximator_of(learner)
    space, records = space_from_plain(learner.settings.common_space), (STEPS + 1, COPIES)
    columns = [rng.integers(0, 4, (*records, 1)) % [2, 2, 3][place] for place in range(space.columns)]
    shape = learner.theta.zeros(STEPS, COPIES).shape
    is_box = learner.theta.zeros(1, 1).dtype == np.float64
    prescriptions: Theta = rng.normal(size=shape) if is_box else rng.integers(0, 2, shape)
    return Batch(
        inputs=rng.uniform(-1.0, 1.0, (*records, space.feature_size + learner.theta.code_size)),
        keep=(rng.random((*records, 1)) > 0.2).astype(np.float64),
        start=grid.round_to_grid(rng.uniform(-1.0, 1.0, (COPIES, approximator.size)), scan.STATE_GRID),
        common_index=approximator.outcomes.stored(np.concatenate(columns, axis=2).astype(space.dtype)),
        prescriptions=prescriptions,
        rewards=rng.normal(size=(STEPS, COPIES)) * 2.0,
        ended=(rng.integers(0, 6, records) % 4 % 3).astype(np.uint8),
        credit=rng.integers(0, 2, (*shape[:2], 3)).astype(np.float64) if shape[2:] == (3,) else None,
        reward_scale=1.3,
    )


def approximator_of(learner: Coordinator) -> StateApproximator:
    assert isinstance(learner.approximator, StateApproximator)
    return learner.approximator


def next_ais(p: Leaves, name: str, loss: str, known: Tensor, target: Tensor) -> Tensor:
    predicted, size = graphs.head(p, name, known), target.shape[1]
    shares = functions.fork(predicted, predicted.shape[1] // size)
    return NEXT_AIS_LOSSES[loss].rows(tuple(x[:, size * s : size * (s + 1)] for s, x in enumerate(shares)), target)


def ais_losses(p: Leaves, approximator: StateApproximator, batch: Batch, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """L_R and L_nu."""
    chosen, outcome = approximator.settings, approximator.outcomes.codes(batch.common_index[1:])
    states, rows = graphs.states(p, batch, chosen.truncation), len(outcome)
    theta = torch.from_numpy(approximator.theta.codes(batch.prescriptions).reshape(rows, -1))
    known = torch.cat((states[:-1].reshape(rows, -1), theta), dim=1)
    target = (states.detach() if chosen.detach_target else states)[1:].reshape(rows, -1)
    for_next, for_end = functions.fork(known, 2) if chosen.predicts_end else (known, known)
    if chosen.loss != "next-observation":
        following = next_ais(p, "transition", chosen.loss, for_next, target)
    elif chosen.beside == "none":
        following = -graphs.log_probability(p, sizes, for_next, outcome)
    else:
        ways, weight = functions.fork(for_next, 2), chosen.beside_weight
        found = graphs.log_probability(p, sizes, ways[0], outcome)
        following = next_ais(p, "beside", chosen.beside, ways[1], target) * weight - found * (1.0 - weight)
    if chosen.predicts_end:
        logs = functions.log_softmax(graphs.head(p, "end", torch.cat((for_end, torch.from_numpy(outcome)), dim=1)))
        over = (batch.ended[1:] == ENDED_TERMINATED).astype(np.int64).reshape(-1)
        following = following - functions.pick(logs, torch.from_numpy(over))
    if chosen.reward_input == "outcome":
        both = torch.cat((known, torch.from_numpy(outcome)), dim=1)
        predicted = graphs.head(p, "reward", both) + graphs.linear(p, "reward.direct", both)
    else:
        predicted = graphs.head(p, "reward", known)
    distance = functions.smooth_l1(predicted.reshape(-1) - torch.from_numpy(batch.rewards.reshape(-1) / 1.3))
    valid, count = torch.from_numpy(batch.valid.reshape(-1)), float(batch.valid.sum())
    return functions.mean(distance, count, valid), functions.mean(following, count, valid)


def ais_agrees(variant: str, space: str) -> bool:
    """Whether losses and gradients of the state approximator, of both and of either, are those of the graph."""
    learner = made(space, **VARIANTS[variant])
    approximator, batch = approximator_of(learner), batch_for(learner)
    found, p = approximator.losses(batch), graphs.leaves(approximator.group)
    reward, transition = ais_losses(p, approximator, batch, SPACES[space][1])
    weight = approximator.settings.reward_loss_weight
    total = reward * weight + transition * (1.0 - weight)
    agrees = (found.reward, found.transition, found.total) == (reward.item(), transition.item(), total.item())
    for shares, loss in (((weight, 1.0 - weight), total), ((1.0, None), reward), ((None, 1.0), transition)):
        by_hand = approximator.group.flat(approximator.losses(batch).gradients(*shares))
        assert np.count_nonzero(by_hand) > 100
        agrees = agrees and by_hand.tobytes() == graphs.gradient(loss, p).tobytes()
    return agrees


def actor_critic_loss(p: Leaves, actor: ActorCritic, sizes: tuple[int, ...], goal: Targets, old: Array | None) -> Tensor:
    """Of a step against ``goal``; ``old``: log-density [n] before, where the surrogate of ppo is climbed."""
    network, chosen, again = actor.network, actor.settings, goal.repeated
    assert again is not None
    x = torch.from_numpy(goal.states)
    features = graphs.features(p, network._actor, x)
    values = graphs.outputs(p, network._critic, features if chosen.learner.shared_trunk else x).reshape(-1)
    density, entropy = graphs.psi(p, sizes, graphs.linear(p, "actor", features), goal.drawn, goal.credit)
    valid, advantages = torch.from_numpy(goal.valid), goal.advantages
    if old is not None:
        density = functions.exp((density - torch.from_numpy(old)).clamp(-8.0, 8.0))
        ratio = density.detach().numpy()
        advantages = advantages * np.where(advantages > 0.0, ratio <= 1.2, ratio >= 0.8)
    gain = functions.mean(density, goal.rows, torch.from_numpy(advantages * goal.valid))
    gain = gain + functions.mean(entropy, goal.rows, valid) * entropy_weight(chosen, UPDATE)
    outputs = graphs.outputs(p, network._actor, torch.from_numpy(again.states))
    followed, _ = graphs.psi(p, sizes, outputs, again.drawn, again.credit)
    gain = gain + functions.mean(followed, goal.rows, torch.from_numpy(again.weights)) * imitation_weight(chosen, UPDATE)
    value = functions.mean(functions.smooth_l1(values - torch.from_numpy(goal.returns)), goal.rows, valid)
    return value * chosen.learner.value_loss_weight - (gain * 0.0 if chosen.is_uniform(UPDATE - 1) else gain)


def actor_critic_agrees(algorithm: str, theta: str, monkeypatch: pytest.MonkeyPatch, **chosen: Any) -> bool:
    """Whether a step with imitation descends the gradient of the graph."""
    asked = {"imitation_weight": 0.7, "imitation_windows": 3, "hidden_layers": 2, "normalise_advantages": True, **chosen}
    learner = made(algorithm=algorithm, theta=theta, learner=asked)
    actor, batch = learner.algorithm, batch_for(learner)
    assert isinstance(actor, ActorCritic)
    goal, way = actor.begin(batch, learner.approximator.encode(batch), UPDATE)
    assert goal.repeated is not None
    assert np.count_nonzero(goal.repeated.weights) > 3
    if goal.credit is not None:
        credit = np.roll(goal.credit, 1, axis=0)[: len(goal.repeated.states)]
        goal = goal._replace(repeated=goal.repeated._replace(credit=credit))
    assert np.array_equal(way.values, actor.network.values(goal.states))
    old, group = way.psi.log_density(goal.credit), actor.network.group
    group.values *= 0.9
    way, descended = actor.network.forward(goal.states, goal.drawn), list[Array]()
    density = way.psi.log_density(goal.credit)
    climbed = ppo._surrogate(density, old, goal, 0.2) if algorithm == "ppo" else likelihood_gain(density, goal)

    def keep(self: ParameterGroup, gradients: Gradients, *_: object) -> None:
        descended.append(self.flat(gradients))

    monkeypatch.setattr(ParameterGroup, "descend", keep)
    actor.descend(climbed, way, goal, UPDATE)
    p = graphs.leaves(group)
    loss = actor_critic_loss(p, actor, SIZES[theta], goal, old if algorithm == "ppo" else None)
    return descended[0].tobytes() == graphs.gradient(loss, p).tobytes()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_of_the_state_approximator_has_the_bits_of_a_graph(variant: str, space: str) -> None:
    assert ais_agrees(variant, space)


@pytest.mark.parametrize("clips_apart", [False, True])
def test_a_step_of_the_state_approximator_has_the_bits_of_a_graph(clips_apart: bool) -> None:
    learners = [made(clips_apart=clips_apart, gradient_norm=0.05, reward_loss_weight=0.3) for _ in range(2)]
    (one, other), batch = map(approximator_of, learners), batch_for(learners[0])
    one.improve(batch, learners[0].settings, 1)
    p, rate = graphs.leaves(other.group), one.settings.learning_rate
    reward, transition = ais_losses(p, other, batch, [12])
    if clips_apart:
        parts = [graphs.gradient(loss, p) for loss in (reward, transition)]
        assert min(clip_norm(part, 0.05) for part in parts) > 0.05
        other.group.step(parts[0] * 0.3 + parts[1] * (1.0 - 0.3), rate, 0.0)
    else:
        other.group.step(graphs.gradient(reward * 0.3 + transition * (1.0 - 0.3), p), rate, 0.05)
    assert one.group.tensor_digests() == other.group.tensor_digests()


@pytest.mark.parametrize("algorithm", ["actor-critic", "ppo"])
@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("shared_trunk", [True, False])
@pytest.mark.parametrize("uniform_share", [0.0, 0.5])
def test_the_gradient_of_actor_and_critic_has_the_bits_of_a_graph(
    algorithm: str, theta: str, shared_trunk: bool, uniform_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actor_critic_agrees(algorithm, theta, monkeypatch, shared_trunk=shared_trunk, uniform_share=uniform_share)


def test_a_small_error_in_the_slopes_of_a_mean_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen units in the last place: what is smaller, rounding onto a grid mostly hides."""
    slopes = layers.mean_gradient
    monkeypatch.setattr(layers, "mean_gradient", lambda *given, **named: slopes(*given, **named) * (1.0 + 2.0**-48))
    assert not ais_agrees("default", "one column")
    assert not actor_critic_agrees("actor-critic", "menu", monkeypatch)
