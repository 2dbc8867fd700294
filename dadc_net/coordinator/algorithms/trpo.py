"""Trust-region policy optimisation (Schulman et al., 2015): a natural-gradient step of bounded KL divergence.

    direction     F v = g by conjugate gradients; F v = J^T M J v / n + damping v, M the Fisher metric of psi's outputs:
                  diag p - p p^T of a softmax, and of each choice along the drawn ones where there are several;
                  1 / sigma^2 of a Gaussian, whose log-deviations have a 2 of their own
    step          sqrt(2 max_kl / v^T F v) v, halved until the surrogate improves and the mean KL is within max_kl
    surrogate     mean rho_t A_t + w H,  rho_t = psi(theta_t | x_t) / psi_old(theta_t | x_t)
                  self-imitation where it is asked for: see ``best_windows``

The value has a network of its own and is fitted by full-batch Adam steps (paper, E.2). The Fisher product is written out
in ``policy_network``; the line search compares numbers that every replica has to the bit. The log ratio is clamped to
+-8, the domain of exp. The entropy bonus w H is that of the actor-critic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.actor_critic import Targets, likelihood_gain, targets
from dadc_net.coordinator.algorithms.registry import TrpoSettings
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.best_windows import BestWindows, repeated_of
from dadc_net.coordinator.networks.distribution import PolicyValues
from dadc_net.coordinator.networks.natural_gradient import conjugate_gradients, dot
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.networks.value import ValueNetwork
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight, step_size
from dadc_net.exact import layers
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import exp
from dadc_net.exact.grid import total

_LARGEST_LOG_RATIO = 8.0


class _Weights(NamedTuple):
    """Of what is added to the policy's gain."""

    entropy: float
    imitation: float


class TrustRegion(Algorithm):
    """Policy and value with a network each."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.trpo = self.settings.section(TrpoSettings)
        learner, size, exponent = self.settings.learner, parts.approximator.size, parts.approximator.exponent
        width, depth = learner.hidden_size, learner.hidden_layers
        outputs, initial = parts.theta.code_size, parts.initial("policy")
        self.policy = PolicyNetwork(size, width, outputs, parts.distribution, initial, depth, exponent)
        self.value_network = ValueNetwork(size, width, parts.initial("value"), depth, exponent)
        self._best = BestWindows.asked_for(parts)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return self.policy.group, self.value_network.group

    def behaviour(self, update: int) -> Scores:
        return self.policy.acting()

    def own(self, update: int) -> Array:
        return self.policy.distribution.own(self.policy.group)

    def greedy(self) -> Scores:
        return self.policy.acting()

    def value(self) -> Callable[[Array], Array]:
        return self.value_network.acting()

    def kept(self) -> dict[str, NDArray[Any]]:
        return {} if self._best is None else self._best.arrays()

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """One step of the policy within the trust region, then the value's steps."""
        value = self.value_network.acting()
        values = value(states.reshape(-1, states.shape[2])).reshape(states.shape[:2])
        repeated = repeated_of(self._best, value, batch, states, update, values)
        goal = targets(values, batch, states, self.settings, repeated)
        shown: dict[str, float] = {}
        if not self.settings.is_uniform(update - 1):
            weights = _Weights(entropy_weight(self.settings, update), imitation_weight(self.settings, update))
            shown = self._improve_policy(goal, weights)
        trpo = self.trpo
        share = self.settings.learner.final_learning_rate_share
        rate = step_size(self.settings, "critic", trpo.value_learning_rate, share, update)
        returns, norm = Goals(goal.returns, goal.valid, goal.rows), self.settings.learner.gradient_norm
        for _ in range(trpo.value_steps):
            shown["value"] = self.value_network.fit(goal.states, returns, rate, norm)
        return shown

    def _improve_policy(self, goal: Targets, weights: _Weights) -> dict[str, float]:
        trpo, group, gradients = self.trpo, self.policy.group, Gradients()
        way, again = self.policy.forward(goal.states, goal.drawn), goal.repeated
        # At the old parameters the surrogate's gradient is that of log psi times the advantage: the ratio is 1.
        policy = likelihood_gain(way.psi.log_density(), goal)
        entropy = layers.mean(way.psi.entropy(), goal.valid, goal.rows)
        way.back(policy.gradient(1.0), layers.mean_gradient(weights.entropy, goal.valid, goal.rows), gradients)
        if again is not None:
            imitated = layers.mean_gradient(weights.imitation, again.weights, goal.rows)
            self.policy.forward(again.states, again.drawn).back(imitated, None, gradients, again.credit)
        gradient = group.flat(gradients)
        old = way.psi
        fisher = _Fisher(self.policy, goal, old, trpo.damping)
        direction = conjugate_gradients(fisher, gradient, trpo.conjugate_gradient_steps)
        curvature = dot(direction, fisher(direction))
        kept, kl = 0.0, 0.0
        if curvature > 0.0:
            length = math.sqrt(2.0 * trpo.max_kl / curvature)
            kept, kl = self._search(goal, direction * length, old, weights)
        return {"policy": -policy.value, "entropy": entropy, "kl": kl, "step_share": kept}

    def _search(self, goal: Targets, step: Array, old: PolicyValues, weights: _Weights) -> tuple[float, float]:
        """Place the longest halving of ``step`` that helps and stays close; the share of it that was kept, and its KL."""
        group = self.policy.group
        before = group.values.copy()
        start, _ = self._surrogate(goal, old, weights)
        share = 1.0
        for _ in range(self.trpo.line_search_steps):
            group.assign(before + share * step)
            self.policy.distribution.clamp(group)
            reached, kl = self._surrogate(goal, old, weights)
            if reached > start and kl <= self.trpo.max_kl:
                return share, kl
            share *= 0.5
        group.assign(before)
        return 0.0, 0.0

    def _surrogate(self, goal: Targets, old: PolicyValues, weights: _Weights) -> tuple[float, float]:
        """Surrogate objective and mean KL(old || present) over the rows that happened."""
        new = self.policy.values(goal.states, goal.drawn)
        valid, count = goal.valid, goal.rows
        difference = new.log_density() - old.log_density()
        ratio = exp(np.clip(difference, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
        gain = total(ratio * goal.advantages * valid)
        entropy = total(new.entropy() * valid)
        divergence = total(old.divergence(new) * valid)
        gain = gain + weights.entropy * entropy
        if goal.repeated is not None:
            again = self.policy.values(goal.repeated.states, goal.repeated.drawn)
            gain = gain + weights.imitation * total(again.log_density() * goal.repeated.weights)
        return gain / count, divergence / count


class _Fisher:
    """v -> (F + damping) v at the old parameters: [P] -> [P]."""

    def __init__(self, policy: PolicyNetwork, goal: Targets, old: PolicyValues, damping: float) -> None:
        self._tangents = policy.tangents(goal.states)
        self._old = old
        self._share = (goal.valid / goal.rows)[:, None]
        # psi's own parameters stand behind the network's.
        own = [policy.group.slices[name].start for name in policy.distribution.shapes]
        self._own = slice(min(own, default=policy.group.size), policy.group.size)
        self._damping = damping

    def __call__(self, direction: Array) -> Array:
        weighted, own = self._old.fisher(self._tangents.along(direction), direction[self._own], self._share)
        image = self._tangents.back(weighted)
        image[self._own] = own
        return image + self._damping * direction
