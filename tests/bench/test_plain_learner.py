"""The yardstick of ``bench numerics`` is the same learner: its losses are those of the exact one to a millionth."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from dadc_net.bench.numerics import _settings
from dadc_net.bench.plain_learner import PlainBatch, PlainLearner
from dadc_net.bench.variants import _records
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.exact.streams import seed_bytes

UPDATES = 3
NAMES = {
    "embedding": "encoder.input",
    "reward.0": "reward.hidden",
    "reward.2": "reward.output",
    "transition.0": "transition.hidden",
    "transition.2": "transition.output",
    "trunk.0": "trunk",
    "actor": "actor",
    "critic.0": "critic.hidden",
    "critic.2": "critic.output",
}
"""Linear layer of torch -> of the exact learner."""
GATES = {"ih": "encoder.gates", "hh": "encoder.recurrent"}


def exact_updates(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[dict[str, float], Batch]]:
    """The losses of each update, and the batch that it was made with."""
    batches: list[Batch] = []
    improve = coordinator.algorithm.improve

    def seen(batch: Batch, *rest: object) -> dict[str, float]:
        batches.append(copy.deepcopy(batch))
        return improve(batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(coordinator.algorithm, "improve", seen)
    for record in _records(coordinator.settings, coordinator.space):
        report = coordinator.receive(record).update
        if report is not None:
            yield report.losses, batches[-1]
        if len(batches) == UPDATES:
            return


@torch.no_grad()
def copy_parameters(coordinator: Coordinator, plain: PlainLearner) -> None:
    """Give the plain learner the parameters of the exact one, whose weights are stored the other way round."""
    exact = {name: torch.from_numpy(array) for group in coordinator.groups for name, array in group.arrays.items()}
    own = dict(plain.named_parameters())
    for name, theirs in NAMES.items():
        own.pop(f"{name}.weight").copy_(exact.pop(f"{theirs}.weight").T)
        own.pop(f"{name}.bias").copy_(exact.pop(f"{theirs}.bias"))
    for name, theirs in GATES.items():
        own.pop(f"recurrent.weight_{name}_l0").copy_(exact.pop(f"{theirs}.weight").T)
        own.pop(f"recurrent.bias_{name}_l0").copy_(exact.pop(f"{theirs}.bias"))
    assert not own
    assert not exact, "a parameter of the exact learner has no counterpart"


def differences(monkeypatch: pytest.MonkeyPatch, disturbance: float) -> list[float]:
    """Largest difference of any loss, for each update; the plain learner's actor is disturbed before the first."""
    settings = _settings(20, 3, 16, 32)
    coordinator = Coordinator(settings, seed_bytes(7))
    space = coordinator.space
    plain = PlainLearner(settings, space.feature_size + settings.num_prescriptions, space.num_values, torch.float64)
    copy_parameters(coordinator, plain)
    with torch.no_grad():
        plain.actor.bias[0] += disturbance
    found = []
    for exact, batch in exact_updates(coordinator, monkeypatch):
        tensors = (batch.inputs, batch.common_index, batch.prescriptions, batch.rewards)
        losses = plain.update(PlainBatch(*map(torch.from_numpy, tensors)), torch.from_numpy(batch.start))
        assert set(losses) == set(exact) - {"ais_spread", "ais_rank"}
        found.append(max(abs(losses[name] - exact[name]) for name in losses))
    return found


def test_the_plain_learners_losses_are_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    found = differences(monkeypatch, 0.0)
    assert len(found) == UPDATES
    assert max(found) < 1e-6


def test_another_learner_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert min(differences(monkeypatch, 1e-3)) > 1e-6
