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
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.advantage import generalised_advantages, normalised
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.best_windows import BestWindows, Repeated, repeated_of
from dadc_net.coordinator.networks.actor_critic import ActorCriticNetwork, ActorCriticPass
from dadc_net.coordinator.networks.distribution import drawn_rows
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.schedule import entropy_weight, imitation_weight, step_size
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact import layers
from dadc_net.exact.array import Array


class Targets(NamedTuple):
    """What the losses of a batch of n = T E rows compare with; all data."""

    states: Array
    """[n, X]"""
    drawn: Theta
    """theta as it was drawn: int64 [n] or [n, F], or float64 [n, D]"""
    advantages: Array
    """[n]"""
    returns: Array
    """[n] A_t + V_old(x_t)"""
    valid: Array
    """[n] 1.0 where the step happened"""
    rows: float
    """number of valid rows, at least 1"""
    credit: Array | None
    """[n, F] which choices answer for what followed; None: all"""
    repeated: Repeated | None = None
    """what is followed again beside the batch; None: nothing"""


def rows_of(batch: Batch, states: Array) -> tuple[Array, Theta]:
    """AIS [n, X] of the steps of a batch, from states [T+1, E, X], and the theta that was drawn there."""
    rows = batch.steps * batch.copies
    return states[:-1].reshape(rows, states.shape[2]), drawn_rows(batch.prescriptions, rows)


def targets(
    values: Array, batch: Batch, states: Array, settings: CoordinatorSettings, repeated: Repeated | None
) -> Targets:
    """What the losses compare with, by ``values`` [T+1, E] of states [T+1, E, X] before the update."""
    known, drawn = rows_of(batch, states)
    advantages = generalised_advantages(batch, values, settings.discount, settings.learner.trace_decay)
    returns = advantages + values[:-1]
    if settings.learner.normalise_advantages:
        advantages = normalised(advantages, batch.valid)
    return Targets(
        known,
        drawn,
        advantages.reshape(-1),
        returns.reshape(-1),
        batch.valid.reshape(-1),
        max(1.0, float(batch.valid.sum())),
        None if batch.credit is None else batch.credit.reshape(len(known), -1),
        repeated,
    )


class PolicyGain(NamedTuple):
    """What an algorithm climbs, beside entropy and imitation."""

    value: float
    gradient: Callable[[float], Array]
    """Gradient with respect to the log-density [n] of something whose gradient with respect to ``value`` is given."""


def learning_rate(settings: CoordinatorSettings, update: int) -> float:
    """Step size of actor and critic at ``update``."""
    learner = settings.learner
    return step_size(settings, "actor", learner.learning_rate, learner.final_learning_rate_share, update)


def step_share(settings: CoordinatorSettings, update: int) -> float:
    """What the schedule has left of the actor's step sizes at ``update``."""
    return step_size(settings, "actor", 1.0, settings.learner.final_learning_rate_share, update)


def likelihood_gain(log_density: Array, goal: Targets) -> PolicyGain:
    """Mean over the rows that happened of A log psi; log-density [n]."""
    weights = goal.advantages * goal.valid
    gradient = partial(layers.mean_gradient, weights=weights, count=goal.rows)
    return PolicyGain(layers.mean(log_density, weights, goal.rows), gradient)


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

    def begin(self, batch: Batch, states: Array, update: int) -> tuple[Targets, ActorCriticPass]:
        """What the losses of a batch compare with, and psi and values of its steps before the update."""
        known, drawn = rows_of(batch, states)
        way = self.network.forward(known, drawn)
        last = self.network.values(states[-1])
        values = np.concatenate((way.values, last)).reshape(states.shape[:2])
        repeated = repeated_of(self._best, self.network.values, batch, states, update, values)
        return targets(values, batch, states, self.settings, repeated), way

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """One gradient step of actor and critic."""
        goal, way = self.begin(batch, states, update)
        return self.descend(likelihood_gain(way.psi.log_density(goal.credit), goal), way, goal, update)

    def descend(self, policy: PolicyGain, way: ActorCriticPass, goal: Targets, update: int) -> dict[str, float]:
        """One step against value loss minus ``policy`` and entropy bonus; the losses."""
        settings, network, gradients = self.settings, self.network, Gradients()
        returns = Goals(goal.returns, goal.valid, goal.rows)
        # The prescriptions of a uniform share were not the actor's, which stays where it is.
        slope = -0.0 if settings.is_uniform(update - 1) else -1.0
        way.back(
            returns.gradient(way.values, settings.learner.value_loss_weight),
            policy.gradient(slope),
            layers.mean_gradient(slope * entropy_weight(settings, update), goal.valid, goal.rows),
            gradients,
            goal.credit,
        )
        again = goal.repeated
        if again is not None:
            weight = slope * imitation_weight(settings, update)
            imitated = layers.mean_gradient(weight, again.weights, goal.rows)
            network.policy(again.states, again.drawn).back(imitated, None, gradients, again.credit)
        group, own_share = network.group, step_share(settings, update)
        rates = self.distribution.rates(group, learning_rate(settings, update), own_share)
        value, entropy = returns.distance(way.values), layers.mean(way.psi.entropy(), goal.valid, goal.rows)
        group.descend(gradients, rates, settings.learner.gradient_norm)
        self.distribution.clamp(group)
        return {"policy": -policy.value, "value": value, "entropy": entropy}
