"""What a run has learned, as planning values it: one rule of the team, or each agent's own.

What learns is loaded where a rule is made: a planner asks only what it is measured against, and need not wait for torch.

There is one class for each mode of learning. They say which optimum stands beside the rule, how it acts, and how well its
value can be estimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.coordinator.settings.learning import INDEPENDENT, SHARED, Snapshot
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.evaluation import Estimate
from dadc_net.planning.monte_carlo import IndependentRules, monte_carlo
from dadc_net.planning.planners import Plan
from dadc_net.team.menu import all_combinations

if TYPE_CHECKING:
    from dadc_net.coordinator.rule import GreedyRule
    from dadc_net.coordinator.view import LearnedView

EVALUATION_SEED = seed_bytes(0)


class LearnedRules(Protocol):
    """Of one configured run."""

    def measured_against(self) -> tuple[str, str]:
        """Prescriptions and menu whose optimum stands beside what was learned."""

    def rule(self, snapshot: Snapshot) -> GreedyRule | IndependentRules:
        """How it acts, greedily."""

    def estimate(self, plan: Plan, snapshot: Snapshot, trajectories: int) -> tuple[Estimate, str]:
        """Its value by the best method that there is, and the method's name."""

    def view(self, snapshot: Snapshot, outcomes: NDArray[np.int64]) -> LearnedView:
        """Its information state seen from outside. Raises UsageError where there is none."""


class TeamRule:
    """The rule of one shared learner."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def measured_against(self) -> tuple[str, str]:
        """Prescriptions and menu of the run."""
        return self._config.prescriptions, self._config.menu

    def rule(self, snapshot: Snapshot) -> GreedyRule:
        """The greedy rule."""
        from dadc_net.coordinator.rule import GreedyRule

        return GreedyRule(self._config.settings, snapshot)

    def estimate(self, plan: Plan, snapshot: Snapshot, trajectories: int) -> tuple[Estimate, str]:
        """The planner's own way of valuing a rule: exactly where it can, and by performance differences elsewhere."""
        stream = Stream("evaluation", EVALUATION_SEED)
        return plan.estimate(self._config.family, self.rule(snapshot), trajectories, stream), plan.estimator

    def view(self, snapshot: Snapshot, outcomes: NDArray[np.int64]) -> LearnedView:
        """The learner's AIS. Raises UsageError if it predicts no common observations."""
        from dadc_net.coordinator.view import LearnedView

        return LearnedView(self._config.settings, snapshot, outcomes)


class OwnRules:
    """The rules of independent learners, one for each agent."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def measured_against(self) -> tuple[str, str]:
        """Prescriptions and menu that are as free as parts which are chosen one by one.

        A menu beside a run may combine parts as freely. Where the team's prescriptions are restricted otherwise, say to
        symmetric ones, those of independent learners are not, and the optimum is no bound.
        """
        task, menu = self._config.task, self._config.menu
        if menu:
            menu = all_combinations(task.menus[menu], task.menus) or menu
        return task.default_prescriptions, menu

    def rule(self, snapshot: Snapshot) -> IndependentRules:
        """Each agent's greedy rule."""
        from dadc_net.coordinator.rule import GreedyRule
        from dadc_net.node.agent.independent_replica import own_settings

        config = self._config
        spec = config.task.environment(config.parameters, 1).spec
        owns = [own_settings(config.settings, agent.observation_space) for agent in spec.agents]
        parts = [(own, INDEPENDENT.part(snapshot, agent)) for agent, own in enumerate(owns, start=1)]
        return IndependentRules([GreedyRule(own, part) for own, part in parts])

    def estimate(self, plan: Plan, snapshot: Snapshot, trajectories: int) -> tuple[Estimate, str]:
        """Plain returns: what one agent does depends on its whole private history, so that no belief is a function of the
        common log."""
        return plain_returns(self._config, self.rule(snapshot), trajectories), "monte-carlo"

    def view(self, snapshot: Snapshot, outcomes: NDArray[np.int64]) -> LearnedView:
        """Raises UsageError: there is not one learner but K."""
        raise UsageError(
            "the run's learners are independent. Theorem 5 is about one information state of what all agents know, and "
            "there is none. Train with learning=shared."
        )


def learned_rules(config: RunConfig) -> LearnedRules:
    """What a run of this configuration learns."""
    kinds: dict[str, type[TeamRule] | type[OwnRules]] = {SHARED.name: TeamRule, INDEPENDENT.name: OwnRules}
    return kinds[config.settings.learning](config)


def plain_returns(config: RunConfig, rule: GreedyRule | IndependentRules, trajectories: int) -> Estimate:
    """Mean of plain returns of ``rule``."""
    return monte_carlo(
        config.task,
        config.parameters,
        config.family,
        config.settings.discount,
        rule,
        trajectories,
        Stream("evaluation/monte-carlo", EVALUATION_SEED),
        Stream("evaluation/monte-carlo/agents", EVALUATION_SEED),
        structure=config.structure,
        copies=config.evaluation.copies,
    )
