"""The losses of the next AIS: what they say of clouds whose distance is known, and where their gradients go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dadc_net.coordinator.ais import StateApproximator, covariance, rank, spread
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.losses import NEXT_AIS_LOSSES, energy_distance, gaussian, kernel
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.errors import ConfigError
from dadc_net.exact.streams import seed_bytes
from tests.coordinator.test_learner import records, settings


def cloud(*rows: list[float]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([row], dtype=torch.float64) for row in rows)


def test_the_gaussian_loss_is_half_the_squared_distance() -> None:
    assert gaussian.rows(cloud([1.0, 2.0]), torch.tensor([[4.0, 6.0]], dtype=torch.float64)).item() == 12.5


def test_the_energy_distance_of_a_cloud_from_a_point() -> None:
    """2 E|Y - x| - E|Y - Y'|: particles at 0 and 2 on a line, sample at 1 and at 0."""
    at = energy_distance.rows(cloud([0.0], [2.0]), torch.tensor([[1.0]], dtype=torch.float64)).item()
    assert at == pytest.approx(2.0 * 1.0 - 1.0, abs=1e-5)
    beside = energy_distance.rows(cloud([0.0], [2.0]), torch.tensor([[0.0]], dtype=torch.float64)).item()
    assert beside == pytest.approx(2.0 * 1.0 - 1.0, abs=1e-5)
    alone = energy_distance.rows(cloud([0.5, 0.5], [0.5, 0.5]), torch.tensor([[0.5, 0.5]], dtype=torch.float64)).item()
    assert alone == pytest.approx(0.0, abs=1e-5)


def test_the_discrepancy_under_a_kernel_against_its_definition() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    particles, target = rng.uniform(-1, 1, (3, 4, 2)), rng.uniform(-1, 1, (4, 2))
    found = kernel.rows(tuple(torch.from_numpy(p) for p in particles), torch.from_numpy(target)).numpy()

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a - b) ** 2).sum(axis=1) / 2)

    direct = sum(k(a, b) for a in particles for b in particles) / 9 - 2 / 3 * sum(k(a, target) for a in particles) + 1
    assert np.allclose(found, direct, atol=1e-8)


@pytest.mark.parametrize("name", list(NEXT_AIS_LOSSES))
def test_gradients_agree_with_finite_differences(name: str) -> None:
    loss = NEXT_AIS_LOSSES[name]
    count = 3 if loss.particles else 1
    rng = np.random.Generator(np.random.Philox(6))
    values = [rng.uniform(-1, 1, (1, 2)) for _ in range(count + 1)]

    def at(parts: list[np.ndarray]) -> float:
        tensors = [torch.from_numpy(part) for part in parts]
        return loss.rows(tuple(tensors[:-1]), tensors[-1]).item()

    tensors = [torch.from_numpy(value.copy()).requires_grad_() for value in values]
    total = loss.rows(tuple(tensors[:-1]), tensors[-1])
    gradients = torch.autograd.grad(total, tensors, torch.ones(1, dtype=torch.float64))
    for index, gradient in enumerate(gradients):
        for column in range(2):
            ends = []
            for sign in (1, -1):
                moved = [value.copy() for value in values]
                moved[index][0, column] += sign * 1e-3
                ends.append(at(moved))
            assert gradient[0, column].item() == pytest.approx((ends[0] - ends[1]) / 2e-3, abs=2e-5)


def _encoder_gradient(**ais: object) -> np.ndarray:
    """Gradient of the transition loss with respect to the encoder's recurrent weight."""
    chosen = settings(updates=1, copies=3, steps=6, **ais)
    learner = Coordinator(chosen, seed_bytes(7))
    for record in records(chosen):
        if record.step == 6:
            break
        learner.receive(record)
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
    assert isinstance(learner.approximator, StateApproximator)
    return learner.approximator.losses(batch).gradients(None, 1.0).arrays["encoder.recurrent.weight"]


@pytest.mark.parametrize("loss", list(NEXT_AIS_LOSSES))
def test_a_detached_target_changes_the_encoders_gradient(loss: str) -> None:
    detached, printed = (_encoder_gradient(loss=loss, detach_target=value) for value in (True, False))
    assert np.isfinite(detached).all()
    assert detached.any()
    assert not np.allclose(detached, printed)


@pytest.mark.parametrize("beside", list(NEXT_AIS_LOSSES))
def test_a_loss_beside_blends_the_encoders_gradients(beside: str) -> None:
    """At weight 0 the encoder learns from (P2b) alone; at 1 from (P2) alone; between, from both in proportion."""
    alone = _encoder_gradient()
    none, half, whole = (_encoder_gradient(beside=beside, beside_weight=weight) for weight in (0.0, 0.5, 1.0))
    assert np.allclose(none, alone, atol=1e-12)
    assert whole.any()
    assert not np.allclose(whole, alone)
    # Products round the gradients that enter them, so that halves of a whole differ in what was rounded off.
    assert np.allclose(half, 0.5 * none + 0.5 * whole, atol=1e-6)


def test_a_loss_beside_another_of_its_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ais\.beside"):
        AisSettings(loss="next-ais-nll", beside="next-ais-mmd")
    with pytest.raises(ConfigError, match="next-observation"):
        AisSettings(beside="next-observation")


def test_truncation_leaves_the_states_and_cuts_the_gradient() -> None:
    whole, cut, late = (_encoder_gradient(truncation=steps) for steps in (0, 2, 6))
    assert np.array_equal(whole, late)
    assert not np.allclose(whole, cut)


def test_spread_and_rank_of_a_collapsed_and_of_a_full_ais() -> None:
    rng = np.random.Generator(np.random.Philox(7))
    full = rng.uniform(-1, 1, (500, 4))
    assert rank(covariance(full)) == 4
    assert spread(covariance(full)) == pytest.approx(1 / np.sqrt(3), abs=0.03)
    line = full[:, :1] * np.array([[1.0, 0.5, -0.5, 0.25]])
    assert rank(covariance(line)) == 1
    assert rank(covariance(np.full((500, 4), 0.3))) == 0
    assert spread(covariance(np.full((500, 4), 0.3))) == pytest.approx(0.0, abs=1e-7)
