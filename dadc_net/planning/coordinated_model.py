"""The coordinated system as a finite decision process over common-information beliefs (paper, Theorem 2).

A state is a belief b on (S_t, L_t) given the common information; an action is a prescription h; what happens next is a
common observation z, which leads to Phi(b, h, z). Reachable beliefs are enumerated, equal up to rounding, so the
dynamic program (2) becomes an ordinary finite one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CoordinatedModel:
    """Axis letters: N beliefs, M prescriptions, Z common outcomes, C columns of z, D columns of a belief."""

    beliefs: Array
    """[N, D]"""
    reward: Array
    """[N, M] E[R | b, h]"""
    probability: Array
    """[N, M, Z] P(z | b, h)"""
    next_belief: NDArray[np.int64]
    """[N, M, Z] index of Phi(b, h, z); 0 where the probability is 0"""
    outcomes: NDArray[np.int64]
    """[Z, C] the common observation that an outcome is"""
    start: int
    """index of b_0"""
    start_common: NDArray[np.int64]
    """[C] z_0"""
    prescriptions: tuple[str, ...]
    """[M] in words"""
    columns: tuple[str, ...]
    """[D] what the columns of a belief are"""
    rounding: float
    """Beliefs closer than this in every column are one state."""

    def expected(self, value: Array) -> Array:
        """E[value(Phi(b, h, Z)) | b, h]: value [N] -> [N, M]."""
        result: Array = (self.probability * value[self.next_belief]).sum(axis=2)
        return result
