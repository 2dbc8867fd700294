"""Proximal policy optimisation (Schulman et al., 2017): several clipped full-batch steps per update.

    policy loss    -mean min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t),  rho_t = psi(theta_t | x_t) / psi_old(theta_t | x_t)

Value loss and entropy bonus are those of the actor-critic. The minimum is taken by leaving out the rows whose clipped
branch is the smaller one: that branch is constant, so its gradient is zero. The log ratio is clamped to +-8, the domain
of exp; a ratio of 2980 is clipped either way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.algorithms.actor_critic import ActorCritic, Targets, masked_mean
from dadc_net.coordinator.algorithms.registry import PpoSettings
from dadc_net.coordinator.batch import Batch
from dadc_net.exact import functions
from dadc_net.exact.array import Array

_LARGEST_LOG_RATIO = 8.0


def _surrogate(chosen: Tensor, old: Tensor, goal: Targets, clip: float) -> Tensor:
    """Mean of the clipped objective over its rows that still have a gradient. Log-densities, now and of old: [n]."""
    ratio = functions.exp((chosen - old).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
    size, advantages = ratio.detach().numpy(), goal.advantages.numpy()
    followed = np.where(advantages > 0.0, size <= 1.0 + clip, size >= 1.0 - clip)
    return masked_mean(ratio, goal, torch.from_numpy(advantages * followed))


class ProximalPolicyOptimisation(ActorCritic):
    """The network of the actor-critic, improved in another way."""

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """``ppo.epochs`` gradient steps of actor and critic; the losses are those of the last step."""
        ppo = self.settings.section(PpoSettings)
        goal = self.targets(batch, states, update)
        old: Tensor | None = None
        losses: dict[str, float] = {}
        for _ in range(ppo.epochs):
            psi, values = self.network.forward(goal.states, goal.drawn)
            chosen = psi.log_density(goal.credit)
            old = chosen.detach() if old is None else old
            policy = _surrogate(chosen, old, goal, ppo.clip)
            losses = self.descend(policy, values, psi, goal, update)
        return losses
