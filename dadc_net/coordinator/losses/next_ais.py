"""(P2) of each step, from what its head predicts, and the way back, which torch finds."""

from __future__ import annotations

import torch

from dadc_net.coordinator.losses import NEXT_AIS_LOSSES
from dadc_net.coordinator.networks.layers import TowerPass
from dadc_net.coordinator.networks.parameters import Gradients
from dadc_net.exact import functions
from dadc_net.exact.array import Array


class NextAis:
    """A graph from the head's outputs on, and from the target if that is not data."""

    def __init__(self, head: TowerPass, loss: str, target: Array, is_learned: bool) -> None:
        """The loss ``loss`` of predicting ``target`` [n, X], which ``is_learned`` too or is data."""
        size = target.shape[1]
        self._head = head
        self._predicted = torch.from_numpy(head.outputs).requires_grad_()
        self._target = torch.from_numpy(target).requires_grad_(is_learned)
        count = head.outputs.shape[1] // size
        particles: tuple[torch.Tensor, ...] = (self._predicted,)
        if count > 1:
            shares = functions.fork(self._predicted, count)
            particles = tuple(share[:, size * s : size * (s + 1)] for s, share in enumerate(shares))
        self._found = NEXT_AIS_LOSSES[loss].rows(particles, self._target)
        self.rows: Array = self._found.detach().numpy()
        """[n]"""

    def back(self, gradient: Array, into: Gradients) -> tuple[Array, Array | None]:
        """From the gradient [n] of ``rows`` those of what is known [n, K] and of the target [n, X], None if that is data."""
        leaves = [self._predicted, *([self._target] if self._target.requires_grad else [])]
        predicted, *target = functions.gradients(self._found, gradient, leaves)
        return self._head.back(predicted, into, wanted=True), target[0] if target else None
