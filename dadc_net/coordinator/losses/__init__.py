"""What the state approximator may be asked to predict: one loss per file.

    next-observation   (P2b) cross-entropy of the next common observation; with the encoder's recursion, which is (P2a)
    next-ais-nll       (P2)  negative log-likelihood of the next AIS: the paper's stand-in for the KL divergence
    next-ais-energy    (P2)  energy distance, a Wasserstein-type distance, of particles from the next AIS
    next-ais-mmd       (P2)  maximum mean discrepancy under a Gaussian kernel, of particles from the next AIS
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from dadc_net.coordinator.losses import energy_distance, gaussian, kernel


class NextAisLoss(NamedTuple):
    """A loss of predicting x_{t+1} that takes ``count`` predicted vectors per row."""

    rows: Callable[[tuple[Tensor, ...], Tensor], Tensor]
    """(predicted: ``count`` tensors [n, X], target [n, X]) -> [n]"""
    particles: bool
    """Whether it takes ``ais.particles`` vectors; otherwise one, the mean."""


NEXT_AIS_LOSSES: dict[str, NextAisLoss] = {
    "next-ais-nll": NextAisLoss(gaussian.rows, False),
    "next-ais-energy": NextAisLoss(energy_distance.rows, True),
    "next-ais-mmd": NextAisLoss(kernel.rows, True),
}
