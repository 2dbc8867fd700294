"""Mean reward of a batch, from its records: the same number, to the last bit, wherever the same run is watched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.node.record import unpack_rewards
from dadc_net.node.rows import ServerJournal


class BatchReward:
    """Sums the rewards of the records of one batch, in their order."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, rewards: NDArray[np.float64], begin: NDArray[np.bool_]) -> None:
        """The next record: R_{t-1} [E], and which copies [E] it begins afresh, for whom it holds no reward."""
        self._sum += float(rewards.sum())
        self._count += int((~begin).sum())

    def close(self) -> float:
        """Mean reward of a step; the next record begins a new batch."""
        mean = self._sum / max(1, self._count)
        self._sum, self._count = 0.0, 0
        return mean

    def add_rows(self, journal: ServerJournal, first: int, last: int, copies: int) -> None:
        """Records ``first`` to ``last`` of a journal. Raises CorruptStateError for a row that fails its check."""
        for step in range(first, last + 1):
            row = journal.row(step)
            if row is not None:
                self.add(*unpack_rewards(row.common.record, copies))
