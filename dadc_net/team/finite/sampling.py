"""Drawing from the rows of sparse tables for many copies at once, by integer thresholds.

A row of probabilities becomes integer weights out of 2^32, at least 1 for what can happen; a uniform number u draws the
first column whose cumulative weight exceeds floor(u 2^32), as ``exact.streams.categorical`` does. All rows of all
tables lie one after the other in a single rising list, row r's thresholds raised by r 2^32, so that a draw is one search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.sparse_rows import SparseRows

_BITS = 32
_WHOLE = 1 << _BITS


class RowSampler:
    """Tables [J] of shape [R, C], one below the other."""

    def __init__(self, tables: Sequence[SparseRows]) -> None:
        """Every row must sum to 1, as those of a finite model do."""
        self._num_rows = tables[0].num_rows
        self.columns = np.concatenate([table.indices for table in tables])
        """[N] the columns of all entries."""
        thresholds = []
        for j, table in enumerate(tables):
            raised = (np.arange(self._num_rows, dtype=np.int64) + j * self._num_rows) << _BITS
            cumulative = _cumulative(table)
            thresholds.append(cumulative + raised[table.rows])
        self._thresholds = np.concatenate(thresholds)

    def branches(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How many entries each row has [J R], and their thresholds [N]: the first above a uniform number is drawn.

        They are as exact as the integers that ``draw`` compares: thresholds are multiples of 2^-32.
        """
        rows = (self._thresholds - 1) >> _BITS
        counts: NDArray[np.int64] = np.bincount(rows, minlength=int(rows[-1]) + 1)
        return counts, (self._thresholds - (rows << _BITS)) * math.ldexp(1.0, -_BITS)

    def draw(self, table: NDArray[np.int64], row: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """The place among all entries that each copy draws; ``columns`` of it is the column.

        Args:
            table: [E] 0 .. J-1.
            row: [E] 0 .. R-1.
            uniforms: [E] in [0, 1).

        Returns:
            int64 [E], values 0 .. N-1.
        """
        parts = np.floor(uniforms * math.ldexp(1.0, _BITS)).astype(np.int64)
        keys = ((table * self._num_rows + row) << _BITS) + parts
        return np.searchsorted(self._thresholds, keys, side="right").astype(np.int64)


def _cumulative(table: SparseRows) -> NDArray[np.int64]:
    """[N] cumulative weights within each row, the last one 2^32. Sound for rows of up to 50,000 entries."""
    weights = np.maximum(np.rint(table.data * math.ldexp(1.0, _BITS)), 1.0).astype(np.int64)
    starts, counts = table.indptr[:-1], np.diff(table.indptr)
    # What rounding has left over or taken too much, the largest part of the row gives.
    largest = np.flatnonzero(weights == np.repeat(np.maximum.reduceat(weights, starts), counts))
    _, first = np.unique(table.rows[largest], return_index=True)
    weights[largest[first]] += _WHOLE - np.add.reduceat(weights, starts)
    total = np.cumsum(weights)
    return total - np.repeat(total[starts] - weights[starts], counts)
