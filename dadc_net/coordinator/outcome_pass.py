"""How likely an outcome is that happened, from a head over what is known (``outcomes``): forwards and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.networks.layers import LinearPass, Tower
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.exact import categorical, elementary, grid, layers
from dadc_net.exact.acting import INPUT_EXPONENT
from dadc_net.exact.array import Array


class Likelihood(Protocol):
    """What n rows of a head's outputs say of what happened there."""

    @property
    def rows(self) -> Array:
        """[n] log p"""

    def back(self, gradient: Array) -> Array:
        """From the gradient [n] of ``rows`` that of the outputs [n, C]."""


class SoftmaxLikelihood:
    """Of one of finitely many values, whose logits the outputs are."""

    def __init__(self, logits: Array, happened: NDArray[np.int64]) -> None:
        """logits [n, C], happened [n]."""
        self._happened = np.ascontiguousarray(happened)
        self._found = categorical.forward(logits, self._happened)
        self.rows = self._found.taken

    def back(self, gradient: Array) -> Array:
        """As ``Likelihood.back``."""
        return categorical.backward(self._found, self._happened, gradient, np.zeros(len(gradient)))


class Seen(NamedTuple):
    """What is added to the hidden layer of the column before."""

    weight: str
    """Name of a tensor [C, width]"""
    codes: Array
    """[n, C] of the column before, as it happened"""


class Column(NamedTuple):
    """One column of z."""

    output: str
    """Name of its output layer."""
    likelihood: Callable[[Array], Likelihood]
    """Of the layer's outputs [n, C]."""
    seen: Seen | None
    """None: the first column."""


class OutcomePass(Protocol):
    """log p of n outcomes."""

    rows: Array
    """[n]"""

    def back(self, gradient: Array, into: Gradients) -> Array:
        """From the gradient [n] of ``rows`` that of what is known [n, K]; the parameters' go ``into``."""


def outcome_pass(group: ParameterGroup, name: str, known: Array, columns: Sequence[Column]) -> OutcomePass:
    """The head ``name`` at what is known [n, K]."""
    return (_One if len(columns) == 1 else _Several)(group, name, known, columns)


class _One:
    """A single column: a tower with one hidden layer."""

    def __init__(self, group: ParameterGroup, name: str, known: Array, columns: Sequence[Column]) -> None:
        self._tower = Tower((f"{name}.hidden",), columns[0].output).forward(group, known)
        self._likelihood = columns[0].likelihood(self._tower.outputs)
        self.rows = self._likelihood.rows

    def back(self, gradient: Array, into: Gradients) -> Array:
        return self._tower.back(self._likelihood.back(gradient), into, wanted=True)


class _Several:
    """Columns one after the other, over one hidden layer to which what was seen is added."""

    def __init__(self, group: ParameterGroup, name: str, known: Array, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._hidden = LinearPass(group.arrays, f"{name}.hidden", known)
        before = self._hidden.outputs
        self._ways: list[tuple[Array, LinearPass, Likelihood]] = []
        self.rows: Array = np.empty(0)
        for column in columns:
            if column.seen is not None:
                before = before + layers.product(column.seen.codes, group.arrays[column.seen.weight], INPUT_EXPONENT)
            y = elementary.tanh(before)
            head = LinearPass(group.arrays, column.output, y)
            likelihood = column.likelihood(head.outputs)
            self.rows = self.rows + likelihood.rows if self._ways else likelihood.rows
            self._ways.append((y, head, likelihood))

    def back(self, gradient: Array, into: Gradients) -> Array:
        joined: Array = np.zeros(self._hidden.outputs.shape)
        for column, (y, head, likelihood) in zip(reversed(self._columns), reversed(self._ways), strict=True):
            joined = elementary.tanh_gradient(head.back(likelihood.back(gradient), into), y) + joined
            if column.seen is not None:
                into.add(column.seen.weight, grid.product(column.seen.codes.T, joined, INPUT_EXPONENT))
        return self._hidden.back(joined, into)
