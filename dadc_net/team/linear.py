"""Linear prescriptions: the simplest map of local information that is a vector.

    P(a | l) = exp(w_a . phi(l) + b_a) / sum_b exp(w_b . phi(l) + b_b)

theta holds w and b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.prescriptions import PrescriptionFamily, ThetaSettings
from dadc_net.team.vectors import VectorFamily, affine, own_actions


@dataclass(frozen=True, kw_only=True)
class LinearFamily(VectorFamily):
    """Linear maps [A, F + 1], flattened row by row; the last column is b."""

    kind = "linear"

    @property
    def map_size(self) -> int:
        return self.num_actions * (self.features + 1)

    def logits(self, maps: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
        return affine(maps.reshape(*maps.shape[:2], self.num_actions, self.features + 1), phi)


def linear_family(spec: EnvironmentSpec, theta: ThetaSettings) -> PrescriptionFamily:
    """A linear map for each agent of what it observes now; an entry for ``Task.families``, whatever the task."""
    most, own = own_actions(spec)
    widest = max(agent.observation_space.feature_size for agent in spec.agents)
    return LinearFamily(
        name="linear", tables=spec.num_agents, features=widest, num_actions=most, bound=theta.bound, own_actions=own
    )
