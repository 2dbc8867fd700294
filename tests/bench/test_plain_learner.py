"""The yardstick of ``dadc bench numerics`` is the exact learner in plain torch: equal parameters give equal losses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from dadc_net.bench.plain_learner import PlainBatch, PlainLearner
from dadc_net.config import resolve
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.common_record import CommonRecord

UPDATES = 5


def _settings() -> CoordinatorSettings:
    # So long a run that no schedule has moved by the end of the test.
    small = ["learner.num_envs=4", "learner.batch_steps=48", "ais.size=5", "learner.hidden_size=6", "ais.gradient_norm=0.5"]
    return resolve("mabc", small, {"algorithm": "actor-critic", "updates": 10**8}).settings


def _records(learner: Coordinator) -> Iterator[CommonRecord]:
    """Random common information of some updates; nothing ends."""
    copies, steps = learner.settings.learner.num_envs, UPDATES * learner.settings.learner.batch_lock_steps
    for step in range(steps + 1):
        draws = Stream("test", seed_bytes(3)).uniforms(step, copies, 2)
        common = learner.space.values((draws[:, 0] * learner.space.num_values).astype(np.int64))
        rewards = draws[:, 1] * 2.0 - 1.0 if step else np.zeros(copies)
        yield CommonRecord(step, common, rewards, np.full(copies, step == 0), np.zeros(copies, dtype=np.uint8))


def _copy(layer: nn.Linear, group: ParameterGroup, name: str) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(group.arrays[f"{name}.weight"].T.copy()))
        layer.bias.copy_(torch.from_numpy(group.arrays[f"{name}.bias"]))


def _plain(exact: Coordinator) -> PlainLearner:
    """The plain learner with the parameters that the exact one has now."""
    inputs = exact.space.feature_size + exact.theta.code_size
    plain = PlainLearner(exact.settings, inputs, exact.space.num_values, torch.float64)
    ais, policy = exact.groups
    with torch.no_grad():
        for torch_name, name in (("ih", "encoder.gates"), ("hh", "encoder.recurrent")):
            weight = torch.from_numpy(ais.arrays[f"{name}.weight"].T.copy())
            getattr(plain.recurrent, f"weight_{torch_name}_l0").copy_(weight)
            getattr(plain.recurrent, f"bias_{torch_name}_l0").copy_(torch.from_numpy(ais.arrays[f"{name}.bias"]))
    layers = (
        *((plain.embedding, ais, "encoder.input"), (plain.reward[0], ais, "reward.hidden")),
        *((plain.reward[2], ais, "reward.output"), (plain.transition[0], ais, "transition.hidden")),
        *((plain.transition[2], ais, "transition.output"), (plain.trunk[0], policy, "trunk")),
        *((plain.actor, policy, "actor"), (plain.critic[0], policy, "critic.hidden")),
        (plain.critic[2], policy, "critic.output"),
    )
    for layer, group, name in layers:
        assert isinstance(layer, nn.Linear)
        _copy(layer, group, name)
    return plain


def _compared(spoil: float = 0.0) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Losses of both learners, update for update, on the batches that the exact one chose."""
    exact = Coordinator(_settings(), seed_bytes(7))
    plain = _plain(exact)
    with torch.no_grad():
        plain.embedding.bias += spoil
    improve = exact.algorithm.improve
    told: list[dict[str, float]] = []

    def spy(batch: Batch, states: Array, update: int) -> dict[str, float]:
        arrays = (batch.inputs, batch.common_index, batch.prescriptions, batch.rewards)
        told.append(plain.update(PlainBatch(*(torch.tensor(array) for array in arrays)), torch.tensor(batch.start)))
        return improve(batch, states, update)

    exact.algorithm.improve = spy  # type: ignore[method-assign]
    reports = [decision.update for decision in map(exact.receive, _records(exact))]
    return list(zip([report.losses for report in reports if report is not None], told, strict=True))


def test_the_yardstick_has_the_losses_of_the_exact_learner() -> None:
    """Of the first update to 1e-6, by the same formulas; of later ones nearly, because so are the steps between them."""
    compared = _compared()
    assert len(compared) == UPDATES
    for update, (exact, plain) in enumerate(compared):
        assert len(plain) == 6
        for name, loss in plain.items():
            assert loss == pytest.approx(exact[name], abs=1e-6 if update == 0 else 1e-4), (update, name)


def test_another_parameter_would_be_noticed() -> None:
    exact, plain = _compared(spoil=0.01)[0]
    assert abs(plain["transition"] - exact["transition"]) > 1e-6
