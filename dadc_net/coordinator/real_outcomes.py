"""The next common observation where it holds real numbers, as it is predicted (P2b): column by column.

    p(z) = p(z_1) p(z_2 | z_1) .. p(z_C | z_1 .. z_{C-1})

As in ``outcomes``, each column is predicted from one hidden layer, to which what is known of the columns before it is added.
A finite column is a softmax. A coordinate of a box, coded to y in [-1, 1], has a Gaussian density

    log p(y) = -(y - m)^2 / (2 s^2) - log s - log(2 pi) / 2,    log s = -2 + 2 tanh(o)

whose mean m and whose o are the head's two outputs. The deviation s lies between exp(-4), which is 0.9 % of the box's width,
and 1: a density without such a bound grows without end where an observation repeats itself. Bishop (1994) has the network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.networks.layers import linear_shapes
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.outcome_pass import Column, Likelihood, OutcomePass, Seen, SoftmaxLikelihood, outcome_pass
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.prescription import one_hot
from dadc_net.exact import elementary, gaussian
from dadc_net.exact.array import Array
from dadc_net.team.spaces import FiniteSpace, Space

_MIDDLE, _SPREAD = -2.0, 2.0
"""Of log s."""
_DENSITY = 2
"""Outputs of a coordinate's head: m and o."""
_COORDINATE = 0
"""Size of a column that is no finite one."""


class RealOutcomes:
    """The values of a z that is not finite; C columns of z. Satisfies what ``outcomes.Outcomes`` does."""

    enumerated = False
    """There is no softmax over all values."""

    def __init__(self, space: Space) -> None:
        self._space = space
        sizes = [part.sizes if isinstance(part, FiniteSpace) else (_COORDINATE,) * part.columns for part in space.parts]
        self._sizes = tuple(itertools.chain.from_iterable(sizes))
        """[C] values of each finite column."""
        self.code_size = space.feature_size
        """Length of ``codes``."""

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """z [..., C] as it is kept: as it is."""
        return values

    def zeros(self, *shape: int) -> NDArray[Any]:
        """An array for ``stored`` values of this leading shape."""
        return np.zeros((*shape, len(self._sizes)))

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The inverse of ``stored``."""
        return stored

    def codes(self, stored: NDArray[Any]) -> Array:
        """The code of z, of stored values in rows: [n, code_size]."""
        return self._space.features(stored.reshape(-1, len(self._sizes)))

    def shapes(self, name: str, known: int, width: int) -> dict[str, Shape]:
        """Parameters of the head ``name`` over ``known`` inputs, with a hidden layer of ``width``."""
        shapes = linear_shapes(f"{name}.hidden", known, width)
        for column, size in enumerate(self._sizes, start=1):
            if column > 1:
                shapes[f"{name}.seen.{column}.weight"] = (max(1, self._sizes[column - 2]), width)
            shapes |= linear_shapes(f"{name}.output.{column}", width, size or _DENSITY)
        return shapes

    def log_probability(self, group: ParameterGroup, name: str, known: Array, stored: NDArray[Any]) -> OutcomePass:
        """log p of stored values in rows, from ``known`` [n, K]."""
        numbers, columns = self._columns(stored), list[Column]()
        for column, (happened, size) in enumerate(zip(numbers, self._sizes, strict=True), start=1):
            seen = None
            if column > 1:
                codes = self._seen(numbers[column - 2], self._sizes[column - 2])
                seen = Seen(f"{name}.seen.{column}.weight", codes)
            columns.append(Column(f"{name}.output.{column}", self._likelihood(happened, size), seen))
        return outcome_pass(group, name, known, columns)

    def _columns(self, stored: NDArray[Any]) -> list[NDArray[Any]]:
        """[C][n] numbers of finite values, codes of coordinates."""
        found: list[NDArray[Any]] = []
        rows, at = stored.reshape(-1, len(self._sizes)), 0
        for part in self._space.parts:
            values = rows[:, at : at + part.columns]
            found += list((values if isinstance(part, FiniteSpace) else part.features(values)).T)
            at += part.columns
        return found

    def _seen(self, column: NDArray[Any], size: int) -> Array:
        return one_hot(column.astype(np.int64), size) if size else np.ascontiguousarray(column[:, None])

    def _likelihood(self, column: NDArray[Any], size: int) -> Callable[[Array], Likelihood]:
        """What a head's outputs say of the numbers of a column [n]."""
        if size:
            return partial(SoftmaxLikelihood, happened=column.astype(np.int64))
        return partial(_Density, happened=self._seen(column, size))


class _Density:
    """log p of a coordinate."""

    def __init__(self, outputs: Array, happened: Array) -> None:
        """outputs [n, 2], happened [n, 1]."""
        self._spread = elementary.tanh(outputs[:, 1:])
        self._found = gaussian.forward(happened, outputs[:, :1], self._spread * _SPREAD + _MIDDLE)
        self.rows = self._found.rows

    def back(self, gradient: Array) -> Array:
        """As ``Likelihood.back``."""
        mean, log_deviation = gaussian.backward(self._found, gradient)
        return np.concatenate((mean, elementary.tanh_gradient(log_deviation * _SPREAD, self._spread)), axis=1)


def outcomes_of(space: Space) -> Outcomes | RealOutcomes:
    """What is stored, coded and predicted of a z in ``space``."""
    return Outcomes(space) if isinstance(space, FiniteSpace) else RealOutcomes(space)
