"""Proximal policy optimisation (Schulman et al., 2017): several clipped full-batch steps per update.

    policy loss    -mean min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t),  rho_t = psi(theta_t | x_t) / psi_old(theta_t | x_t)

Value loss and entropy bonus are those of the actor-critic. The minimum is taken by leaving out the rows whose clipped
branch is the smaller one: that branch is constant, so its gradient is zero. The log ratio is clamped to +-8, the domain
of exp; a ratio of 2980 is clipped either way.
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.algorithms.actor_critic import ActorCritic, PolicyGain, Targets
from dadc_net.coordinator.algorithms.registry import PpoSettings
from dadc_net.coordinator.batch import Batch
from dadc_net.exact import layers
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import exp

_LARGEST_LOG_RATIO = 8.0


def _surrogate(chosen: Array, old: Array, goal: Targets, clip: float) -> PolicyGain:
    """Mean of the clipped objective over its rows that still have a gradient. Log-densities, now and of old: [n]."""
    change = chosen - old
    inside = np.abs(change) <= _LARGEST_LOG_RATIO
    ratio = exp(np.clip(change, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
    followed = np.where(goal.advantages > 0.0, ratio <= 1.0 + clip, ratio >= 1.0 - clip)
    weights = (goal.advantages * followed) * goal.valid

    def gradient(slope: float) -> Array:
        return np.where(inside, layers.mean_gradient(slope, weights, goal.rows) * ratio, 0.0)

    return PolicyGain(layers.mean(ratio, weights, goal.rows), gradient)


class ProximalPolicyOptimisation(ActorCritic):
    """The network of the actor-critic, improved in another way."""

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """``ppo.epochs`` gradient steps of actor and critic; the losses are those of the last step."""
        ppo = self.settings.section(PpoSettings)
        goal, way = self.begin(batch, states, update)
        old: Array | None = None
        losses: dict[str, float] = {}
        for epoch in range(ppo.epochs):
            if epoch > 0:
                way = self.network.forward(goal.states, goal.drawn)
            chosen = way.psi.log_density(goal.credit)
            old = chosen if old is None else old
            policy = _surrogate(chosen, old, goal, ppo.clip)
            losses = self.descend(policy, way, goal, update)
        return losses
