"""Neural prescriptions: a small network whose weights are theta (paper, Section 5: "a neural network with weights theta").

    P(a | l) ~ exp(u_a . h + c_a),    h = tanh(W phi(l) + b)

tanh is that of ``exact.elementary``, with one value everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact import elementary
from dadc_net.team.vectors import VectorFamily, affine, only_constants


@dataclass(frozen=True, kw_only=True)
class NeuralFamily(VectorFamily):
    """Networks: W and b [H, F + 1], then u and c [A, H + 1], flattened row by row; last columns are b and c."""

    kind = "neural"

    units: int
    """H"""

    @property
    def _hidden(self) -> int:
        return self.units * (self.features + 1)

    @property
    def map_size(self) -> int:
        return self._hidden + self.num_actions * (self.units + 1)

    def constant_maps(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        last = only_constants(logits, self.units)
        return np.concatenate((np.zeros((*last.shape[:-1], self._hidden)), last), axis=-1)

    def logits(self, maps: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = maps[..., : self._hidden], maps[..., self._hidden :]
        hidden = elementary.tanh(affine(first.reshape(*maps.shape[:2], self.units, self.features + 1), phi))
        return affine(second.reshape(*maps.shape[:2], self.num_actions, self.units + 1), hidden)
