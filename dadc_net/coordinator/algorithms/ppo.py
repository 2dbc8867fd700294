"""Proximal policy optimisation (Schulman et al., 2017): several clipped full-batch steps per update.

    policy loss    -mean min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t),  rho_t = psi(theta_t | x_t) / psi_old(theta_t | x_t)

Value loss and entropy bonus are those of the actor-critic. The minimum is taken by leaving out the rows whose clipped
branch is the smaller one: that branch is constant, so its gradient is zero. The log ratio is clamped to +-8, the domain
of exp; a ratio of 2980 is clipped either way.
"""

from __future__ import annotations

from torch import Tensor

from dadc_net.coordinator.algorithms.actor_critic import (
    ActorCritic,
    Targets,
    entropy_weight,
    learning_rate,
    masked_mean,
    targets,
    value_loss,
)
from dadc_net.coordinator.batch import Batch
from dadc_net.exact import functions
from dadc_net.exact.grid import Array

_LARGEST_LOG_RATIO = 8.0


def _surrogate(log_probabilities: Tensor, old: Tensor, goal: Targets, clip: float) -> Tensor:
    """The clipped objective's rows that still have a gradient, [n]; the others are 0."""
    chosen = functions.pick(log_probabilities, goal.prescriptions)
    ratio = functions.exp((chosen - old).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
    size = ratio.detach()
    gains = (goal.advantages > 0.0) & (size <= 1.0 + clip)
    losses = (goal.advantages <= 0.0) & (size >= 1.0 - clip)
    return ratio * (goal.advantages * (gains | losses).to(goal.advantages.dtype))


class ProximalPolicyOptimisation(ActorCritic):
    """The network of the actor-critic, improved in another way."""

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """``ppo.epochs`` gradient steps of actor and critic; the losses are those of the last step."""
        settings = self.settings
        goal = targets(self.network.values, batch, states, settings)
        old: Tensor | None = None
        losses: dict[str, float] = {}
        for _ in range(settings.ppo.epochs):
            log_probabilities, values = self.network.forward(goal.states)
            if old is None:
                old = functions.pick(log_probabilities, goal.prescriptions).detach()
            policy = masked_mean(_surrogate(log_probabilities, old, goal, settings.ppo.clip), goal)
            value = value_loss(values, goal)
            entropy = masked_mean(functions.entropy(log_probabilities), goal)
            loss = value * settings.learner.value_loss_weight - (policy + entropy * entropy_weight(settings, update))
            self.network.group.descend(loss, learning_rate(settings, update), settings.learner.gradient_norm)
            losses = {"policy": -policy.item(), "value": value.item(), "entropy": entropy.item()}
        return losses
