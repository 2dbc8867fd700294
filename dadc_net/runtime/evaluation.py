"""The value of a learned coordination rule, beside the lock-step: nothing here can change a digest of a run.

Where the task has an exact planner, the value comes from the performance-difference estimator (DESIGN, Section 6): its
standard error is tens of times smaller than that of plain returns, and it is exactly zero for an optimal rule. The plain
Monte-Carlo mean, the paper's protocol, is reported beside it with its own standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.rule import GreedyRule
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.evaluation import performance_difference
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.planning.planners import Plan, plan

_EVALUATION_SEED = seed_bytes(0)


@dataclass(frozen=True)
class Valuation:
    """What a rule is worth."""

    value: float
    stderr: float
    optimum: float
    gap: float
    """(V* - J) / |V*|"""
    round_robin_share: float
    """Share of the distance from blind round-robin to the optimum; 1 is optimal, below 0 is worse than blind."""
    method: str
    value_monte_carlo: float
    value_monte_carlo_stderr: float


class Evaluator:
    """Values rules on one configured task; plans once."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.plan: Plan = plan(config.task.name, config.parameters, config.menu, config.settings.discount)

    def value(self, snapshot: Mapping[str, NDArray[Any]], trajectories: int) -> tuple[float, float]:
        """Value of the greedy rule of ``snapshot`` by the low-variance estimator, and its standard error."""
        rule = GreedyRule(self.config.settings, snapshot)
        stream = Stream("evaluation", _EVALUATION_SEED)
        plan_ = self.plan
        discount = self.config.settings.discount
        estimate = performance_difference(plan_.model, plan_.solution, discount, rule, trajectories, stream)
        return estimate.value, estimate.stderr

    def share(self, value: float) -> float:
        """Share of the round-robin-to-optimum distance that ``value`` has covered."""
        distance = self.plan.value - self.plan.round_robin
        return (value - self.plan.round_robin) / distance if distance > 0 else 0.0

    def gap(self, value: float) -> float:
        """(V* - value) / |V*|."""
        return (self.plan.value - value) / abs(self.plan.value)

    def valuation(self, snapshot: Mapping[str, NDArray[Any]]) -> Valuation:
        """Both estimates of the greedy rule's value."""
        config = self.config
        value, stderr = self.value(snapshot, config.evaluation.trajectories)
        rule = GreedyRule(config.settings, snapshot)
        plain = monte_carlo(
            config.task,
            config.parameters,
            config.menu,
            config.settings.discount,
            rule,
            config.evaluation.monte_carlo_trajectories,
            Stream("evaluation/monte-carlo", _EVALUATION_SEED),
        )
        return Valuation(
            value,
            stderr,
            self.plan.value,
            self.gap(value),
            self.share(value),
            "performance-difference",
            plain.value,
            plain.stderr,
        )
