"""The paper's own algorithm: equations (4), (5) and (6), on three time scales.

    (4) state approximator   the skeleton's step, step size a_k
    (5) critic Q             smoothL1(Q(x_t, theta_t) - G_t), step size b_k, with the TD(lambda) target
                             G_t = R_t + gamma [(1 - lambda) Q(x_{t+1}, .) + lambda G_{t+1}]
    (6) actor                sum of Q grad log psi, step size c_k

    q.bootstrap   expected: Q(x_{t+1}, .) is sum_h psi(h) Q(x_{t+1}, h);  sampled: Q(x_{t+1}, theta_{t+1}) as printed
    q.gradient    all: sum_h Q(x, h) grad psi(h);                         sampled: Q(x, theta) grad log psi(theta) as printed
    q.baseline    whether sum_h psi(h) Q(x, h) is taken off Q in the sampled gradient

Where theta has several factors, sums over h are means over samples of psi: see ``q_choices``.

Where advantages are normalised, Q is in units of the deviation of G_t - sum_h psi(h) Q(x_t, h), as an actor-critic's
advantages are. Not of Q's own deviation under psi: that one goes to 0 with what psi explores, faster than entropy grows, so
that no weight of the bonus keeps a rule from ending where it is best without looking.

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
import torch
from numpy.typing import NDArray

from dadc_net.coordinator.advantage import unit_of
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.q_choices import choices_over
from dadc_net.coordinator.algorithms.registry import QActorCriticSettings
from dadc_net.coordinator.batch import ENDED_NO, ENDED_TERMINATED, Batch
from dadc_net.coordinator.best_windows import BestWindows, Repeated, imitated, repeated_of
from dadc_net.coordinator.networks.distribution import drawn_rows
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.networks.policy import PolicyNetwork
from dadc_net.coordinator.networks.q import QNetwork
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight, step_size
from dadc_net.exact import functions
from dadc_net.exact.array import Array


class QActorCritic(Algorithm):
    """Critic Q and actor psi, each with a network and a step size of its own."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        settings = self.settings
        self.q = settings.section(QActorCriticSettings)
        size, exponent = parts.approximator.size, parts.approximator.exponent
        entries, hidden, layers = parts.theta.code_size, settings.learner.hidden_size, settings.learner.hidden_layers
        initial = parts.initial("policy")
        self.policy = PolicyNetwork(size, hidden, entries, parts.distribution, initial, layers, exponent)
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
        repeated = repeated_of(self._best, self.value(), batch, states, update)
        rows = batch.steps * batch.copies
        known = states[:-1].reshape(rows, -1)
        valid = torch.from_numpy(batch.valid.reshape(rows))
        count = max(1.0, float(batch.valid.sum()))
        goals, values = self._targets(batch, states, update)
        target = torch.from_numpy(goals.reshape(rows))
        unit = unit_of(goals - values, batch.valid) if self.settings.learner.normalise_advantages else 1.0
        chosen = torch.from_numpy(self.parts.theta.codes(drawn_rows(batch.prescriptions, rows)))
        loss = 0.0
        for _ in range(self.q.critic_steps):
            error = self.critic.forward(torch.from_numpy(known), chosen) - target
            found = functions.mean(functions.smooth_l1(error), count, valid)
            critic_rate = step_size(
                self.settings,
                "critic",
                self.q.critic_learning_rate,
                self.settings.learner.final_learning_rate_share,
                update,
            )
            self.critic.group.descend(found, critic_rate, self.settings.learner.gradient_norm)
            loss = found.item()
        if self.settings.is_uniform(update - 1):
            return {"critic": loss}
        return {"critic": loss, **self._improve_actor(batch, known, (valid, count, unit), update, repeated)}

    def _targets(self, batch: Batch, states: Array, update: int) -> tuple[Array, Array]:
        """G and what was expected, [T, E], before the update; an episode that ended lets nothing of the next one through."""
        settings = self.settings
        flat = states.reshape(-1, states.shape[2])
        following = self.choices.expected(flat, 2 * update).reshape(states.shape[:2])
        expected = following[:-1].copy()
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
        return goals, expected

    def _improve_actor(
        self, batch: Batch, known: Array, scale: tuple[torch.Tensor, float, float], update: int, repeated: Repeated | None
    ) -> dict[str, float]:
        """``scale``: [n] rows that count, how many they are, and the unit of Q."""
        settings, (valid, count, unit) = self.settings, scale
        drawn = drawn_rows(batch.prescriptions, batch.steps * batch.copies)
        found = self.choices.gain(known, drawn, unit, 2 * update + 1)
        counted, times = valid.repeat(found.repeats), count * found.repeats
        policy = functions.mean(found.gain, times, counted)
        entropy = functions.mean(found.entropy, times, counted)
        gain = policy + entropy * entropy_weight(settings, update)
        if repeated is not None:
            again = self.policy.forward(repeated.states, repeated.drawn)
            gain = gain + imitated(again, repeated, count) * imitation_weight(settings, update)
        rate = step_size(
            settings, "actor", settings.learner.learning_rate, settings.learner.final_learning_rate_share, update
        )
        self.policy.group.descend(-gain, rate, settings.learner.gradient_norm)
        return {"policy": -policy.item(), "entropy": entropy.item()}
