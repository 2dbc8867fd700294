"""Tables of probabilities as they are read: later lines overwrite, entry by entry."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.sparse_rows import SparseRows

Chunk = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Rows, columns and values of entries, in the order in which they were written."""


class TableBuilder:
    """One table [R, C] in the making."""

    def __init__(self, rows: int, columns: int) -> None:
        self._shape = (rows, columns)
        self._chunks: list[Chunk] = []
        self._rows, self._columns, self._values = array("q"), array("q"), array("d")

    def put(self, row: int, column: int, value: float) -> None:
        """One entry."""
        self._rows.append(row)
        self._columns.append(column)
        self._values.append(value)

    def put_chunk(self, chunk: Chunk) -> None:
        """Many entries; the chunk is kept, not copied, and may belong to other tables too."""
        self._close()
        self._chunks.append(chunk)

    def replace(self, chunk: Chunk | None) -> None:
        """Every entry: what was written before does not matter any more."""
        self._rows, self._columns, self._values = array("q"), array("q"), array("d")
        self._chunks = [] if chunk is None else [chunk]

    def table(self) -> SparseRows:
        """The table as it stands."""
        self._close()
        if not self._chunks:
            return SparseRows.from_entries([], [], [], self._shape)
        rows, columns, values = (np.concatenate(parts) for parts in zip(*self._chunks, strict=True))
        return SparseRows.from_entries(rows, columns, values, self._shape)

    def _close(self) -> None:
        if self._rows:
            rows, columns = np.array(self._rows, dtype=np.int64), np.array(self._columns, dtype=np.int64)
            self._chunks.append((rows, columns, np.array(self._values, dtype=np.float64)))
            self._rows, self._columns, self._values = array("q"), array("q"), array("d")


def dense_chunk(matrix: NDArray[np.float64]) -> Chunk:
    """All entries of a matrix that are not 0."""
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]


def block_chunk(rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float64]) -> Chunk:
    """The entries of rows [n] times columns [m]; values [n, m] or what broadcasts to it."""
    row, column = np.meshgrid(rows, columns, indexing="ij")
    return row.ravel(), column.ravel(), np.broadcast_to(values, row.shape).ravel()
