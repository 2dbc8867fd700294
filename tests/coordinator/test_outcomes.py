"""Predicting the next common observation factor by factor, where there are too many values to number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.outcome_pass import OutcomePass
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.settings.enumeration import MOST_ENUMERATED
from dadc_net.errors import ConfigError
from dadc_net.exact import layers
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.events import Event, Learned
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace

MANY = FiniteSpace((16, 9, 8))
"""1,152 values: more than are numbered, few enough to add them all up."""
TEN = ("env.agents=10", "learner.num_envs=4", "learner.batch_steps=80", "learner.hidden_size=8", "ais.size=8")


def head(outcomes: Outcomes, known: int = 5, width: int = 6) -> ParameterGroup:
    return ParameterGroup("test", outcomes.shapes("transition", known, width), Stream("test/head", seed_bytes(3)))


def inputs(rows: int, known: int = 5) -> Array:
    return Stream("test/inputs", seed_bytes(4)).uniforms(0, rows, known) * 2.0 - 1.0


def cross_entropy(found: OutcomePass) -> tuple[float, Gradients, Array]:
    """-mean log p, and its gradients: of the parameters, and of what is known."""
    gradients, ones = Gradients(), np.ones(len(found.rows))
    known = found.back(layers.mean_gradient(-1.0, ones, len(ones)), gradients)
    return -layers.mean(found.rows, ones, len(ones)), gradients, known


def test_up_to_a_limit_values_are_numbered_and_beyond_it_factors_are_kept() -> None:
    few, many = Outcomes(FiniteSpace((2, 2, 3))), Outcomes(MANY)
    assert (few.enumerated, few.sizes, few.zeros(4, 2).shape) == (True, (12,), (4, 2))
    assert (many.enumerated, many.sizes, many.zeros(4, 2).shape) == (False, (16, 9, 8), (4, 2, 3))
    # One factor has nothing to be split into.
    assert Outcomes(FiniteSpace((MOST_ENUMERATED + 1,))).enumerated
    for one in (few, many):
        values = one.space.values(np.arange(one.space.num_values))
        assert (one.values(one.stored(values)) == values).all()
        codes = one.codes(one.stored(values))
        assert codes.shape == (one.space.num_values, one.code_size)
        assert (codes.sum(axis=1) == len(one.sizes)).all()
        assert len(np.unique(codes, axis=0)) == one.space.num_values


def test_the_probabilities_of_all_values_sum_to_one_and_depend_on_the_factors_before() -> None:
    outcomes = Outcomes(MANY)
    group = head(outcomes)
    for name, array in group.arrays.items():
        array *= 3.0 if name.endswith("weight") else 1.0
    values = MANY.values(np.arange(MANY.num_values))
    known = np.repeat(inputs(1), MANY.num_values, axis=0)
    logs = outcomes.log_probability(group, "transition", known, values).rows
    law = np.exp(logs).reshape(MANY.sizes)
    assert law.sum() == pytest.approx(1.0, abs=1e-5)
    second = law.sum(axis=2) / law.sum(axis=(1, 2))[:, None]
    assert np.ptp(second, axis=0).max() > 0.01, "the second factor does not look at the first one"


def test_the_loss_and_its_gradient_are_those_of_plain_torch() -> None:
    outcomes = Outcomes(MANY)
    group = head(outcomes)
    known, values = inputs(7), MANY.values(np.arange(7) * 161)
    way = outcomes.log_probability(group, "transition", known, values)
    _, found, of_known = cross_entropy(way)
    plain = {name: torch.tensor(array, requires_grad=True) for name, array in group.arrays.items()}
    given = torch.from_numpy(known).requires_grad_()
    hidden = given @ plain["transition.hidden.weight"] + plain["transition.hidden.bias"]
    expected = torch.zeros(7, dtype=torch.float64)
    for factor in range(3):
        output = "transition.output" if factor == 0 else f"transition.output.{factor + 1}"
        if factor > 0:
            hidden = hidden + plain[f"transition.seen.{factor + 1}.weight"][values[:, factor - 1]]
        logits = torch.tanh(hidden) @ plain[f"{output}.weight"] + plain[f"{output}.bias"]
        expected = expected + torch.log_softmax(logits, dim=1)[np.arange(7), values[:, factor]]
    *gradients, slopes = torch.autograd.grad(-expected.mean(), [*plain.values(), given])
    assert way.rows == pytest.approx(expected.detach().numpy(), abs=1e-6)
    assert group.flat(found) == pytest.approx(np.concatenate([one.numpy().reshape(-1) for one in gradients]), abs=1e-6)
    assert of_known == pytest.approx(slopes.numpy(), abs=1e-6)


def test_parameters_grow_with_the_sum_of_the_sizes() -> None:
    sizes = [head(Outcomes(FiniteSpace((3,) * agents))).size for agents in (10, 20, 40, 100)]
    per_agent = 3 * 6 + 6 * 3 + 3
    assert [size - sizes[0] for size in sizes] == [per_agent * more for more in (0, 10, 30, 90)]
    assert sizes[-1] < 4500


def ten(*overrides: str, algorithm: str = "actor-critic", **options: Any) -> RunConfig:
    chosen = {"algorithm": algorithm, "updates": 3, **options}
    return resolve("tests.ten_agents:make_task", [*TEN, *overrides], chosen)


CASES = [
    ("actor-critic", "prescriptions=deterministic"),
    ("q-actor-critic", "prescriptions=deterministic"),
    ("actor-critic", "ais.reward_input=outcome"),
    ("ppo", "ais.beside=next-ais-energy"),
    ("naf-dqn", "naf.first_steps=0"),
]


class Heard:
    """Keeps the events of a run."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def on(self, event: Event) -> None:
        self.events.append(event)


