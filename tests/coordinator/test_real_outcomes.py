"""Predicting a next common observation that holds real numbers: a density for each coordinate, one after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dadc_net.config import resolve
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.real_outcomes import RealOutcomes, outcomes_of
from dadc_net.errors import ConfigError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import BoxSpace, FiniteSpace, ProductSpace, Space, space_from_plain
from tests.coordinator.test_outcomes import cross_entropy, inputs

MIXED = ProductSpace((BoxSpace((-2.0, 0.0), (2.0, 10.0)), FiniteSpace((3,)), BoxSpace((0.0,), (1.0,))))
CART = "launch/examples/cart_team.py:make_task"
SMALL = ("learner.num_envs=2", "learner.batch_steps=8", "ais.size=4", "learner.hidden_size=4", "updates=3")
SEED = seed_bytes(7)


def head(outcomes: RealOutcomes, known: int = 5, width: int = 6) -> ParameterGroup:
    return ParameterGroup("test", outcomes.shapes("transition", known, width), Stream("test/head", seed_bytes(3)))


def mixed(rows: int) -> np.ndarray:
    draws = Stream("test/z", seed_bytes(5)).uniforms(0, rows, 4)
    return np.stack((4.0 * draws[:, 0] - 2.0, 10.0 * draws[:, 1], np.floor(3.0 * draws[:, 2]), draws[:, 3]), axis=1)


def test_what_is_kept_and_coded() -> None:
    outcomes = outcomes_of(MIXED)
    assert isinstance(outcomes, RealOutcomes)
    values = mixed(6)
    assert (outcomes.values(outcomes.stored(values)) == values).all()
    assert outcomes.zeros(4, 2).shape == (4, 2, 4)
    assert outcomes.codes(values.reshape(3, 2, 4)).shape == (6, outcomes.code_size)
    assert not isinstance(outcomes_of(FiniteSpace((3, 3))), RealOutcomes)


def test_the_loss_and_its_gradient_are_those_of_plain_torch() -> None:
    outcomes = RealOutcomes(MIXED)
    group, values = head(outcomes), mixed(7)
    way = outcomes.log_probability(group, "transition", inputs(7), values)
    _, found, of_known = cross_entropy(way)
    plain = {name: torch.tensor(array, requires_grad=True) for name, array in group.arrays.items()}
    known = torch.from_numpy(inputs(7)).requires_grad_()
    hidden = known @ plain["transition.hidden.weight"] + plain["transition.hidden.bias"]
    coded = torch.from_numpy(np.stack((values[:, 0] / 2, values[:, 1] / 5 - 1, values[:, 2], 2 * values[:, 3] - 1), axis=1))
    hots = torch.nn.functional.one_hot(coded[:, 2].long(), 3).double()
    seen = [coded[:, :1], coded[:, 1:2], hots]
    expected = torch.zeros(7, dtype=torch.float64)
    for column in range(4):
        if column > 0:
            hidden = hidden + seen[column - 1] @ plain[f"transition.seen.{column + 1}.weight"]
        output = f"transition.output.{column + 1}"
        given = torch.tanh(hidden) @ plain[f"{output}.weight"] + plain[f"{output}.bias"]
        if column == 2:
            expected = expected + torch.log_softmax(given, dim=1)[np.arange(7), coded[:, 2].long()]
        else:
            law = torch.distributions.Normal(given[:, 0], torch.exp(2 * torch.tanh(given[:, 1]) - 2))
            expected = expected + law.log_prob(coded[:, column])
    *gradients, slopes = torch.autograd.grad(-expected.mean(), [*plain.values(), known])
    assert way.rows == pytest.approx(expected.detach().numpy(), abs=1e-5)
    assert group.flat(found) == pytest.approx(np.concatenate([one.numpy().reshape(-1) for one in gradients]), abs=1e-5)
    assert of_known == pytest.approx(slopes.numpy(), abs=1e-5)


def test_a_coordinate_that_follows_from_another_is_learned_and_a_constant_one_has_a_bound() -> None:
    """y_2 = -y_1, y_1 uniform: a product of two densities could not go below 2 log 2, the joint one can."""
    outcomes = RealOutcomes(BoxSpace((-1.0, -1.0), (1.0, 1.0)))
    group = head(outcomes, known=1, width=8)
    first = np.linspace(-1.0, 1.0, 41)

    def learned(values: np.ndarray) -> float:
        for _ in range(400):
            loss, gradients, _ = cross_entropy(outcomes.log_probability(group, "transition", np.zeros((41, 1)), values))
            group.descend(gradients, 0.03, 0.0)
        return loss

    assert learned(np.stack((first, -first), axis=1)) < 2.0 * math.log(2.0) - 1.0
    least = 2.0 * (-4.0 + 0.5 * math.log(2.0 * math.pi))
    assert least <= learned(np.zeros((41, 2))) < least + 1.0


def values_in(space: Space, shares: np.ndarray) -> np.ndarray:
    """Values [n, C] of ``space``, each at such a share of its range."""
    columns: list[np.ndarray] = []
    for part in space.parts:
        own = shares[:, len(columns) : len(columns) + part.columns].T
        if isinstance(part, FiniteSpace):
            columns += [np.floor(share * size) for share, size in zip(own, part.sizes, strict=True)]
        else:
            columns += [low + share * (high - low) for share, low, high in zip(own, part.low, part.high, strict=True)]
    return np.stack(columns, axis=1).astype(space.dtype)


@pytest.mark.parametrize(
    ("algorithm", "overrides"),
    [
        ("ppo", ("structure=full-sharing",)),
        ("actor-critic", ("structure=delayed-sharing", "ais.reward_input=outcome")),
        ("naf-dqn", ("structure=full-sharing", "naf.first_steps=0", "naf.window=2", "naf.warm_up=1")),
    ],
)
def test_teams_that_see_real_numbers_learn_alike_and_continue_from_a_snapshot(
    algorithm: str, overrides: tuple[str, ...]
) -> None:
    config = resolve(CART, (*SMALL, *overrides), {"algorithm": algorithm})
    space = space_from_plain(config.settings.common_space)
    assert not isinstance(space, FiniteSpace)
    digests = Simulation(config, SEED, SEED, replicas=2).run().agent_digests
    assert len(set(digests.values())) == 1
    assert set(Simulation(config, SEED, seed_bytes(8)).run().agent_digests.values()) != set(digests.values())
    settings = config.settings
    learners, stream = [Coordinator(settings, SEED)], Stream("test/records", seed_bytes(5))
    for step in range(2 * settings.learner.batch_lock_steps + 2):
        draws = stream.uniforms(step, 2, space.columns + 1)
        nobody = np.zeros(2, dtype=np.uint8)
        common = values_in(space, draws[:, 1:])
        record = CommonRecord(step, common, draws[:, 0] * (step > 0), np.full(2, step == 0), nobody)
        if step == settings.learner.batch_lock_steps + 1:
            learners.append(Coordinator(settings, SEED))
            learners[1].restore(learners[0].snapshot())
        for learner in learners:
            learner.receive(record)
    assert learners[0].digest() == learners[1].digest()


def test_an_algorithm_that_looks_at_every_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not finite, but the algorithm ais-planning"):
        resolve(CART, (*SMALL, "structure=full-sharing", "prescriptions=menu"), {"algorithm": "ais-planning"})
