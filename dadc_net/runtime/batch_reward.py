"""Mean reward of a batch, from its records: the same number, to the last bit, wherever the same run is watched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dadc_net.node.rows import ServerJournal

_TOGETHER = 256
"""Records whose rewards are summed at once."""


class BatchReward:
    """Sums the rewards of the records of one batch, in their order, from common bytes that were checked before."""

    def __init__(self, copies: int) -> None:
        self._copies = copies
        self._sum, self._count = 0.0, 0
        self._waiting: list[bytes] = []
        """Rewards of records that are not in the sum yet."""

    def add(self, common: bytes) -> None:
        """The next record: R_{t-1} of the copies that do not begin there."""
        self.note(common[: 8 * self._copies], common[8 * self._copies : 9 * self._copies])

    def note(self, rewards: bytes, begin: bytes) -> None:
        """The rewards of a record, little endian, and its flags: 0 where no copy begins."""
        self._waiting.append(rewards)
        self._count += begin.count(0)
        if len(self._waiting) >= _TOGETHER:
            self._settle()

    def note_all(self, rewards: NDArray[np.float64], kept: NDArray[np.float64]) -> None:
        """Of several records [n, E], one after the other; ``kept``: 0 where a copy begins."""
        self._settle()
        self._count += int(np.count_nonzero(kept))
        self._add_sums(rewards)

    def _settle(self) -> None:
        """Add the sum of each record, one after another."""
        rewards = np.frombuffer(b"".join(self._waiting), dtype="<f8").reshape(len(self._waiting), self._copies)
        self._add_sums(rewards)
        self._waiting.clear()

    def _add_sums(self, rewards: NDArray[np.float64]) -> None:
        for of_record in rewards.sum(axis=1).tolist():
            self._sum += of_record

    def close(self) -> float:
        """Mean reward of a step, 0 where there was none; the next record begins a new batch."""
        self._settle()
        mean = self._sum / max(1, self._count)
        self._sum, self._count = 0.0, 0
        return mean

    def take_up(self, journal: ServerJournal, batch_steps: int, newest: int, closed: Callable[[int], None]) -> None:
        """Add what a predecessor saw up to the ``newest`` record of a journal: the open batch, and the one before it.

        Whether that one was told is not known: ``closed`` is called with its update while its rewards are here. Raises
        CorruptStateError for a row that fails its check.
        """
        updates = max(0, newest - 1) // batch_steps
        if updates:
            self._add_rows(journal, (updates - 1) * batch_steps + 1, updates * batch_steps)
            closed(updates)
        self._add_rows(journal, updates * batch_steps + 1, newest)

    def _add_rows(self, journal: ServerJournal, first: int, last: int) -> None:
        for step in range(first, last + 1):
            row = journal.row(step)
            if row is not None:
                self.add(row.record.common)