@pytest.mark.parametrize(("algorithm", "override"), CASES)
def test_ten_agents_with_three_actions_learn_alike_and_continue_from_a_snapshot(algorithm: str, override: str) -> None:
    """59,049 common observations: two simulations are equal to the bit, and half a run restored goes on as the whole one."""
    config = ten(override, "naf.window=2", "naf.warm_up=1", algorithm=algorithm)
    space = FiniteSpace(tuple(config.settings.common_space["sizes"]))
    assert space.num_values == 59_049
    heard: list[list[Event]] = [[], []]
    ended = []
    for events in heard:
        ended.append(Simulation(config, seed_bytes(7), seed_bytes(1)).run(Heard(events)))
    learned = [[event for event in events if isinstance(event, Learned)] for events in heard]
    assert ended[0].agent_digests == ended[1].agent_digests
    assert learned[0] == learned[1]
    assert len(learned[0]) == 3
    assert learned[0][-1].losses["transition"] < 10.0 * math.log(3.0) + 0.5
    _continues_from_a_snapshot(config.settings, space)


def _continues_from_a_snapshot(settings: CoordinatorSettings, space: FiniteSpace) -> None:
    stream, copies = Stream("test/records", seed_bytes(5)), settings.learner.num_envs
    learners = [Coordinator(settings, seed_bytes(7))]
    for step in range(2 * settings.learner.batch_lock_steps + 4):
        draws = stream.uniforms(step, copies, len(space.sizes) + 1)
        common = (draws[:, 1:] * np.array(space.sizes)).astype(np.int64)
        nobody = np.zeros(copies, dtype=np.uint8)
        record = CommonRecord(step, common, draws[:, 0] * (step > 0), np.full(copies, step == 0), nobody)
        if step == settings.learner.batch_lock_steps + 3:
            learners.append(Coordinator(settings, seed_bytes(7)))
            assert learners[0].digest() != learners[1].digest()
            learners[1].restore(learners[0].snapshot())
        for learner in learners:
            learner.receive(record)
    assert learners[0].digest() == learners[1].digest()


def test_what_factors_have_in_common_is_learned() -> None:
    """Ten factors that are equal: a product of laws could not go below 10 log 3, the joint law has log 3."""
    outcomes = Outcomes(FiniteSpace((3,) * 10))
    group = head(outcomes, known=1, width=8)
    values = np.repeat(np.arange(3), 10)[:, None] * np.ones(10, dtype=np.int64)
    losses = []
    for _ in range(150):
        loss, gradients, _ = cross_entropy(outcomes.log_probability(group, "transition", np.zeros((30, 1)), values))
        losses.append(loss)
        group.descend(gradients, 0.1, 0.0)
    assert losses[0] > 9.0 * math.log(3.0)
    assert math.log(3.0) - 1e-6 < losses[-1] < 1.2 * math.log(3.0)


def test_what_looks_at_every_common_observation_refuses_with_the_number() -> None:
    words = r"there are 59049 common observations, but the algorithm ais-planning looks at each .* 1024 are the most"
    with pytest.raises(ConfigError, match=words):
        ten("prescriptions=deterministic", algorithm="ais-planning")
    # Without many of them it takes the same task.
    fewer = ten("env.agents=6", "prescriptions=deterministic", algorithm="ais-planning")
    approximator = Coordinator(fewer.settings, seed_bytes(7)).approximator
    assert isinstance(approximator, StateApproximator)
    assert approximator.outcomes.sizes == (729,)
