"""T and O specifications become one table per joint action."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.dpomdp.source import Source
from dadc_net.team.finite.dpomdp.specifications import Specification
from dadc_net.team.finite.dpomdp.symbols import Joint, States
from dadc_net.team.finite.dpomdp.tables import Chunk, TableBuilder, block_chunk, dense_chunk
from dadc_net.team.finite.sparse_rows import SparseRows


class ProbabilityTables:
    """P(s' | s, a), or P(o | a, s')."""

    def __init__(
        self, source: Source, kind: str, actions: Joint, states: States, num_states: int, columns: Joint | None
    ) -> None:
        """``columns``: the joint observations of O, None for T."""
        self._source = source
        self._kind = kind
        self._actions, self._states, self._observations = actions, states, columns
        self._shape = (num_states, num_states if columns is None else columns.count)
        self._builders = [TableBuilder(*self._shape) for _ in range(actions.count)]
        self.last_line = 0
        """Of the last specification."""

    def read(self, found: Specification) -> None:
        """Overwrite with one specification."""
        self.last_line = found.line
        builders = [self._builders[a] for a in self._actions.all(found.fields[0], found.line)]
        if len(found.fields) == 1:
            chunk = self._matrix(found)
            for builder in builders:
                builder.replace(chunk)
            return
        row = self._states.find(found.fields[1], found.line)
        if len(found.fields) == 2:
            values = self._row(found)
            self._put_block(builders, row, None, values[None, :])
            return
        columns = self._columns(found.fields[2], found.line)
        value = float(found.value)
        if row is not None and columns is not None:
            for builder in builders:
                for column in columns:
                    builder.put(row, column, value)
        else:
            self._put_block(builders, row, columns, np.full((1, 1), value))

    def tables(self) -> tuple[SparseRows, ...]:
        """[JA] as they stand after the last line."""
        return tuple(builder.table() for builder in self._builders)

    def _columns(self, text: str, line: int) -> tuple[int, ...] | None:
        if self._observations is not None:
            return self._observations.find(text, line)
        state = self._states.find(text, line)
        return None if state is None else (state,)

    def _put_block(
        self, builders: list[TableBuilder], row: int | None, columns: tuple[int, ...] | None, values: NDArray[np.float64]
    ) -> None:
        everything = row is None and columns is None
        if everything and not values.any():
            for builder in builders:
                builder.replace(None)
            return
        rows = np.arange(self._shape[0]) if row is None else np.array([row])
        chunk = block_chunk(rows, np.arange(self._shape[1]) if columns is None else np.array(columns), values)
        for builder in builders:
            if everything:
                builder.replace(chunk)
            else:
                builder.put_chunk(chunk)

    def _matrix(self, found: Specification) -> Chunk:
        rows, columns = self._shape
        if found.word == "uniform":
            return block_chunk(np.arange(rows), np.arange(columns), np.full((1, 1), 1.0 / columns))
        if found.word == "identity" and self._kind == "T":
            return np.arange(rows), np.arange(rows), np.ones(rows)
        words = "uniform or identity" if self._kind == "T" else "uniform"
        if found.word:
            self._source.fail(found.block[0][0], repr(found.word), f"{words}, or a matrix of numbers")
        what = f"a matrix of {rows} rows of {columns}"
        return dense_chunk(np.array(self._source.numbers(found.block, rows * columns, what)).reshape(rows, columns))

    def _row(self, found: Specification) -> NDArray[np.float64]:
        columns = self._shape[1]
        if found.word == "uniform":
            return np.full(columns, 1.0 / columns)
        if found.word:
            self._source.fail(found.block[0][0], repr(found.word), "uniform, or a row of numbers")
        return np.array(self._source.numbers(found.block, columns, "one row"))
