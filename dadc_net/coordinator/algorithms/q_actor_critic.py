"""The paper's own algorithm: equations (4), (5) and (6), on three time scales.

    (4) state approximator   the skeleton's step, step size a_k
    (5) critic Q             smoothL1(Q(x_t, theta_t) - G_t), step size b_k, with the TD(lambda) target
                             G_t = R_t + gamma [(1 - lambda) Q(x_{t+1}, .) + lambda G_{t+1}]
    (6) actor                sum of Q grad log psi, step size c_k

    q.bootstrap   expected: Q(x_{t+1}, .) is sum_h psi(h) Q(x_{t+1}, h);  sampled: Q(x_{t+1}, theta_{t+1}) as printed
    q.gradient    all: sum_h Q(x, h) grad psi(h);                         sampled: Q(x, theta) grad log psi(theta) as printed
                  corrected: all, and (G_t - Q(x_t, theta_t)) grad log psi(theta_t) on top
    q.baseline    whether sum_h psi(h) Q(x, h) is taken off Q in the sampled gradient

Where theta has several factors, sums over h are means over samples of psi: see ``q_choices``.

Where advantages are normalised, Q is in units of the deviation of G_t - sum_h psi(h) Q(x_t, h), as an actor-critic's
advantages are. Not of Q's own deviation under psi: that one goes to 0 with what psi explores, faster than entropy grows, so
that no weight of the bonus keeps a rule from ending where it is best without looking.

Deviation: (6) as printed believes Q at every prescription, also where psi has long ceased to try it. What is corrected
would have the mean of an actor-critic's gradient, whatever Q is, if Q knew nothing of these G_t. It does know them: (5) has
just made a few steps towards them, and they bootstrap on Q. So it leans on Q less, not on nothing. It is an option, which
the recipe uses.

Deviation: the target of (5) is data, as always in temporal-difference learning; (5) and (6) are printed with the same
sign, and (5) is descent here. What follows the last step of a batch is always bootstrapped with the expectation, because
its prescription is drawn after the update. (6) takes the critic that (5) has just made, phi_{k+1} where phi_k is printed: it
is one update less stale, and in the limit of Theorem 4, where the actor is slowest, the same. The entropy bonus is not in
the paper; 0 leaves it out, as ``theorem`` does. Nor is self-imitation, where it is asked for: see ``best_windows``. With
Robbins-Monro step sizes, b_k / a_k and c_k / b_k go to 0: ``settings`` refuses exponents of which that is not true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.advantage import unit_of
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.q_choices import choices_over
from dadc_net.coordinator.algorithms.registry import QActorCriticSettings
from dadc_net.coordinator.batch import ENDED_NO, ENDED_TERMINATED, Batch
from dadc_net.coordinator.best_windows import BestWindows, Repeated, repeated_of
from dadc_net.coordinator.networks.distribution import drawn_rows
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.coordinator.networks.q import QNetwork
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight, step_size
from dadc_net.exact import layers
from dadc_net.exact.array import Array


class QActorCritic(Algorithm):
    """Critic Q and actor psi, each with a network and a step size of its own."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        settings = self.settings
        self.q = settings.section(QActorCriticSettings)
        size, exponent = parts.approximator.size, parts.approximator.exponent
        entries, hidden, depth = parts.theta.code_size, settings.learner.hidden_size, settings.learner.hidden_layers
        initial = parts.initial("policy")
        self.policy = PolicyNetwork(size, hidden, entries, parts.distribution, initial, depth, exponent)
        self.critic = QNetwork(size, hidden, entries, parts.initial("critic"), exponent)
        self.choices = choices_over(parts, self.policy, self.critic)
        self._best = BestWindows.asked_for(parts)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return self.critic.group, self.policy.group

    def behaviour(self, update: int) -> Scores:
        return self.policy.acting()

    def greedy(self) -> Scores:
        return self.policy.acting()

    def own(self, update: int) -> Array:
        return self.policy.distribution.own(self.policy.group)

    def value(self) -> Callable[[Array], Array]:
        return lambda states: self.choices.expected(states, 0)

    def kept(self) -> dict[str, NDArray[Any]]:
        return {} if self._best is None else self._best.arrays()

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """(5), then (6) with the critic that (5) made."""
        following = self.choices.expected(states.reshape(-1, states.shape[2]), 2 * update).reshape(states.shape[:2])
        present = None if self.choices.sampled else following
        repeated = repeated_of(self._best, self.value(), batch, states, update, present)
        rows = batch.steps * batch.copies
        known = states[:-1].reshape(rows, -1)
        count = max(1.0, float(batch.valid.sum()))
        goals, values = self._targets(batch, states, following), following[:-1]
        aims = Goals(goals.reshape(rows), batch.valid.reshape(rows), count)
        unit = unit_of(goals - values, batch.valid) if self.settings.learner.normalise_advantages else 1.0
        chosen = self.parts.theta.codes(drawn_rows(batch.prescriptions, rows))
        share = self.settings.learner.final_learning_rate_share
        rate = step_size(self.settings, "critic", self.q.critic_learning_rate, share, update)
        loss = 0.0
        for _ in range(self.q.critic_steps):
            loss = self.critic.fit(known, chosen, aims, rate, self.settings.learner.gradient_norm)
        if self.settings.is_uniform(update - 1):
            return {"critic": loss}
        scale = batch.valid.reshape(rows), count, unit, goals.reshape(rows)
        return {"critic": loss, **self._improve_actor(batch, known, scale, update, repeated)}

    def _targets(self, batch: Batch, states: Array, expected: Array) -> Array:
        """G [T, E] before the update, from what was ``expected`` [T+1, E]; an episode that ended lets nothing of the next
        one through."""
        settings, following = self.settings, expected.copy()
        flat = states.reshape(-1, states.shape[2])
        if self.q.bootstrap == "sampled":
            rows = batch.steps * batch.copies
            sampled = self.choices.taken(flat[:rows], drawn_rows(batch.prescriptions, rows)).reshape(batch.rewards.shape)
            # Where an episode was cut, the prescription of its last record was never played: the expectation stands in.
            following[:-1] = np.where(batch.ended[:-1] == ENDED_NO, sampled, following[:-1])
        decay = settings.learner.trace_decay
        rewards = batch.scaled_rewards
        goals: Array = np.empty_like(rewards)
        later = following[-1]
        for t in range(batch.steps - 1, -1, -1):
            goes_on = batch.ended[t + 1] == ENDED_NO
            last = t == batch.steps - 1
            mixed = following[t + 1] if last else (1.0 - decay) * following[t + 1] + decay * later
            worth = np.where(goes_on, mixed, following[t + 1]) * (batch.ended[t + 1] != ENDED_TERMINATED)
            later = goals[t] = rewards[t] + settings.discount * worth
        return goals

    def _improve_actor(
        self, batch: Batch, known: Array, scale: tuple[Array, float, float, Array], update: int, repeated: Repeated | None
    ) -> dict[str, float]:
        """``scale``: [n] rows that count, how many they are, the unit of Q, and the goals [n]."""
        settings, (valid, count, unit, goals) = self.settings, scale
        drawn = drawn_rows(batch.prescriptions, batch.steps * batch.copies)
        found, gradients = self.choices.gain(known, drawn, goals, unit, 2 * update + 1), Gradients()
        counted, times = np.tile(valid, found.repeats), count * found.repeats
        policy, entropy = layers.mean(found.gain, counted, times), layers.mean(found.entropy, counted, times)
        bonus = layers.mean_gradient(-entropy_weight(settings, update), counted, times)
        found.back(layers.mean_gradient(-1.0, counted, times), bonus, gradients)
        if repeated is not None:
            imitated = layers.mean_gradient(-imitation_weight(settings, update), repeated.weights, count)
            again = self.policy.forward(repeated.states, repeated.drawn)
            again.back(imitated, None, gradients, repeated.credit)
        share = settings.learner.final_learning_rate_share
        rate = step_size(settings, "actor", settings.learner.learning_rate, share, update)
        self.policy.group.descend(gradients, rate, settings.learner.gradient_norm)
        return {"policy": -policy, "entropy": entropy}
