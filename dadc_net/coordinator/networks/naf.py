"""A critic that is quadratic in theta (Gu et al., 2016): Q(x, theta) = V(x) - 1/2 |L(x)^T (theta - mu(x))|^2.

One tower of hidden layers on the AIS, one linear layer whose outputs are V, mu and the lower triangle L, the logarithm of
its diagonal. Theta is taken in the units of its code, in which the box is -1 .. 1 (paper, E.2: value head, mu head, L head).

mu may lie outside the box. What is played lies inside, and so does the maximum that a target is made of: Q at a *candidate*,
which is the point of the box nearest to mu, or the best corner of the box. Of few dimensions every corner is looked at, of
more those that come of turning one entry over after the other, beginning with the corner nearest to mu.

Deviation: E.2 prints as many neurons for L as for mu, D. That is its diagonal alone, with which no two entries of theta
could matter together; here L has all D (D + 1) / 2 entries, as in Gu et al.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.networks.layers import Tower, TowerPass
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup, TargetCopy
from dadc_net.coordinator.prescription import Box, Corners
from dadc_net.exact import elementary, functions
from dadc_net.exact.acting import Arrays, PreparedTower
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream

_LARGEST_LOG = 3.0
"""Of the diagonal's logarithm, which is clamped to +- this."""
_MOST_DIMENSIONS = 8
"""Up to which corners are looked at one by one."""
_SWEEPS = 8
"""Most rounds of the search for a corner beyond that."""


class NafPass(NamedTuple):
    """Q at n rows: a graph from the tower's outputs on."""

    tower: TowerPass
    outputs: Tensor
    """[n, 1 + D + D (D + 1) / 2], where the graph begins"""
    values: Tensor
    """[n]"""

    def back(self, gradient: Array, into: Gradients) -> None:
        """From the gradient [n] of the values those of the parameters, which go ``into``."""
        self.tower.back(functions.gradients(self.values, gradient, [self.outputs])[0], into)


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

    def forward(self, states: Array, codes: Array) -> NafPass:
        """Q of AIS rows [n, X] with codes of theta [n, D]."""
        tower = self._tower.forward(self.group, states)
        leaf = torch.from_numpy(tower.outputs).requires_grad_()
        outputs = functions.fork(leaf, 3)
        value, peak = outputs[0][:, 0], outputs[1][:, 1 : 1 + self.size]
        form = functions.triangular_form(self._lower(outputs[2][:, 1 + self.size :]), torch.from_numpy(codes) - peak)
        return NafPass(tower, leaf, value + form)

    def _lower(self, entries: Tensor) -> Tensor:
        """L of its entries: their exponential on the diagonal."""
        parts = functions.fork(entries, 2)
        diagonal = functions.expand_rows(torch.from_numpy(self._on_diagonal), entries.shape[0])
        others = functions.expand_rows(torch.from_numpy(1.0 - self._on_diagonal), entries.shape[0])
        return functions.exp(parts[0].clamp(-_LARGEST_LOG, _LARGEST_LOG)) * diagonal + parts[1] * others

    def rule(self) -> Callable[[Array], Array]:
        """AIS [n, X] -> theta that is played [n, D]."""
        return _Rule(self._quadratic(self.group), self._box)

    def values(self, source: Arrays) -> Callable[[Array], Array]:
        """AIS [n, X] -> Q of what is played [n], with the parameters of ``source``: the group's or the target's."""
        return _Value(self._quadratic(source))

    def _quadratic(self, source: Arrays) -> _Quadratic:
        return _Quadratic(self._tower.acting(source), self._on_diagonal, _candidates(self._box))


Candidates = Callable[[Array, Array], list[Array]]
"""L [n, D (D + 1) / 2], mu [n, D] -> codes of theta that might be played, [n, D] each."""


def _candidates(box: Box) -> Candidates:
    if not isinstance(box, Corners):
        return lambda _, peak: [np.minimum(np.maximum(peak, -1.0), 1.0) + 0.0]
    if box.code_size > _MOST_DIMENSIONS:
        return lambda lower, peak: [functions.climb_corners(lower, peak, _SWEEPS)]
    corners = [np.array(corner) for corner in itertools.product((-1.0, 1.0), repeat=box.code_size)]
    return lambda _, peak: [np.tile(corner, (len(peak), 1)) for corner in corners]


class _Quadratic:
    """Q without a way back, with the bits of ``NafNetwork.forward``."""

    def __init__(self, layers: PreparedTower, on_diagonal: Array, candidates: Candidates) -> None:
        self._layers, self._on_diagonal, self._candidates = layers, on_diagonal, candidates

    def best(self, states: Array) -> tuple[Array, Array]:
        """Code of the candidate with the largest Q, ties to the first one [n, D], and that Q [n]."""
        size = int(self._on_diagonal.sum())
        outputs = self._layers(states)
        value, peak, entries = outputs[:, 0], outputs[:, 1 : 1 + size], outputs[:, 1 + size :]
        exponents = np.minimum(np.maximum(entries, -_LARGEST_LOG), _LARGEST_LOG)
        lower = elementary.exp(exponents) * self._on_diagonal + entries * (1.0 - self._on_diagonal)
        first, *others = self._candidates(lower, peak)
        chosen, most = first, value + functions.triangular_values(lower, first - peak)
        for code in others:
            worth = value + functions.triangular_values(lower, code - peak)
            better = worth > most
            chosen, most = np.where(better[:, None], code, chosen), np.where(better, worth, most)
        return chosen, most


class _Rule:
    def __init__(self, quadratic: _Quadratic, box: Box) -> None:
        self._quadratic, self._box = quadratic, box

    def __call__(self, states: Array) -> Array:
        code, _ = self._quadratic.best(states)
        theta: Array = self._box.centre + self._box.half_width * code
        return theta


class _Value:
    def __init__(self, quadratic: _Quadratic) -> None:
        self._quadratic = quadratic

    def __call__(self, states: Array) -> Array:
        return self._quadratic.best(states)[1]
