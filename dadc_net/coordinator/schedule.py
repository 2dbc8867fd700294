"""Schedules: how a step size or a weight falls over a run.

    linear           to a share of itself at the end of the run, which has to be known
    robbins-monro    as k^-p: the sum over k diverges and the sum of squares does not, for 1/2 < p <= 1 (paper, Section 5)
"""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.elementary import exp, log


def linear(start: float, final_share: float, update: int, updates: int) -> float:
    """The value at ``update`` (1..updates): linear from ``start`` at the first towards ``start * final_share``.

    The last update still has a positive value when ``final_share`` is 0: the line would reach its end one update later.
    """
    passed = (update - 1) / updates
    return start * (1.0 - passed * (1.0 - final_share))


def entropy_weight(settings: CoordinatorSettings, update: int) -> float:
    """Weight of the entropy bonus at ``update`` (1..): it falls linearly, and is 0 after ``entropy_share`` of the run."""
    learner = settings.learner
    passed = (update - 1) / (settings.updates * learner.entropy_share)
    return learner.entropy_weight * max(0.0, 1.0 - passed)


def imitation_weight(settings: CoordinatorSettings, update: int) -> float:
    """Weight of self-imitation at ``update`` (1..): it falls linearly, and is 0 after ``imitation_share`` of the run."""
    learner = settings.learner
    passed = (update - 1) / (settings.updates * learner.imitation_share)
    return learner.imitation_weight * max(0.0, 1.0 - passed)


def geometric(start: float, end: float, update: int, updates: int) -> float:
    """The value at ``update`` (0..updates): from ``start`` to ``end`` by equal factors; both in 2^-30 .. 8."""
    logs = log(np.array([start, end]))
    return float(exp(logs[0] + (logs[1] - logs[0]) * (update / updates) + np.zeros(1))[0])


def power(start: float, exponent: float, update: int) -> float:
    """start k^-p at update k = 1 ..; k^-p lies on exp's grid 2^-30."""
    logs = log(np.array([float(update)]))
    return start * float(exp(-exponent * logs)[0])


def step_size(
    settings: CoordinatorSettings, component: str, start: float, final_share: float, update: int
) -> float:
    """Step size of ``component`` (ais, critic or actor) at ``update``, by the schedule of the settings."""
    chosen = settings.schedule
    if chosen.kind == "linear":
        return linear(start, final_share, update, settings.updates)
    exponents = {"ais": chosen.ais_exponent, "critic": chosen.critic_exponent, "actor": chosen.actor_exponent}
    return power(start, exponents[component], update)
