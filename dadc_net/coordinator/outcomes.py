"""The next common observation as it is predicted (P2b): as one of finitely many values, or factor by factor.

    up to 1,024 values   p(z) is one softmax over all of them
    more                 p(z) = p(z_1) p(z_2 | z_1) .. p(z_C | z_1 .. z_{C-1}), each a softmax over one factor

Any joint law is such a product. Each factor is predicted from the same hidden layer, to which what is known of the factors
before it is added one by one (Larochelle and Murray, 2011):

    a_1 = W [x_t, theta_t] + b        a_{c+1} = a_c + U_c [z_c]        logits of z_c = V_c tanh(a_c) + d_c

so that parameters and work grow with the sum of the factors' sizes, and not with their product. One factor is the first
case.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.networks.layers import linear_shapes
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.outcome_pass import Column, OutcomePass, Seen, SoftmaxLikelihood, outcome_pass
from dadc_net.coordinator.prescription import one_hot
from dadc_net.coordinator.settings.enumeration import is_enumerated
from dadc_net.exact.array import Array
from dadc_net.team.spaces import FiniteSpace


class Outcomes:
    """The values of z as numbers that can be stored, coded and predicted; C factors of z, F factors of the prediction."""

    def __init__(self, space: FiniteSpace) -> None:
        self.space = space
        self.enumerated = is_enumerated(space)
        """Whether the prediction is one softmax over all values."""
        self.sizes = (space.num_values,) if self.enumerated else space.sizes
        """[F]"""
        self.stored: Callable[[NDArray[np.int64]], NDArray[np.int64]] = space.index if self.enumerated else np.asarray
        """z [..., C] as it is kept: its index [...], or its factors [..., C]."""

    @cached_property
    def code_size(self) -> int:
        """Length of ``codes``."""
        return sum(self.sizes)

    def zeros(self, *shape: int) -> NDArray[Any]:
        """An array for ``stored`` values of this leading shape."""
        return np.zeros(shape if self.enumerated else (*shape, len(self.sizes)), dtype=np.int64)

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The inverse of ``stored``."""
        return self.space.values(stored) if self.enumerated else stored

    def codes(self, stored: NDArray[np.int64]) -> Array:
        """One-hots of the F factors side by side, of stored values in rows: [n, code_size]."""
        return np.concatenate(self._hots(stored), axis=1)

    def _hots(self, stored: NDArray[np.int64]) -> list[Array]:
        columns = stored.reshape(-1, len(self.sizes))
        return [one_hot(columns[:, factor], size) for factor, size in enumerate(self.sizes)]

    def shapes(self, name: str, known: int, width: int) -> dict[str, Shape]:
        """Parameters of the head ``name`` over ``known`` inputs, with a hidden layer of ``width``."""
        shapes = {**linear_shapes(f"{name}.hidden", known, width), **linear_shapes(f"{name}.output", width, self.sizes[0])}
        for factor, (before, size) in enumerate(zip(self.sizes, self.sizes[1:], strict=False), start=2):
            shapes[f"{name}.seen.{factor}.weight"] = (before, width)
            shapes |= linear_shapes(f"{name}.output.{factor}", width, size)
        return shapes

    def log_probability(self, group: ParameterGroup, name: str, known: Array, stored: NDArray[np.int64]) -> OutcomePass:
        """log p of stored values in rows, from ``known`` [n, K]."""
        numbers, hots = stored.reshape(-1, len(self.sizes)), self._hots(stored)
        columns = [Column(f"{name}.output", partial(SoftmaxLikelihood, happened=numbers[:, 0]), None)]
        for factor in range(2, len(self.sizes) + 1):
            likelihood = partial(SoftmaxLikelihood, happened=numbers[:, factor - 1])
            seen = Seen(f"{name}.seen.{factor}.weight", hots[factor - 2])
            columns.append(Column(f"{name}.output.{factor}", likelihood, seen))
        return outcome_pass(group, name, known, columns)
