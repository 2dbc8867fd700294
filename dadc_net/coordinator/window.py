"""The window: the records of the batch that is being collected.

It holds rows 0 .. T. The record that closes a batch fills row T, and becomes row 0 of the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.prescription import Theta, ThetaSpace
from dadc_net.exact.array import Array
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import FiniteSpace


class Window:
    """Of T lock-steps of E copies; shapes are those of ``Batch``."""

    def __init__(self, steps: int, copies: int, space: FiniteSpace, theta: ThetaSpace, state_size: int) -> None:
        """``space`` of z, ``theta`` the space of prescriptions, ``state_size`` X."""
        self._space, self._outcomes = space, Outcomes(space)
        self._rows: dict[str, NDArray[Any]] = {
            "inputs": np.zeros((steps + 1, copies, space.feature_size + theta.code_size)),
            "keep": np.ones((steps + 1, copies, 1)),
            "common-index": self._outcomes.zeros(steps + 1, copies),
            "rewards": np.zeros((steps + 1, copies)),
            "ended": np.zeros((steps + 1, copies), dtype=np.uint8),
        }
        self._prescriptions = theta.zeros(steps, copies)
        self._start: Array = np.zeros((copies, state_size))

    def store(self, row: int, record: CommonRecord, previous: Array) -> None:
        """Put ``record`` into ``row``; ``previous`` [E, C]: code of the prescriptions that led to it."""
        keep = np.where(record.begin, 0.0, 1.0)[:, None]
        features, inputs = self._space.feature_size, self._rows["inputs"]
        inputs[row, :, :features] = self._space.features(record.common)
        inputs[row, :, features:] = previous * keep
        self._rows["keep"][row] = keep
        self._rows["common-index"][row] = self._outcomes.stored(record.common)
        self._rows["rewards"][row] = record.rewards
        self._rows["ended"][row] = record.ended

    def choose(self, row: int, drawn: Theta) -> None:
        """Note the prescriptions that were drawn at ``row``."""
        self._prescriptions[row] = drawn

    def seen(self, row: int) -> tuple[Array, Array]:
        """What the encoder reads at ``row``: inputs [E, I] and keep [E, 1]."""
        return self._rows["inputs"][row], self._rows["keep"][row]

    def batch(self) -> Batch:
        """The closed batch; its arrays are those of the window, and change with the next record."""
        rows = self._rows
        return Batch(
            inputs=rows["inputs"],
            keep=rows["keep"],
            start=self._start,
            common_index=rows["common-index"],
            prescriptions=self._prescriptions,
            rewards=rows["rewards"][1:],
            ended=rows["ended"],
        )

    def begin(self, carried: Array) -> None:
        """The record that closed a batch opens the next one; ``carried`` [E, X] is x_{t-1}, made with the old parameters."""
        for array in self._rows.values():
            array[0] = array[-1]
        self._start = carried

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self._rows, "prescriptions": self._prescriptions, "start": self._start}

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of everything, by name."""
        return {f"window/{name}": array.copy() for name, array in self._arrays().items()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``snapshot``."""
        self._start = np.empty_like(self._start)
        for name, array in self._arrays().items():
            array[...] = snapshot[f"window/{name}"]
