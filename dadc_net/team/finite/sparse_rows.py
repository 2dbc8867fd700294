"""Sparse matrices by rows, in NumPy alone: what the tables of a finite model are kept in.

The form is canonical: within a row the columns rise, zeros are not kept, -0.0 is 0.0. Two matrices are equal exactly when
their arrays are, so that a model has one digest.

Axis letters: R rows, C columns, N entries that are not 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sums_at(places: NDArray[np.int64], values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Sums [length] of the ``values`` [N] at equal ``places`` [N], each from left to right."""
    return np.asarray(np.bincount(places, weights=values, minlength=length), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A matrix [R, C], of which the entries that are not 0 are kept. Its arrays cannot be written."""

    indptr: NDArray[np.int64]
    """[R + 1] row r has the entries indptr[r] .. indptr[r + 1] - 1"""
    indices: NDArray[np.int64]
    """[N] their columns, rising within a row"""
    data: NDArray[np.float64]
    """[N] their values"""
    num_columns: int
    """C"""

    def __post_init__(self) -> None:
        indptr, indices = np.array(self.indptr, dtype=np.int64), np.array(self.indices, dtype=np.int64)
        data = np.array(self.data, dtype=np.float64)
        framed = indptr.ndim == 1 and len(indptr) >= 1 and indptr[0] == 0 and indptr[-1] == len(indices)
        if not (framed and indices.shape == data.shape == (len(indices),) and bool((np.diff(indptr) >= 0).all())):
            raise ValueError(
                f"indptr {indptr.shape}, indices {indices.shape} and data {data.shape} do not describe a sparse matrix"
            )
        rises = np.diff(indices) > 0
        first = np.unique(indptr[1:-1])
        first = first[(first > 0) & (first < len(indices))]
        rises[first - 1] = True
        if len(indices) and not (rises.all() and indices.min() >= 0 and indices.max() < self.num_columns):
            raise ValueError(f"the columns of a row must rise and lie in 0 .. {self.num_columns - 1}")
        if bool((data == 0.0).any()):
            raise ValueError("zeros are not kept; make the matrix with SparseRows.from_entries")
        for name, array in (("indptr", indptr), ("indices", indices), ("data", data)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def from_entries(cls, rows: ArrayLike, columns: ArrayLike, values: ArrayLike, shape: tuple[int, int]) -> SparseRows:
        """The matrix [R, C] of entries [N] in any order; of entries at the same place the last one counts.

        Raises:
            ValueError: for an entry outside ``shape``.
        """
        row, column = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
        value = np.asarray(values, dtype=np.float64)
        num_rows, num_columns = shape
        if len(row) and not (min(row.min(), column.min()) >= 0 and row.max() < num_rows and column.max() < num_columns):
            raise ValueError(f"an entry lies outside a matrix of shape {shape}")
        place = row * num_columns + column
        order = np.argsort(place, kind="stable")
        place = place[order]
        last = np.append(place[1:] != place[:-1], True) if len(place) else np.zeros(0, dtype=np.bool_)
        kept = order[last]
        kept = kept[value[kept] != 0.0]
        indptr = np.zeros(num_rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(row[kept], minlength=num_rows), out=indptr[1:])
        return cls(indptr, column[kept], value[kept], num_columns)

    @classmethod
    def from_dense(cls, matrix: ArrayLike) -> SparseRows:
        """The same matrix [R, C]."""
        dense = np.asarray(matrix, dtype=np.float64)
        rows, columns = np.nonzero(dense)
        return cls.from_entries(rows, columns, dense[rows, columns], (dense.shape[0], dense.shape[1]))

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return self.num_rows, self.num_columns

    @property
    def rows(self) -> NDArray[np.int64]:
        """[N] in which row each entry stands."""
        return np.repeat(np.arange(self.num_rows), np.diff(self.indptr))

    def row(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Columns and values of one row."""
        part = slice(self.indptr[index], self.indptr[index + 1])
        return self.indices[part], self.data[part]

    def at(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.float64]:
        """The entries at these places, 0 where none is kept: [..]."""
        wanted = np.asarray(rows, dtype=np.int64) * self.num_columns + np.asarray(columns, dtype=np.int64)
        if not len(self.data):
            return np.zeros(wanted.shape)
        places = self.rows * self.num_columns + self.indices
        found = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
        return np.where(places[found] == wanted, self.data[found], 0.0)

    def dense(self) -> NDArray[np.float64]:
        """The whole matrix [R, C]."""
        matrix = np.zeros(self.shape)
        matrix[self.rows, self.indices] = self.data
        return matrix

    def dot(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """M v: [C] -> [R]; each sum is taken from left to right, so that it is one number on every host."""
        return sums_at(self.rows, self.data * vector[self.indices], self.num_rows)

    def left_dot(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """v M: [R] -> [C]; the sums run from the first row to the last."""
        return sums_at(self.indices, self.data * vector[self.rows], self.num_columns)

    def row_sums(self) -> NDArray[np.float64]:
        """[R], each from left to right."""
        return sums_at(self.rows, self.data, self.num_rows)

    def map(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> SparseRows:
        """The matrix whose kept entries are ``function`` of these [N]."""
        return SparseRows.from_entries(self.rows, self.indices, function(self.data), self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseRows):
            return NotImplemented
        mine, theirs = (self.indptr, self.indices, self.data), (other.indptr, other.indices, other.data)
        return self.num_columns == other.num_columns and all(map(np.array_equal, mine, theirs))

    def __hash__(self) -> int:
        return hash((self.shape, self.indices.tobytes(), self.data.tobytes()))
