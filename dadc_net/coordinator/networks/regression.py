"""What a critic learns from: the mean smooth L1 distance of its values from goals, over the rows that count."""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.exact import layers
from dadc_net.exact.array import Array


class Goals:
    """What n values are to be."""

    def __init__(self, goals: Array, counted: Array, count: float | None = None) -> None:
        """goals [n], counted [n], 1.0 where a row counts, else 0.0; ``count``: how many do, at least 1 (None: found out)."""
        self._goals, self._counted = goals, counted
        self._count = max(1.0, float(np.sum(counted))) if count is None else count

    def distance(self, values: Array) -> float:
        """Mean smooth L1 distance of ``values`` [n]."""
        return layers.mean(layers.smooth_l1(values - self._goals), self._counted, self._count)

    def gradient(self, values: Array, slope: float = 1.0) -> Array:
        """Gradient with respect to ``values`` [n] of a loss whose gradient with respect to the distance is ``slope``."""
        return layers.smooth_l1_gradient(layers.mean_gradient(slope, self._counted, self._count), values - self._goals)


def fit(
    tower: Tower, group: ParameterGroup, inputs: Array, goals: Goals, learning_rate: float, largest_norm: float
) -> float:
    """One step of ``tower``, which has one output, against the distance of its values from ``goals``; the distance before.

    Args:
        inputs: [n, m].
        largest_norm: of the gradient; 0 does not clip.
    """
    way, gradients = tower.forward(group, inputs), Gradients()
    values = way.outputs[:, 0]
    distance = goals.distance(values)
    way.back(goals.gradient(values)[:, None], gradients)
    group.descend(gradients, learning_rate, largest_norm)
    return distance
