"""What rewards are divided by: the running deviation of the discounted return.

    G_t = R_t + gamma G_{t-1}, from 0 where an episode begins; its deviation over all steps of all copies so far

Entropy weights, the two losses of the AIS and the tail of a smooth L1 compare rewards with numbers of size 1. What is
divided by this deviation is of size 1 in every task, whatever its unit. The scale is a function of the common log, part of
the learner's state, and a fixed sequence of IEEE operations and exact sums. Whatever is reported is in the user's units.

The moments of a batch are joined to those of before as Chan, Golub and LeVeque (1983) do: no large squares are subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.batch import ENDED_NO, Batch
from dadc_net.exact.array import Array
from dadc_net.exact.grid import total

_COUNT, _MEAN, _SQUARES = 0, 1, 2
_LEAST = 2.0**-300


class RewardScale:
    """Of E copies; without effect where it is not asked for."""

    def __init__(self, copies: int, discount: float, used: bool) -> None:
        self._discount, self._used = discount, used
        self._returns: Array = np.zeros(copies)
        """[E] G of the last step"""
        self._moments: Array = np.zeros(3)
        """number of returns, their mean, sum of squares about it"""

    @property
    def value(self) -> float:
        """What rewards are divided by; 1 while all returns were equal, or where no scale is used."""
        count, squares = self._moments[_COUNT], self._moments[_SQUARES]
        deviation = float(np.sqrt(squares / count)) if count > 0.0 else 0.0
        return deviation if deviation > _LEAST else 1.0

    def observe(self, batch: Batch) -> None:
        """Take the returns of a closed batch in.

        Raises:
            NumericError: if they, or their squares, are beyond exact arithmetic.
        """
        if not self._used:
            return
        happened = batch.ended[:-1] == ENDED_NO
        returns: Array = np.empty_like(batch.rewards)
        for t in range(batch.steps):
            self._returns = np.where(happened[t], self._discount * self._returns + batch.rewards[t], 0.0)
            returns[t] = self._returns
        valid = happened.astype(np.float64)
        count = float(np.count_nonzero(happened))
        if count == 0.0:
            return
        mean = total(returns * valid) / count
        centred = (returns - mean) * valid
        before, former, joined = self._moments[_COUNT], self._moments[_MEAN], self._moments[_COUNT] + count
        shift = mean - former
        self._moments[_COUNT] = joined
        self._moments[_MEAN] = former + shift * (count / joined)
        self._moments[_SQUARES] += total(centred * centred) + (shift * shift) * (before * (count / joined))

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays of the learner's state by full name, not copied; none where no scale is used."""
        if not self._used:
            return {}
        return {"rewards/returns": self._returns, **self.unit()}

    def unit(self) -> dict[str, NDArray[Any]]:
        """What the unit of a learned rule's values follows from, of any number of copies."""
        return {"rewards/moments": self._moments} if self._used else {}

    def restore_unit(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take ``unit`` from ``snapshot``; what is running stays as it is."""
        for name, array in self.unit().items():
            array[...] = snapshot[name]

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``snapshot``."""
        for name, array in self.state().items():
            array[...] = snapshot[name]
