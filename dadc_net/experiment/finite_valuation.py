"""The plan of a finite task, as a run's valuation needs it: bounds of the optimum, references, and what a rule is worth."""

from __future__ import annotations

import contextlib

from dadc_net.config import RunConfig
from dadc_net.errors import UsageError
from dadc_net.exact.streams import Stream
from dadc_net.experiment.finite_plan import PlanRequest, plan_finite, plan_text
from dadc_net.experiment.learned_rules import learned_rules
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.finite.best_constant import best_constant
from dadc_net.planning.finite.exact_law import LawOfTeam
from dadc_net.planning.finite.law_walk import LawBeliefs
from dadc_net.planning.finite.memoryless import best_memoryless
from dadc_net.planning.finite.random_coordinator import random_coordinator
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.planning.planners import Plan
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily


def finite_plan(config: RunConfig) -> Plan:
    """The plan of a configured finite task; its optimum is that of all prescriptions, whichever the run may use.

    Raises:
        UsageError: if the task is no finite model, the planner does not know its structure, or the prescriptions do not fit.
    """
    task = config.task
    if task.finite_model is None:
        raise UsageError(
            f"the task {task.name} is no finite model. Its optimum is unknown here. Choose a task that is one, or plan for "
            "a .dpomdp file."
        )
    # Finding out what does not fit is cheap, so it comes before the search.
    # Parts of independent learners combine freely: what stands beside them are the team's prescriptions, not their own.
    prescriptions, menu = learned_rules(config).measured_against()
    beside = config.family
    if not config.settings.mode.one_learner:
        beside = task.family(prescriptions, menu, task.environment(config.parameters, 1).spec, config.theta)
    values = rule_values(config, beside)
    found, seconds = plan_finite(config, PlanRequest(parameters={}, seconds=config.evaluation.plan_seconds))
    constant = best_constant(values, beside)
    # A constant prescription is one of those that the optimum is over.
    lower = found.lower if constant is None else max(found.lower, min(constant.value, found.upper))

    def estimate(family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        fitting = values if family is beside else rule_values(config, family)
        return fitting.estimate(rule, trajectories, stream)

    def memoryless() -> float | None:
        entry = None if constant is None else constant.entry
        found = None if entry is None else best_memoryless(values, beside, entry)
        return None if found is None else found.value

    return Plan(
        value=0.5 * (lower + found.upper),
        menu=menu,
        start=f"{task.name}, nothing observed",
        method=f"search over {found.beliefs} team beliefs under {found.sharing.text()}",
        residual=0.5 * (found.upper - lower),
        random=random_coordinator(values, beside),
        round_robin=None,
        text=plan_text(task.name, found, seconds),
        estimate=estimate,
        estimator="performance differences of exact beliefs",
        best_constant=constant.value if constant else None,
        best_theta=constant.theta if constant else None,
        looked_for_constant=True,
        every_constant_tried=constant is not None and constant.entry is not None,
        beliefs=_beliefs(config, beside, values, (lower, found.upper)),
        best_memoryless=memoryless,
    )


def _beliefs(
    config: RunConfig, family: PrescriptionFamily, values: RuleValues, bounds: tuple[float, float]
) -> LawBeliefs | None:
    """Exact beliefs for Theorem 5, which is about a discounted problem without end and prescriptions that can be listed."""
    spec = config.task.environment(config.parameters, 1).spec
    if spec.horizon or config.settings.discount >= 1.0 or not isinstance(family, PrescriptionMenu):
        return None
    with contextlib.suppress(UsageError):
        return LawBeliefs(values.team, family, config.structure.common_space(spec), config.settings.discount, bounds)
    return None


def rule_values(config: RunConfig, family: PrescriptionFamily) -> RuleValues:
    """Values of rules under the run's structure, horizon and discount. Raises UsageError if ``family`` does not fit."""
    task = config.task
    if task.finite_model is None:
        raise UsageError(f"the task {task.name} is no finite model. Its rules cannot be valued exactly. Use plain returns.")
    spec = task.environment(config.parameters, 1).spec
    return RuleValues(LawOfTeam(task.finite_model(), spec, config.structure, family), config.settings.discount, spec.horizon)
