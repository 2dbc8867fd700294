"""Linear prescriptions: the simplest map of local information that is a vector.

    P(a | l) = exp(w_a . phi(l) + b_a) / sum_b exp(w_b . phi(l) + b_b)

theta holds w and b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.vectors import VectorFamily, affine, only_constants


@dataclass(frozen=True, kw_only=True)
class LinearFamily(VectorFamily):
    """Linear maps [A, F + 1], flattened row by row; the last column is b."""

    kind = "linear"

    @property
    def map_size(self) -> int:
        return self.num_actions * (self.features + 1)

    def constant_maps(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return only_constants(logits, self.features)

    def logits(self, maps: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
        return affine(maps.reshape(*maps.shape[:2], self.num_actions, self.features + 1), phi)
