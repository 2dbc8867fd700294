"""The window: the records of the batch that is being collected.

It holds rows 0 .. T. The record that closes a batch fills row T, and becomes row 0 of the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.batch import ENDED_TRUNCATED, Batch
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.real_outcomes import outcomes_of
from dadc_net.exact.array import Array
from dadc_net.exact.entering import CodeTable, Rows
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.used_choices import UsedChoices

_TABLE_MAX = 2**16
"""Numbers in a table of codes."""


class Window:
    """Of T lock-steps of E copies; shapes are those of ``Batch``."""

    def __init__(
        self,
        steps: int,
        copies: int,
        space: Space,
        theta: ThetaSpace,
        state_size: int,
        credit: UsedChoices | None = None,
    ) -> None:
        """``space`` of z, ``theta`` the space of prescriptions, ``state_size`` X; ``credit`` tells which choices acted."""
        self._space, self._outcomes = space, outcomes_of(space)
        self._rows: dict[str, NDArray[Any]] = {
            "inputs": np.zeros((steps + 1, copies, space.feature_size + theta.code_size)),
            "keep": np.ones((steps + 1, copies, 1)),
            "common-index": self._outcomes.zeros(steps + 1, copies),
            "rewards": np.zeros((steps + 1, copies)),
            "ended": np.zeros((steps + 1, copies), dtype=np.uint8),
        }
        self.prescriptions = theta.zeros(steps, copies)
        """As they were drawn, row by row; whoever draws them writes them down."""
        self._credit = credit
        if credit is not None:
            self._rows["common"] = np.zeros((steps + 1, copies, space.columns), dtype=space.dtype)
            self._rows["step-in-episode"] = np.zeros((steps + 1, copies), dtype=np.int64)
        self._start: Array = np.zeros((copies, state_size))
        self._features = space.feature_size
        self._codes: Array | None = None
        """[Z, F] of each value of z, where they are numbered and not too many."""
        if (
            isinstance(space, FiniteSpace)
            and self._outcomes.enumerated
            and space.num_values * self._features <= _TABLE_MAX
        ):
            self._codes = space.features(space.values(np.arange(space.num_values)))

    def store(self, row: int, record: CommonRecord, previous: Array) -> tuple[Array, Array]:
        """Put ``record`` into ``row``; what the encoder reads there: inputs [E, I] and keep [E, 1].

        ``previous`` [E, C]: code of the prescriptions that led to it.
        """
        _, common, rewards, begin, ended, cut = record
        rows, features = self._rows, self._features
        inputs, keep = rows["inputs"][row], rows["keep"][row]
        stored = self._outcomes.stored(common)
        inputs[:, :features] = self._space.features(common) if self._codes is None else self._codes[stored]
        if b"\1" in begin.tobytes():
            keep[:, 0] = np.where(begin, 0.0, 1.0)
            inputs[:, features:] = previous * keep
        else:
            keep[:] = 1.0
            inputs[:, features:] = previous
        if cut is not None:  # Only record 0 comes to row 0, and nothing was before it.
            rows["ended"][row - 1][cut] = ENDED_TRUNCATED
        if self._credit is not None:
            rows["common"][row] = common
            rows["step-in-episode"][row] = np.where(begin, 0, rows["step-in-episode"][row - 1] + 1)
        rows["common-index"][row] = stored
        rows["rewards"][row] = rewards
        rows["ended"][row] = ended
        return inputs, keep

    def tabulated(self) -> tuple[Rows, CodeTable] | None:
        """The rows themselves, for whoever fills those after row 0 without ``store``, and what is read of the values of z;
        None where z is not numbered, or more than these rows is kept. Both stay the same for ever."""
        space = self._space
        if self._codes is None or self._credit is not None or not isinstance(space, FiniteSpace):
            return None
        rows = self._rows
        of_records = rows["inputs"], rows["keep"], rows["common-index"], rows["rewards"], rows["ended"]
        strides = space.index(np.eye(space.columns, dtype=np.int64))
        return Rows(*of_records, self.prescriptions), CodeTable(strides, self._codes)

    def batch(self) -> Batch:
        """The closed batch; its arrays are those of the window, and change with the next record."""
        rows, credit = self._rows, None
        if self._credit is not None:
            factors = self.prescriptions.shape[2]
            credit = self._credit.weights(rows["common"], rows["step-in-episode"], factors)
        return Batch(
            inputs=rows["inputs"],
            keep=rows["keep"],
            start=self._start,
            common_index=rows["common-index"],
            prescriptions=self.prescriptions,
            rewards=rows["rewards"][1:],
            ended=rows["ended"],
            credit=credit,
        )

    def begin(self, carried: Array) -> tuple[Array, Array]:
        """The record that closed a batch opens the next one, and what the encoder reads there, as ``store`` says it.

        ``carried`` [E, X] is x_{t-1}, made with the old parameters.
        """
        for array in self._rows.values():
            array[0] = array[-1]
        self._start = carried
        return self._rows["inputs"][0], self._rows["keep"][0]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self._rows, "prescriptions": self.prescriptions, "start": self._start}

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of everything, by name."""
        return {f"window/{name}": array.copy() for name, array in self._arrays().items()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``snapshot``."""
        self._start = np.empty_like(self._start)
        for name, array in self._arrays().items():
            array[...] = snapshot[f"window/{name}"]
