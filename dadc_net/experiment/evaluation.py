"""The value of a learned coordination rule, beside the lock-step: nothing here can change a digest of a run.

Where the task has an exact planner, the value comes from the planner's own way of valuing a rule: exactly where it can, and
otherwise by performance differences, whose standard error is tens of times smaller than that of plain returns. The plain
Monte-Carlo mean, the paper's protocol, is reported beside it with its own standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.exact.streams import Stream
from dadc_net.experiment.baselines import Baselines, baselines, returns_of
from dadc_net.experiment.comparison import Comparison, ais_rank
from dadc_net.experiment.learned_rules import EVALUATION_SEED, learned_rules, plain_returns
from dadc_net.planning.certificate import Certificate, certify
from dadc_net.planning.evaluation import Estimate, horizon, mean_estimate
from dadc_net.planning.planners import Plan, has_planner, plan


@dataclass(frozen=True)
class Exact:
    """A value beside the exact optimum."""

    value: float
    stderr: float
    optimum: float
    gap: float
    """(V* - J) / |V*|"""
    round_robin: float | None
    """Value of blind round-robin; None where there is no such thing."""
    round_robin_share: float | None
    """Share of the distance from blind round-robin to the optimum; 1 is optimal, below 0 is worse than blind."""
    method: str


@dataclass(frozen=True)
class Valuation:
    """What a rule is worth."""

    exact: Exact | None
    """None where the task has no exact planner."""
    value_monte_carlo: float
    value_monte_carlo_stderr: float


def plan_of(config: RunConfig) -> Plan:
    """The exact plan of a configuration. Raises UsageError where there is no planner."""
    prescriptions, menu = learned_rules(config).measured_against()
    return plan(config.task.name, config.parameters, menu, config.settings.discount, prescriptions)


class Evaluator:
    """Values rules on one configured task; plans once, where there is a planner."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._learned = learned_rules(config)
        self.plan: Plan | None = None
        # A user's own task may have the name of a built-in one, but not its planner.
        if config.task_argument == config.task.name and has_planner(config.task.name, self._learned.measured_against()[0]):
            self.plan = plan_of(config)

    def exact(self, snapshot: Snapshot, trajectories: int) -> Exact | None:
        """Value of the greedy rule of ``snapshot`` by the low-variance estimator; None without a planner."""
        found = self.plan
        if found is None:
            return None
        estimate, method = self._learned.estimate(found, snapshot, trajectories)
        share: float | None = None
        if found.round_robin is not None:
            distance = found.value - found.round_robin
            share = (estimate.value - found.round_robin) / distance if distance > 0 else 0.0
        gap = (found.value - estimate.value) / abs(found.value)
        return Exact(estimate.value, estimate.stderr, found.value, gap, found.round_robin, share, method)

    def certificate(self, snapshot: Snapshot, trajectories: int = 400) -> Certificate | None:
        """Theorem 5's constants for the learner of ``snapshot``; None without a planner.

        Raises:
            UsageError: if the learner predicts no common observations, or there is not one learner but K.
        """
        found = self.plan
        if found is None or found.model is None or found.solution is None:
            return None
        discount = self.config.settings.discount
        view = self._learned.view(snapshot, found.model.outcomes)
        stream = Stream("evaluation/certificate", EVALUATION_SEED)
        return certify(found.model, found.solution, discount, view, trajectories, horizon(discount), stream)

    def monte_carlo(self, snapshot: Snapshot, trajectories: int) -> Estimate:
        """Mean of plain returns of the greedy rule of ``snapshot``, or of the greedy rules of independent learners."""
        return plain_returns(self.config, self._learned.rule(snapshot), trajectories)

    @cached_property
    def baselines(self) -> Baselines:
        """What is earned blindly."""
        return baselines(self.config, self.plan, self.config.evaluation.trajectories)

    def comparison(
        self, snapshot: Snapshot, found: Exact | None, trajectories: int, losses: Mapping[str, float]
    ) -> Comparison:
        """The greedy rule of ``snapshot`` beside what is earned blindly.

        Args:
            found: its value by the planner; where there is none, ``trajectories`` plain returns are taken, with the luck
                that the best constant prescription had if they are as many.
            losses: what the last update told.
        """
        if found is not None:
            value = Estimate(found.value, found.stderr)
        else:
            value = mean_estimate(returns_of(self.config, self._learned.rule(snapshot), trajectories, "baselines"))
        rank = ais_rank(losses) if self.config.settings.ais.encoder != "none" else None
        return Comparison(value, None if found is None else found.optimum, self.baselines, rank)

    def progress(self, snapshot: Snapshot, trajectories: int) -> Estimate:
        """The best estimate that the task allows: low-variance with a planner, plain returns without."""
        found = self.exact(snapshot, trajectories)
        return self.monte_carlo(snapshot, trajectories) if found is None else Estimate(found.value, found.stderr)

    def valuation(self, snapshot: Snapshot) -> Valuation:
        """Both estimates of the greedy rule's value."""
        evaluation = self.config.evaluation
        plain = self.monte_carlo(snapshot, evaluation.monte_carlo_trajectories)
        return Valuation(self.exact(snapshot, evaluation.trajectories), plain.value, plain.stderr)
