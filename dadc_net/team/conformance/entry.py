"""The front door: check an environment with its structure, or a whole task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from dadc_net.team.conformance import behaviour_rules, common_rules, environment_rules, local_rules
from dadc_net.team.conformance.finding import Finding, collect
from dadc_net.team.conformance.trace import run
from dadc_net.team.environment import Environment, EnvironmentSpec
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace, space_text
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import Task


def check_environment(
    make: Callable[[int], Environment],
    structure: InformationStructure,
    copies: int = 4,
    steps: int = 96,
    seed: int = 0,
) -> list[Finding]:
    """Check an environment and an information structure for it.

    Args:
        make: E -> a fresh environment of E copies; called many times.
        structure: never called itself, copies of it are.
        copies: E to try, at least 2; other numbers are tried beside it.
        steps: lock-steps per run, at least 8.
        seed: of the kit's own random inputs.

    Returns:
        What is wrong; empty if nothing was found. A fault of the specification or of what ``advance`` returns hides the
        rules after it, because they would all fail with it.
    """
    if copies < 2 or steps < 8:
        raise ValueError(f"the kit needs at least 2 copies and 8 lock-steps, got {copies} and {steps}")
    if found := collect("spec", lambda: environment_rules.check_spec(make, copies)):
        return found
    if found := collect("state", lambda: behaviour_rules.check_methods(make(copies))):
        return found
    subject = environment_rules.make_subject(make, copies, steps, seed)
    traces = []

    def outcomes() -> Iterator[Finding]:
        for inputs in (subject.inputs, subject.other_inputs):
            traces.append(run(make(copies), inputs))
            yield from environment_rules.check_outcomes(subject, traces[-1])

    if found := collect("outcome", outcomes):
        return found
    trace, other = traces
    rules: dict[str, Callable[[], Iterator[Finding]]] = {
        "determinism": lambda: behaviour_rules.check_determinism(subject, trace),
        "copies": lambda: behaviour_rules.check_copies(subject, trace),
        "begin": lambda: behaviour_rules.check_begin(subject, trace),
        "state": lambda: behaviour_rules.check_state(subject, trace),
        "arguments": lambda: behaviour_rules.check_arguments(subject),
    }
    if not subject.spec.replayable:
        rules = {"arguments": rules["arguments"]}  # The others wind it back, or run it twice.
    for rule, check in rules.items():
        found += collect(rule, check)
    return found + _check_structure(common_rules.StructureSubject(structure, subject.spec, trace, other))


def _check_structure(subject: common_rules.StructureSubject) -> list[Finding]:
    """``common`` first; its later rules need it to work, and so do those of ``local`` with its signature."""
    found = collect("common", partial(common_rules.check_common, subject))
    if not found:
        found += collect("episodes", partial(common_rules.check_episodes, subject))
    signature = collect("(L1)", partial(local_rules.check_signature, subject))
    if found or signature:
        return found + signature
    return collect("(L2)", partial(local_rules.check_local, subject))


def check_task(task: Task, parameters: Any = None, copies: int = 4, steps: int = 96, seed: int = 0) -> list[Finding]:
    """Check a task: its declaration, its menus, its environment and its information structure.

    Args:
        parameters: of the environment; ``None`` for the defaults.
    """
    found = collect("task", partial(_check_declaration, task))
    if found:
        return found
    chosen = task.parameters_type() if parameters is None else parameters
    found += check_environment(partial(task.make, chosen), task.structure, copies, steps, seed)
    if not any(finding.rule == "spec" for finding in found):
        found += collect("menu", lambda: _check_menus(task, task.make(chosen, copies).spec))
    return found


def check_chosen(
    task: Task, parameters: Any, structure: InformationStructure, copies: int = 4, steps: int = 96, seed: int = 0
) -> list[Finding]:
    """Check a task as a run has it: with these parameters, under this structure instead of its own.

    Its menus are made for its own structure, and are checked where that is the one.
    """
    if structure == task.structure:
        return check_task(task, parameters, copies, steps, seed)
    found = collect("task", partial(_check_declaration, task))
    return found or check_environment(partial(task.make, parameters), structure, copies, steps, seed)


def _check_declaration(task: Task) -> Iterator[Finding]:
    if not isinstance(task, Task):
        kind = type(task).__name__
        yield Finding("task", f"a {kind} is not a Task. Nothing was checked. Return a dadc_net.team.tasks.Task.")
        return
    parameters = task.parameters_type
    if not dataclasses.is_dataclass(parameters) or "restart_steps" not in {
        field.name for field in dataclasses.fields(parameters)
    }:
        yield Finding(
            "task",
            f"parameters_type {parameters.__name__} is not a dataclass with a field restart_steps. Its fields are the keys "
            "env.NAME of the configuration, and the episode clock reads env.restart_steps. Add `restart_steps: int = 0`.",
        )
    if task.default_prescriptions not in task.prescriptions:
        yield Finding(
            "task",
            f"default_prescriptions is {task.default_prescriptions!r}, but the task has "
            f"{sorted(task.prescriptions)}. A run without the key prescriptions would fail. "
            "Name one of them.",
        )
    if task.default_menu not in (task.menus or {""}):
        yield Finding(
            "task",
            f"default_menu is {task.default_menu!r}, but the menus are {sorted(task.menus)}. A run without the key menu "
            "would fail. Name one of them.",
        )
    if not 0 < task.default_discount < 1:
        yield Finding(
            "task",
            f"default_discount is {task.default_discount}. Returns are discounted sums without end. Give a number strictly "
            "between 0 and 1.",
        )


def _check_menus(task: Task, spec: EnvironmentSpec) -> Iterator[Finding]:
    local = [task.structure.local_space(agent.observation_space, agent.action_space) for agent in spec.agents]
    if task.menus and not all(isinstance(space, FiniteSpace) for space in local):
        yield Finding(
            "menu",
            f"the task has menus, but local information under {task.structure.name} is {list(map(space_text, local))}. A "
            "menu is a table over finitely many local values. Choose a structure that keeps such, or other prescriptions.",
        )
        return
    sizes = [space.num_values for space in local if isinstance(space, FiniteSpace)]
    for key, menu in task.menus.items():
        if fault := _menu_fault(key, menu, spec, sizes):
            yield Finding("menu", fault)


def _menu_fault(key: str, menu: PrescriptionMenu, spec: EnvironmentSpec, local_values: Sequence[int]) -> str | None:
    table = menu.table()
    if menu.name != key:
        return f"the menu {menu.name!r} is listed under {key!r}. A run names menus by their key. Use one name for both."
    if table.shape[1:] != (spec.num_agents, max(local_values)):
        return (
            f"the menu {key!r} has tables for {table.shape[1]} agents with {table.shape[2]} local values, but the task has "
            f"{spec.num_agents} and {max(local_values)}. Entry [m][k][l] is agent k's action at local index l. Complete it."
        )
    for agent, (own, values) in enumerate(zip(spec.agents, local_values, strict=True), start=1):
        actions = table[:, agent - 1, :values]
        if not own.action_space.contains(actions[..., None]):
            outside = np.unique(actions[(actions < 0) | (actions >= own.action_space.num_values)]).tolist()
            return (
                f"the menu {key!r} prescribes agent {agent} the actions {outside}, but it has "
                f"{own.action_space.num_values}, from 0. It would answer with a number that the environment does not know. "
                "Correct the table."
            )
    if PrescriptionMenu.from_plain(menu.to_plain()) != menu:
        return (
            f"the menu {key!r} changes on its way over the wire. Its actions or entries are not plain integers and strings. "
            "Build it from nested tuples of int."
        )
    return None
