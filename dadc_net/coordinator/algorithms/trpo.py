"""Trust-region policy optimisation (Schulman et al., 2015): a natural-gradient step of bounded KL divergence.

    direction     F v = g by conjugate gradients; F v = J^T (diag p - p p^T) J v / n + damping v
    step          sqrt(2 max_kl / v^T F v) v, halved until the surrogate improves and the mean KL is within max_kl
    surrogate     mean rho_t A_t + w H,  rho_t = psi(theta_t | x_t) / psi_old(theta_t | x_t)

The value has a network of its own and is fitted by full-batch Adam steps (paper, E.2). The Fisher product is written out
in ``policy_network``; the line search compares numbers that every replica has to the bit. The log ratio is clamped to
+-8, the domain of exp. The entropy bonus w H is that of the actor-critic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.actor_critic import Targets, entropy_weight, masked_mean, targets
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.natural_gradient import conjugate_gradients, dot
from dadc_net.coordinator.parameters import ParameterGroup
from dadc_net.coordinator.policy_network import PolicyNetwork
from dadc_net.coordinator.schedule import step_size
from dadc_net.coordinator.value_network import ValueNetwork
from dadc_net.exact import functions
from dadc_net.exact.elementary import exp, log_softmax
from dadc_net.exact.grid import Array, row_sums, total

_LARGEST_LOG_RATIO = 8.0


class TrustRegion(Algorithm):
    """Policy and value with a network each."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        settings = self.settings
        size, hidden = settings.ais.size, settings.learner.hidden_size
        self.policy = PolicyNetwork(size, hidden, settings.num_prescriptions, parts.initial("policy"))
        self.value_network = ValueNetwork(size, hidden, parts.initial("value"))

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return self.policy.group, self.value_network.group

    def acting(self, update: int) -> Scores:
        return self.policy.acting()

    def greedy(self) -> Scores:
        return self.policy.acting()

    def value(self) -> Callable[[Array], Array]:
        return self.value_network.acting()

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """One step of the policy within the trust region, then the value's steps."""
        goal = targets(self.value_network.acting(), batch, states, self.settings)
        shown = self._improve_policy(goal, entropy_weight(self.settings, update))
        trpo = self.settings.trpo
        share = self.settings.learner.final_learning_rate_share
        rate = step_size(self.settings, "critic", trpo.value_learning_rate, share, update)
        known, goals, counted = goal.states.numpy(), goal.returns.numpy(), goal.valid.numpy()
        for _ in range(trpo.value_steps):
            shown["value"] = self.value_network.fit(known, goals, counted, rate, self.settings.learner.gradient_norm)
        return shown

    def _improve_policy(self, goal: Targets, weight: float) -> dict[str, float]:
        trpo, group = self.settings.trpo, self.policy.group
        logs = functions.fork(self.policy.forward(goal.states), 2)
        policy = masked_mean(functions.pick(logs[0], goal.prescriptions) * goal.advantages, goal)
        entropy = masked_mean(functions.entropy(logs[1]), goal)
        # At the old parameters the surrogate's gradient is that of log psi times the advantage: the ratio is 1.
        gradient = group.gradient(policy + entropy * weight)
        old = logs[0].detach().numpy()
        fisher = self._fisher(goal, exp(old))
        direction = conjugate_gradients(fisher, gradient, trpo.conjugate_gradient_steps)
        curvature = dot(direction, fisher(direction))
        kept, kl = 0.0, 0.0
        if curvature > 0.0:
            length = math.sqrt(2.0 * trpo.max_kl / curvature)
            kept, kl = self._search(goal, direction * length, old, weight)
        return {"policy": -policy.item(), "entropy": entropy.item(), "kl": kl, "step_share": kept}

    def _fisher(self, goal: Targets, chances: Array) -> _Fisher:
        return _Fisher(self.policy, goal, chances, self.settings.trpo.damping)

    def _search(self, goal: Targets, step: Array, old: Array, weight: float) -> tuple[float, float]:
        """Place the longest halving of ``step`` that helps and stays close; the share of it that was kept, and its KL."""
        group = self.policy.group
        before = group.values.copy()
        start, _ = self._surrogate(goal, old, weight)
        share = 1.0
        for _ in range(self.settings.trpo.line_search_steps):
            group.place(before + share * step)
            reached, kl = self._surrogate(goal, old, weight)
            if reached > start and kl <= self.settings.trpo.max_kl:
                return share, kl
            share *= 0.5
        group.place(before)
        return 0.0, 0.0

    def _surrogate(self, goal: Targets, old: Array, weight: float) -> tuple[float, float]:
        """Surrogate objective and mean KL(old || present) over the rows that happened, off the graph."""
        new = log_softmax(self.policy.acting()(goal.states.numpy()))
        valid, count = goal.valid.numpy(), goal.rows
        chosen = goal.prescriptions.numpy()[:, None]
        difference = np.take_along_axis(new, chosen, axis=1)[:, 0] - np.take_along_axis(old, chosen, axis=1)[:, 0]
        ratio = exp(np.clip(difference, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
        gain = total(ratio * goal.advantages.numpy() * valid)
        entropy = -total(row_sums(exp(new) * new) * valid)
        divergence = total(row_sums(exp(old) * (old - new)) * valid)
        return (gain + weight * entropy) / count, divergence / count


class _Fisher:
    """v -> (F + damping) v at the old parameters: [P] -> [P]."""

    def __init__(self, policy: PolicyNetwork, goal: Targets, chances: Array, damping: float) -> None:
        self._tangents = policy.tangents(goal.states.numpy())
        self._chances = chances
        self._share = (goal.valid.numpy() / goal.rows)[:, None]
        self._damping = damping

    def __call__(self, direction: Array) -> Array:
        change = self._tangents.along(direction)
        mean = row_sums(self._chances * change)[:, None]
        weighted = self._chances * (change - mean) * self._share
        return self._tangents.back(weighted) + self._damping * direction

