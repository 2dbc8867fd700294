"""A common record: what all agents learn at one lock-step, for all E copies. It holds nothing local.

It is the input of the virtual coordinator and the output of the environment side; neither needs to know the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class CommonRecord(NamedTuple):
    """Record t of the common log."""

    step: int
    """t"""
    common: NDArray[Any]
    """[E, Z] z_t"""
    rewards: NDArray[np.float64]
    """[E] R_{t-1}; 0 where a copy begins"""
    begin: NDArray[np.bool_]
    """[E]"""
    ended: NDArray[np.uint8]
    """[E] values of ``team.environment.Ended``"""
    cut: NDArray[np.bool_] | None = None
    """[E] which of the copies that begin here were cut: their episode counts as truncated at record t-1, which does not say
    so, because the server's world was lost after it. None: no copy, as everywhere where a world can be wound back."""
