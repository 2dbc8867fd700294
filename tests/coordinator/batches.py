"""Batches of which only rewards and ends are looked at."""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.batch import Batch
from dadc_net.exact.array import Array


def batch_of(rewards: Array, ended: Array) -> Batch:
    """A batch with these rewards [T, E] and ends [T+1, E]; nothing else of it is looked at."""
    steps, copies = rewards.shape
    none, index = np.zeros((steps + 1, copies, 1)), np.zeros((steps + 1, copies), dtype=np.int64)
    return Batch(
        inputs=none,
        keep=none,
        start=none[0],
        common_index=index,
        prescriptions=index[:-1],
        rewards=rewards,
        ended=ended.astype(np.uint8),
    )
