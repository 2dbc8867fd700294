"""A critic that is quadratic in theta (Gu et al., 2016): Q(x, theta) = V(x) - 1/2 |L(x)^T (theta - mu(x))|^2.

One tower of hidden layers on the AIS, one linear layer whose outputs are V, mu and the lower triangle L, the logarithm of
its diagonal. Theta is taken in the units of its code, in which the box is -1 .. 1 (paper, E.2: value head, mu head, L head).

Deviation: E.2 prints as many neurons for L as for mu, D. That is its diagonal alone, with which no two entries of theta
could matter together; here L has all D (D + 1) / 2 entries, as in Gu et al.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.layers import Tower
from dadc_net.coordinator.parameters import ParameterGroup, TargetCopy
from dadc_net.coordinator.prescription import Box
from dadc_net.exact import functions
from dadc_net.exact.acting import Arrays, PreparedTower
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream

_LARGEST_LOG = 3.0
"""Of the diagonal's logarithm, which is clamped to +- this."""


class NafNetwork:
    """Parameters of Q, and their target copy."""

    def __init__(self, state_size: int, width: int, box: Box, tower: Tower, initial: Stream) -> None:
        self._box, self._tower = box, tower
        size = box.code_size
        self.size = size
        outputs = 1 + size + size * (size + 1) // 2
        self.group = ParameterGroup("naf", tower.shapes(state_size, width, outputs), initial)
        self.target = TargetCopy(self.group)
        rows, columns = np.tril_indices(size)
        self._on_diagonal = (rows == columns).astype(np.float64)

    def forward(self, states: Tensor, codes: Tensor) -> Tensor:
        """Q of AIS rows [n, X] with codes of theta [n, D] -> [n], on the graph."""
        outputs = functions.fork(self._tower.forward(self.group, states), 3)
        value, peak = outputs[0][:, 0], outputs[1][:, 1 : 1 + self.size]
        return value + functions.triangular_form(self._lower(outputs[2][:, 1 + self.size :]), codes - peak)

    def _lower(self, entries: Tensor) -> Tensor:
        """L of its entries: their exponential on the diagonal."""
        parts = functions.fork(entries, 2)
        diagonal = functions.expand_rows(torch.from_numpy(self._on_diagonal), entries.shape[0])
        others = functions.expand_rows(torch.from_numpy(1.0 - self._on_diagonal), entries.shape[0])
        return functions.exp(parts[0].clamp(-_LARGEST_LOG, _LARGEST_LOG)) * diagonal + parts[1] * others

    def rule(self) -> _Peak:
        """AIS [n, X] -> mu in units of theta [n, D]."""
        return _Peak(self._tower.acting(self.group), self._box)

    def values(self, source: Arrays) -> _Value:
        """AIS [n, X] -> V [n], with the parameters of ``source``: the group's or the target's."""
        return _Value(self._tower.acting(source))


class _Peak:
    def __init__(self, layers: PreparedTower, box: Box) -> None:
        self._layers, self._box = layers, box

    def __call__(self, states: Array) -> Array:
        peaks: Array = self._box.centre + self._box.half_width * self._layers(states)[:, 1 : 1 + self._box.code_size]
        return peaks


class _Value:
    def __init__(self, layers: PreparedTower) -> None:
        self._layers = layers

    def __call__(self, states: Array) -> Array:
        values: Array = self._layers(states)[:, 0]
        return values
