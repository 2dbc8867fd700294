"""Planning for a configured task that is a finite model: structure, horizon, limits by clock and memory, and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dadc_net.config import RunConfig, structure_of
from dadc_net.errors import UsageError
from dadc_net.planning.finite.laid_out import laid_out
from dadc_net.planning.finite.plan import TeamPlan, plan_team
from dadc_net.planning.finite.policy_words import describe_plan
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.watch import Limits
from dadc_net.team.finite.environment import FiniteParameters
from dadc_net.team.structures.by_name import chosen_structure, is_built_in
from dadc_net.team.structures.structure import InformationStructure

_NOTE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What a user asks for beside the configuration; None: as the task says, or the default."""

    structure: str | None = None
    parameters: Mapping[str, Any]
    """of the structure"""
    horizon: int | None = None
    gap: float | None = None
    seconds: float = 60.0
    memory_mib: int = 2048
    is_stopped: Callable[[], bool] = lambda: False
    """Whether somebody has asked for the bounds as they are."""


def planned_structure(config: RunConfig, request: PlanRequest) -> Sharing | InformationStructure:
    """The structure asked for, or the one that the task runs under; as the planner sees it, where it knows it by name.

    Raises:
        ConfigError, UsageError: if there is no such structure or parameter.
    """
    if request.structure is not None:
        if Sharing.knows(request.structure):
            return Sharing.from_record(request.structure, request.parameters)
        return structure_of(config.task, {"name": request.structure, **request.parameters})
    own = config.structure
    if not (Sharing.knows(own.name) and is_built_in(own)):
        return chosen_structure(own, request.parameters)
    # What runs keeps the present observation only, unless told otherwise.
    memory = {"memory_steps": getattr(own, "memory_steps", 0)} if own.name in ("control-sharing", "no-sharing") else {}
    return Sharing.from_record(own.name, {**memory, **request.parameters})


def plan_finite(
    config: RunConfig, request: PlanRequest, note: Callable[[str], None] | None = None
) -> tuple[TeamPlan, float]:
    """The plan, and the seconds that it took; ``note`` is told how far it is every two seconds.

    Raises:
        UsageError: if the task is no finite model, or a limit makes no sense.
    """
    if config.task.finite_model is None:
        raise UsageError(
            f"the task {config.task.name} is no finite model. Its planner knows one structure and no horizon. Leave out "
            "structure and --horizon, or plan for a finite task or a .dpomdp file."
        )
    model = config.task.finite_model()
    own = config.parameters.horizon if isinstance(config.parameters, FiniteParameters) else 0
    horizon = request.horizon or own or model.horizon
    if not request.seconds > 0.0 or request.memory_mib < 1:
        raise UsageError(
            f"--time is {request.seconds} and --memory is {request.memory_mib}. Both limit the search and must be positive. "
            "Give seconds and MiB."
        )
    begun = time.monotonic()
    limits = Limits(
        gap=_gap(request, horizon),
        memory_bytes=request.memory_mib << 20,
        is_late=lambda: request.is_stopped() or time.monotonic() - begun > request.seconds,
    )
    noted = begun

    def progress(lower: float, upper: float, beliefs: int) -> None:
        nonlocal noted
        now = time.monotonic()
        if note is not None and now - noted > _NOTE_SECONDS:
            noted = now
            note(f"{now - begun:6.1f} s  {lower:.6f} <= V* <= {upper:.6f}  {beliefs} beliefs")

    structure = planned_structure(config, request)
    if isinstance(structure, InformationStructure):
        spec = config.task.environment(config.parameters, 1).spec
        told = laid_out(model, spec, structure, decisions=horizon, memory_bytes=limits.memory_bytes, stop=limits.is_late)
        model, structure = told.model, told.sharing
        limits = replace(limits, bytes_beside=told.bytes_held)
    found = plan_team(
        model,
        structure,
        horizon=horizon,
        discount=config.settings.discount,
        limits=limits,
        progress=progress,
    )
    if found.stopped == "time" and request.is_stopped():
        found = replace(found, stopped="request")
    return found, time.monotonic() - begun


def _gap(request: PlanRequest, horizon: int | None) -> float:
    if request.gap is not None:
        if not request.gap >= 0.0:
            raise UsageError(f"--gap is {request.gap}. It is a distance of bounds. Give 0 or more.")
        return request.gap
    return 1e-9 if horizon is not None else 1e-4


def plan_record(name: str, plan: TeamPlan, seconds: float) -> dict[str, Any]:
    """The plan for ``--json``."""
    return {
        "task": name,
        "structure": plan.sharing.title,
        "structure_text": plan.sharing.text(),
        "value": 0.5 * (plan.lower + plan.upper),
        "lower": plan.lower,
        "upper": plan.upper,
        "residual": plan.residual,
        "merging_error": plan.merging_error,
        "horizon": plan.horizon,
        "discount": plan.discount,
        "beliefs": plan.beliefs,
        "joint_beliefs": plan.joint_beliefs,
        "memory_mib": plan.bytes_held / 2**20,
        "stopped": plan.stopped,
        "seconds": seconds,
    }


def plan_text(name: str, plan: TeamPlan, seconds: float) -> str:
    """The plan for a screen."""
    span = "without end" if plan.horizon is None else f"over {plan.horizon} decisions"
    ended = {
        "gap": "the bounds are as near as was asked for",
        "time": "the time is up; --time gives more",
        "request": "stopped by Ctrl-C",
        "memory": "the memory is used up; --memory gives more",
    }[plan.stopped]
    return (
        f"task {name}, {plan.sharing.text()}, {span}, discount {plan.discount}\n"
        f"{plan.lower:.6f} <= V* <= {plan.upper:.6f} ({ended})\n"
        f"{plan.beliefs} team beliefs of {plan.joint_beliefs} joint beliefs, {plan.bytes_held / 2**20:.1f} MiB, "
        f"{seconds:.1f} s; merging beliefs cost at most {plan.merging_error:.1e}, which the bounds include\n"
        f"a policy worth the lower bound:\n{describe_plan(plan)}"
    )
