"""One batch: what the learner sees of T lock-steps of E copies, and of the record that closes them.

Time index t counts the records of the batch from 0 to T. Record T closes the batch: it brings R_{T-1}, the last target
and the bootstrap state, and is also record 0 of the next batch. The learner's view is (z, theta, r) only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array

ENDED_NO, ENDED_TRUNCATED, ENDED_TERMINATED = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The arrays of one batch.

    Axis letters: T lock-steps, E copies, I encoder inputs, X AIS size, D dimensions of a continuous theta.
    """

    inputs: Array
    """[T+1, E, I] encoder inputs (features of z_t, code of theta_{t-1}), zero code where a copy begins."""
    keep: Array
    """[T+1, E, 1] 0.0 where a copy begins, else 1.0."""
    start: Array
    """[E, X] AIS before record 0, carried and detached."""
    common_index: NDArray[Any]
    """[T+1, E] index of z_t in the finite common space; [T+1, E, C] its columns where values are too many to number."""
    prescriptions: NDArray[Any]
    """theta as it was drawn at record t: int64 [T, E] menu index, int64 [T, E, F] choices, or float64 [T, E, D]."""
    rewards: Array
    """[T, E] R_t, the reward of the step from record t to t+1, in the user's units."""
    ended: NDArray[np.uint8]
    """[T+1, E] whether the copy's episode ended at record t."""
    counted: Array | None = None
    """[T, E] 0.0 at steps that only warm the AIS up, in a window of a replay memory; None: every step counts."""
    credit: Array | None = None
    """[T, E, F] which choices of the prescriptions answer for what followed; None: all."""
    reward_scale: float = 1.0
    """What losses divide rewards by."""

    @property
    def scaled_rewards(self) -> Array:
        """[T, E] rewards as losses see them; values are on the same scale."""
        scaled: Array = self.rewards / self.reward_scale
        return scaled

    @property
    def valid(self) -> Array:
        """[T, E] 1.0 where the step from t to t+1 counts; 0.0 where record t had ended and its action was ignored."""
        happened: Array = (self.ended[:-1] == ENDED_NO).astype(np.float64)
        return happened if self.counted is None else happened * self.counted

    @property
    def steps(self) -> int:
        """T."""
        return int(self.prescriptions.shape[0])

    @property
    def copies(self) -> int:
        """E."""
        return int(self.prescriptions.shape[1])
