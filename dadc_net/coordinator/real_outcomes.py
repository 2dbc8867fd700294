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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dadc_net.coordinator.networks.layers import linear, linear_shapes
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.prescription import one_hot
from dadc_net.exact import functions
from dadc_net.exact.acting import INPUT_EXPONENT
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

    def log_probability(self, group: ParameterGroup, name: str, known: Tensor, stored: NDArray[Any]) -> Tensor:
        """log p of stored values in rows, from ``known`` [n, K], on the graph: [n]."""
        columns = self._columns(stored)
        hidden = linear(group, f"{name}.hidden", known)
        found = self._one(group, f"{name}.output.1", hidden, columns[0], self._sizes[0])
        for column in range(2, len(columns) + 1):
            before = torch.from_numpy(self._seen(columns[column - 2], self._sizes[column - 2]))
            hidden = hidden + functions.product(before, group.tensors[f"{name}.seen.{column}.weight"], INPUT_EXPONENT)
            found = found + self._one(group, f"{name}.output.{column}", hidden, columns[column - 1], self._sizes[column - 1])
        return found

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

    def _one(self, group: ParameterGroup, output: str, hidden: Tensor, column: NDArray[Any], size: int) -> Tensor:
        outputs = linear(group, output, functions.tanh(hidden))
        if size:
            return functions.categorical(outputs, torch.from_numpy(column.astype(np.int64)))[0]
        mean, deviation = functions.fork(outputs, 2)
        log_deviation = functions.tanh(deviation[:, 1:]) * _SPREAD + _MIDDLE
        return functions.gaussian_log_density(torch.from_numpy(self._seen(column, size)), mean[:, :1], log_deviation)


def outcomes_of(space: Space) -> Outcomes | RealOutcomes:
    """What is stored, coded and predicted of a z in ``space``."""
    return Outcomes(space) if isinstance(space, FiniteSpace) else RealOutcomes(space)
