"""Advantage actor-critic with a shared trunk (paper, E.1), one gradient step per update.

    policy loss    -mean A_t log psi(theta_t | x_t)      psi a softmax over a menu, or one after the other
                                                         over several factors, or a Gaussian over the box of theta
    value loss     mean smoothL1(V(x_t) - (A_t + V_old(x_t)))
    entropy bonus  -w mean H(psi(. | x_t)), w falling linearly to 0
    self-imitation where it is asked for: see ``best_windows``

Deviation: the paper's equation (6) weighs log psi with a Q critic; E.1 has a value head instead, so the weight is an
advantage. The entropy bonus is not in the paper: without it the rule becomes deterministic before the critic is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from dadc_net.coordinator.advantage import generalised_advantages, normalised
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.best_windows import BestWindows, Repeated, imitated, repeated_of
from dadc_net.coordinator.networks.actor_critic import ActorCriticNetwork
from dadc_net.coordinator.networks.distribution import PolicyGraph, drawn_rows
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight, step_size
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact import functions
from dadc_net.exact.array import Array


class Targets(NamedTuple):
    """What the losses of a batch of n = T E rows compare with; all data, no graph."""

    states: Tensor
    """[n, X]"""
    drawn: Tensor
    """theta as it was drawn: int64 [n] or [n, F], or float64 [n, D]"""
    advantages: Tensor
    """[n]"""
    returns: Tensor
    """[n] A_t + V_old(x_t)"""
    valid: Tensor
    """[n] 1.0 where the step happened"""
    rows: float
    """number of valid rows, at least 1"""
    credit: Tensor | None
    """[n, F] which choices answer for what followed; None: all"""
    repeated: Repeated | None = None
    """what is followed again beside the batch; None: nothing"""


def targets(
    value: Callable[[Array], Array],
    batch: Batch,
    states: Array,
    settings: CoordinatorSettings,
    update: int,
    best: BestWindows | None,
) -> Targets:
    """What the losses compare with, by ``value`` [n, X] -> [n] before the update; states [T+1, E, X].

    ``best``: what is kept for imitation, from which is chosen what is followed again; None: nothing is.
    """
    rows = batch.steps * batch.copies
    values = value(states.reshape(-1, states.shape[2])).reshape(states.shape[:2])
    advantages = generalised_advantages(batch, values, settings.discount, settings.learner.trace_decay)
    returns = advantages + values[:-1]
    if settings.learner.normalise_advantages:
        advantages = normalised(advantages, batch.valid)
    return Targets(
        torch.from_numpy(states[:-1].reshape(rows, states.shape[2])),
        torch.from_numpy(drawn_rows(batch.prescriptions, rows)),
        torch.from_numpy(advantages.reshape(rows)),
        torch.from_numpy(returns.reshape(rows)),
        torch.from_numpy(batch.valid.reshape(rows)),
        max(1.0, float(batch.valid.sum())),
        None if batch.credit is None else torch.from_numpy(batch.credit.reshape(rows, -1)),
        repeated_of(best, value, batch, states, update),
    )


def learning_rate(settings: CoordinatorSettings, update: int) -> float:
    """Step size of actor and critic at ``update``."""
    learner = settings.learner
    return step_size(settings, "actor", learner.learning_rate, learner.final_learning_rate_share, update)


def step_share(settings: CoordinatorSettings, update: int) -> float:
    """What the schedule has left of the actor's step sizes at ``update``."""
    return step_size(settings, "actor", 1.0, settings.learner.final_learning_rate_share, update)


def masked_mean(x: Tensor, goal: Targets, weights: Tensor | None = None) -> Tensor:
    """Mean of x [n], times ``weights`` [n] that are data, over the rows that happened."""
    return functions.mean(x, goal.rows, goal.valid if weights is None else weights * goal.valid)


def value_loss(values: Tensor, goal: Targets) -> Tensor:
    """Mean Huber distance of values [n] from the returns."""
    return masked_mean(functions.smooth_l1(values - goal.returns), goal)


class ActorCritic(Algorithm):
    """One network with two heads, one gradient step per update."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        settings = self.settings
        self.distribution = parts.distribution
        self.network = ActorCriticNetwork(
            parts.approximator.size,
            parts.theta.code_size,
            settings.learner,
            self.distribution,
            parts.initial("actor-critic"),
            parts.approximator.exponent,
        )
        self._best = BestWindows.asked_for(parts)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return (self.network.group,)

    def behaviour(self, update: int) -> Scores:
        return self.network.acting()

    def own(self, update: int) -> Array:
        return self.distribution.own(self.network.group)

    def greedy(self) -> Scores:
        return self.network.acting()

    def value(self) -> Callable[[Array], Array]:
        return self.network.values

    def kept(self) -> dict[str, NDArray[Any]]:
        return {} if self._best is None else self._best.arrays()

    def targets(self, batch: Batch, states: Array, update: int) -> Targets:
        """What the losses of a batch compare with, and what is followed again beside it."""
        return targets(self.network.values, batch, states, self.settings, update, self._best)

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """One gradient step of actor and critic."""
        goal = self.targets(batch, states, update)
        psi, values = self.network.forward(goal.states, goal.drawn)
        policy = masked_mean(psi.log_density(goal.credit), goal, goal.advantages)
        return self.descend(policy, values, psi, goal, update)

    def descend(self, policy: Tensor, values: Tensor, psi: PolicyGraph, goal: Targets, update: int) -> dict[str, float]:
        """One step against value loss minus ``policy`` and entropy bonus; the losses."""
        settings = self.settings
        value = value_loss(values, goal)
        entropy = masked_mean(psi.entropy(), goal)
        gain = policy + entropy * entropy_weight(settings, update)
        if goal.repeated is not None:
            again, _ = self.network.forward(goal.repeated.states, goal.repeated.drawn)
            gain = gain + imitated(again, goal.repeated, goal.rows) * imitation_weight(settings, update)
        if settings.is_uniform(update - 1):
            gain = gain * 0.0  # The prescriptions were not the actor's, which stays where it is.
        loss = value * settings.learner.value_loss_weight - gain
        group, own_share = self.network.group, step_share(settings, update)
        rates = self.distribution.rates(group, learning_rate(settings, update), own_share)
        group.descend(loss, rates, settings.learner.gradient_norm)
        self.distribution.clamp(group)
        return {"policy": -policy.item(), "value": value.item(), "entropy": entropy.item()}
