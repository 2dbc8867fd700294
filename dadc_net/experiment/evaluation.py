"""The value of a learned coordination rule, beside the lock-step: nothing here can change a digest of a run.

Where the task has an exact planner, the value comes from the planner's own way of valuing a rule: exactly where it can, and
otherwise by performance differences, whose standard error is tens of times smaller than that of plain returns. The plain
Monte-Carlo mean, the paper's protocol, is reported beside it with its own standard error.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import Snapshot
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream
from dadc_net.experiment.baselines import Baselines, ConstantRule, baselines, returns_of
from dadc_net.experiment.comparison import Comparison, ais_rank
from dadc_net.experiment.learned_rules import EVALUATION_SEED, learned_rules, plain_returns
from dadc_net.planning.certificate import Certificate, EnumeratedBeliefs, certify
from dadc_net.planning.evaluation import Estimate, horizon, mean_estimate
from dadc_net.planning.planners import NoPlan, Plan, plan
from dadc_net.team.structures.structure import describe

_NOTHING = 1e-12
_Found = TypeVar("_Found")


@dataclass(frozen=True, kw_only=True)
class Exact:
    """A value beside the exact optimum."""

    value: float
    stderr: float
    optimum: float
    gap: float | None
    """(V* - J) / |V*|; None where V* is 0, as far as the planner can tell."""
    round_robin: float | None
    """Value of blind round-robin; None where there is no such thing."""
    round_robin_share: float | None
    """Share of the distance from blind round-robin to the optimum; 1 is optimal, below 0 is worse than blind. None also
    where blind round-robin is optimal."""
    method: str
    random: float | None = None
    """Value of the uniformly random coordinator."""
    normalised_gap: float | None = None
    """(V* - J) / (V* - value of the random coordinator)."""
    residual: float = 0.0
    """The optimum is between ``optimum`` - this and ``optimum`` + this."""
    best_constant: float | None = None
    """Value of the best prescription that is played at every step; None where it is unknown."""

    @property
    def gaps(self) -> tuple[float, float] | None:
        """The least and the greatest gap that the bounds of the optimum allow; None where V* may be 0."""
        low, high = self.optimum - self.residual, self.optimum + self.residual
        least = ratio(low - self.value, abs(low), self.residual)
        most = ratio(high - self.value, abs(high), self.residual)
        if least is None or most is None or low * high <= 0.0:
            return None
        # A rule far below an optimum near 0 has the greater gap to the lower bound.
        return min(least, most), max(least, most)


@dataclass(frozen=True)
class Valuation:
    """What a rule is worth."""

    exact: Exact | None
    """None where the task has no exact planner, or it is switched off or failed."""
    monte_carlo: Estimate | None
    """None where it is switched off or failed."""
    troubles: tuple[str, ...] = ()
    """What failed and why, a sentence each."""
    compared: Comparison | None = None
    """Beside what is earned blindly; None where that was not asked, is switched off or failed."""

    def to_plain(self) -> dict[str, Any]:
        """All figures, flat, for reports and ``--json``; None where there is none."""
        exact, plain = self.exact, self.monte_carlo
        beside: tuple[str, ...] = ("optimum", "gap", "round_robin", "round_robin_share", "random", "normalised_gap")
        beside = (*beside, "best_constant")
        return {
            "method": "monte-carlo" if exact is None else exact.method,
            "value": None if exact is None else exact.value,
            "value_stderr": None if exact is None else exact.stderr,
            "value_monte_carlo": None if plain is None else plain.value,
            "value_monte_carlo_stderr": None if plain is None else plain.stderr,
            "optimum_residual": None if exact is None else exact.residual,
            **{name: None if exact is None else getattr(exact, name) for name in beside},
            **({} if self.compared is None else self.compared.fields()),
        }


def ratio(part: float, whole: float, residual: float) -> float | None:
    """part / whole; None where ``whole`` cannot be told from 0, being known to ``residual``, or the ratio is no number."""
    if not abs(whole) > max(residual, _NOTHING):
        return None
    found = part / whole
    return found if math.isfinite(found) else None


def plan_of(config: RunConfig) -> Plan:
    """The exact plan of a configuration. Raises NoPlan where there is none, or it knows another structure."""
    own = config.task.structure
    if config.structure != own:
        raise NoPlan(
            f"structure is {describe(config.structure)}, but the exact planner of the task {config.task.name} knows "
            f"{describe(own)} only. The optimum is another one under each structure. Plan without structure, or for a "
            "finite task or a .dpomdp file, whose planner knows them all."
        )
    prescriptions, menu = learned_rules(config).measured_against()
    return plan(config.task, config.parameters, menu, config.settings.discount, prescriptions)


class Evaluator:
    """Values rules on one configured task; plans once, where there is a planner."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._learned = learned_rules(config)
        self._blind_returns: dict[int, NDArray[np.float64]] = {}
        self.plan: Plan | None = None
        self._planless: tuple[str, ...] = ()
        """Why no optimum stands beside the rule where one could be expected, as a sentence among the troubles."""
        with contextlib.suppress(NoPlan):
            self.plan = plan_of(config)
        if self.plan is None and config.task.finite_model is not None and config.evaluation.plan_seconds > 0.0:
            from dadc_net.experiment.finite_valuation import finite_plan  # Here: its compiled part takes long to load.

            try:
                self.plan = finite_plan(config)
            except UsageError as error:
                said = "no optimum stands beside the learned rule"
                self._planless = (f"{said}: {error} evaluation.plan_seconds=0 leaves the plan out.",)

    def exact(self, snapshot: Snapshot, trajectories: int) -> Exact | None:
        """Value of the greedy rule of ``snapshot`` by the low-variance estimator; None without a planner or trajectories."""
        if not trajectories or (found := self.plan) is None:
            return None
        estimate, method = self._learned.estimate(found, snapshot, trajectories)
        share: float | None = None
        if found.round_robin is not None:
            share = ratio(estimate.value - found.round_robin, found.value - found.round_robin, found.residual)
        gap = ratio(found.value - estimate.value, abs(found.value), found.residual)
        normalised = None
        if found.random is not None:
            normalised = ratio(found.value - estimate.value, found.value - found.random, found.residual)
        return Exact(
            value=estimate.value,
            stderr=estimate.stderr,
            optimum=found.value,
            gap=gap,
            round_robin=found.round_robin,
            round_robin_share=share,
            method=method,
            random=found.random,
            normalised_gap=normalised,
            residual=found.residual,
            best_constant=found.best_constant,
        )

    def certificate(self, snapshot: Snapshot, trajectories: int = 400) -> Certificate | None:
        """Theorem 5's constants for the learner of ``snapshot``; None without a planner.

        Raises:
            UsageError: if the learner predicts no common observations, or there is not one learner but K.
        """
        found, discount = self.plan, self.config.settings.discount
        beliefs = None if found is None else found.beliefs
        if found is not None and found.model is not None and found.solution is not None:
            beliefs = EnumeratedBeliefs(found.model, found.solution)
        if beliefs is None:
            return None
        view = self._learned.view(snapshot, beliefs.outcomes)
        stream = Stream("evaluation/certificate", EVALUATION_SEED)
        return certify(beliefs, discount, view, trajectories, horizon(discount), stream)

    def monte_carlo(self, snapshot: Snapshot, trajectories: int) -> Estimate:
        """Mean of plain returns of the greedy rule of ``snapshot``, or of the greedy rules of independent learners."""
        return plain_returns(self.config, self._learned.rule(snapshot), trajectories)

    @cached_property
    def baselines(self) -> Baselines:
        """What is earned blindly."""
        return baselines(self.config, self.plan, self._most)

    @property
    def _most(self) -> int:
        """Plain returns behind the best constant prescription's value, where no planner gives it."""
        return self.config.evaluation.trajectories or self.config.evaluation.progress_trajectories

    def comparison(
        self, snapshot: Snapshot, found: Exact | None, trajectories: int, losses: Mapping[str, float]
    ) -> Comparison:
        """The greedy rule of ``snapshot`` beside what is earned blindly.

        Args:
            found: its value by the planner; where there is none, ``trajectories`` plain returns are taken, and as many of
                the best constant prescription with the same luck.
            losses: what the last update told.
        """
        rank = ais_rank(losses) if self.config.settings.ais.encoder != "none" else None
        if found is not None:
            return Comparison(Estimate(found.value, found.stderr), found.optimum, self.baselines, rank)
        returns = returns_of(self.config, self._learned.rule(snapshot), trajectories, "baselines")
        value, blind = mean_estimate(returns), self._blind(trajectories)
        if blind is None or self.baselines.constant is None:
            return Comparison(value, None, self.baselines, rank)
        # Few returns share one luck over a whole run; what the best constant has in it, and has in more, takes it out.
        beyond, constant = mean_estimate(returns - blind), self.baselines.constant
        # The same episodes are among those behind the constant's value.
        shared = 2.0 * float(np.cov(blind, returns - blind)[0, 1]) / self._most
        variance = constant.stderr**2 + beyond.stderr**2 + shared
        corrected = Estimate(constant.value + beyond.value, math.sqrt(max(0.0, variance)))
        return Comparison(min(value, corrected, key=lambda one: one.stderr), None, self.baselines, rank, beyond)

    def _blind(self, trajectories: int) -> NDArray[np.float64] | None:
        """Plain returns [n] of the best constant prescription; None where its value is none of such returns."""
        if trajectories not in self._blind_returns and self.baselines.theta is not None:
            rule = ConstantRule(self.baselines.theta)
            self._blind_returns[trajectories] = returns_of(self.config, rule, trajectories, "baselines")
        return self._blind_returns.get(trajectories)

    def progress(self, snapshot: Snapshot, trajectories: int) -> Estimate:
        """The best estimate that the task allows: low-variance with a planner, plain returns without."""
        found = self.exact(snapshot, trajectories)
        return self.monte_carlo(snapshot, trajectories) if found is None else Estimate(found.value, found.stderr)

    def valuation(self, snapshot: Snapshot) -> Valuation:
        """Both estimates of the greedy rule's value. What fails is said in the result: it must not cost what was learned."""
        evaluation = self.config.evaluation
        troubles = list(self._planless)
        returns, trajectories = evaluation.monte_carlo_trajectories, evaluation.trajectories
        plain = None
        if returns:
            plain = attempt(lambda: self.monte_carlo(snapshot, returns), "monte_carlo_trajectories", troubles)
        exact = attempt(lambda: self.exact(snapshot, trajectories), "trajectories", troubles)
        return Valuation(exact, plain, tuple(troubles))

    def compared(self, snapshot: Snapshot, losses: Mapping[str, float]) -> Valuation:
        """The same, and beside what is earned blindly; ``losses``: what the last update told."""
        found, trajectories = self.valuation(snapshot), self.config.evaluation.trajectories
        if not trajectories or (found.exact is None and self.plan is not None):
            return found  # Switched off, or failed already.
        troubles = list(found.troubles)
        compared = attempt(lambda: self.comparison(snapshot, found.exact, trajectories, losses), "trajectories", troubles)
        return replace(found, troubles=tuple(troubles), compared=compared)


def attempt(value: Callable[[], _Found | None], key: str, troubles: list[str]) -> _Found | None:
    """What ``value`` returns; None if it fails, and why is added to ``troubles``.

    ``key``: of the section evaluation; 0 switches it off.
    """
    try:
        return value()
    except Exception as error:  # A user's environment may raise anything, and a planner may be new to such a task.
        said = error.__cause__ or error
        troubles.append(
            f"the learned rule could not be valued: {type(said).__name__}: {said}. What was learned is kept. Give "
            f"evaluation.copies a number that the environment can make, or evaluation.{key} fewer returns, or 0 to leave "
            "this valuation out."
        )
        return None
