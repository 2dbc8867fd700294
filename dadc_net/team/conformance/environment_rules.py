"""What an environment declares and what ``advance`` returns: shapes, types, spaces. Front door: ``entry.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.conformance.finding import Finding
from dadc_net.team.conformance.trace import Inputs, Trace, make_inputs
from dadc_net.team.environment import Ended, Environment, EnvironmentSpec, Outcome
from dadc_net.team.outcome import exactly
from dadc_net.team.spaces import FiniteSpace, Space


@dataclass(frozen=True)
class Subject:
    """An environment under test."""

    make: Callable[[int], Environment]
    """E -> a fresh environment"""
    spec: EnvironmentSpec
    inputs: Inputs
    other_inputs: Inputs
    """Another past: other actions, begins and draws."""

    @property
    def copies(self) -> int:
        """E."""
        return len(self.inputs.begin[0])

    @property
    def steps(self) -> int:
        """T."""
        return len(self.inputs.begin)

    @property
    def everyone(self) -> NDArray[np.int64]:
        """0 .. E-1."""
        return np.arange(self.copies)


def make_subject(make: Callable[[int], Environment], copies: int, steps: int, seed: int) -> Subject:
    """Look at the specification and prepare inputs."""
    spec = make(copies).spec
    return Subject(make, spec, make_inputs(spec, copies, steps, 2 * seed), make_inputs(spec, copies, steps, 2 * seed + 1))


def check_spec(make: Callable[[int], Environment], copies: int) -> Iterator[Finding]:
    """The specification is sound and does not depend on the number of copies."""
    environment = make(copies)
    spec = environment.spec
    remedy = "Correct the EnvironmentSpec."
    if environment.num_envs != copies:
        yield Finding(
            "spec",
            f"num_envs is {environment.num_envs} after {copies} copies were asked for. A run relies on that number. "
            "Return the number that the factory was given.",
        )
    if spec.num_agents < 1:
        yield Finding("spec", f"num_agents is {spec.num_agents}. A team has at least one agent. {remedy}")
    if spec.draws_per_step < 0:
        yield Finding("spec", f"draws_per_step is {spec.draws_per_step}. It counts uniform numbers. {remedy}")
    for agent, own in enumerate(spec.agents, start=1):
        if not isinstance(own.action_space, FiniteSpace) or own.action_space.columns != 1:
            yield Finding(
                "spec",
                f"action_space of agent {agent} is {own.action_space}. An agent's action is one number of a finite set, as "
                "prescription menus are tables of actions. Use FiniteSpace((n,)) for n actions.",
            )
    spaces = {f"observation_space of agent {agent}": own.observation_space for agent, own in enumerate(spec.agents, start=1)}
    for name, space in {**spaces, "public_space": spec.public_space}.items():
        if not isinstance(space, Space):
            yield Finding("spec", f"{name} is {space!r}. Spaces are FiniteSpace, BoxSpace or a product of them. {remedy}")
    if make(1).spec != spec:
        yield Finding(
            "spec",
            f"the specification for 1 copy differs from that for {copies} copies. Agents are told one specification for "
            "any number of copies. Keep the number of copies out of it.",
        )


def check_outcomes(subject: Subject, trace: Trace) -> Iterator[Finding]:
    """Shapes, types and ranges of everything that ``advance`` returns; reports the first fault of each field."""
    spec, seen = subject.spec, set[str]()
    for step, outcome in enumerate(trace.outcomes):
        faults = {
            "observations": _observations_fault(outcome.observations, spec, subject.copies),
            "public": _space_fault(outcome.public, (subject.copies,), spec.public_space),
            "rewards": _rewards_fault(outcome, subject.copies, trace.begin[step]),
            "ended": _ended_fault(outcome, spec, subject.copies),
        }
        for field, fault in faults.items():
            if fault and field not in seen:
                seen.add(field)
                rule = "ended" if field == "ended" else "outcome"
                yield Finding(rule, f"{field} {fault[0]} at lock-step {step}. {fault[1]}")


def _observations_fault(values: Any, spec: EnvironmentSpec, copies: int) -> tuple[str, str] | None:
    """One array [E, K, O] where agents have equally many columns, or K arrays [E, O_k]."""
    if isinstance(values, np.ndarray):
        widest = max(agent.observation_space.columns for agent in spec.agents)
        shape = (copies, spec.num_agents, widest)
        if values.shape != shape:
            return f"has shape {values.shape} instead of {shape}", "Axes are copies, agents, columns."
        own = list(values.transpose(1, 0, 2))
    elif len(values) != spec.num_agents:
        return f"has {len(values)} arrays instead of {spec.num_agents}", "There is one for each agent."
    else:
        own = [np.asarray(part) for part in values]
    for agent, (part, seen) in enumerate(zip(own, spec.agents, strict=True), start=1):
        fault = _space_fault(part, (copies,), seen.observation_space)
        if fault:
            return f"of agent {agent} {fault[0]}", fault[1]
    return None


def _space_fault(values: NDArray[Any], leading: tuple[int, ...], space: Space) -> tuple[str, str] | None:
    shape = (*leading, space.columns)
    if values.shape != shape:
        return f"has shape {values.shape} instead of {shape}", "Axes are copies, columns."
    converted = exactly(values, space.dtype)
    if converted is None:
        remedy = "The bytes that agents get depend on it; give whole numbers where a space is finite."
        return f"has type {values.dtype}, which is not exactly {space.dtype}", remedy
    if not space.contains(converted):
        return f"lies outside {space}", "Declare a space that holds every value, or correct the value."
    return None


def _rewards_fault(outcome: Outcome, copies: int, begin: NDArray[np.bool_]) -> tuple[str, str] | None:
    rewards = outcome.rewards
    if rewards.shape != (copies,) or exactly(rewards, np.dtype(np.float64)) is None:
        return f"has shape {rewards.shape} and type {rewards.dtype} instead of ({copies},) and float64", "One per copy."
    if not np.isfinite(rewards).all():
        return f"holds {rewards.tolist()}", "A run stops at a reward that is not finite; bound it."
    if (rewards[begin] != 0.0).any():
        return (
            f"is {rewards[begin].tolist()} for copies that begin instead of 0",
            "R_{t-1} belongs to the step before, and a copy that begins has none.",
        )
    return None


def _ended_fault(outcome: Outcome, spec: EnvironmentSpec, copies: int) -> tuple[str, str] | None:
    ended = np.asarray(outcome.ended)
    if ended.shape != (copies,) or exactly(ended, np.dtype(np.int64)) is None:
        return f"has shape {ended.shape} and type {ended.dtype} instead of ({copies},) and uint8", "One code per copy."
    known = [code for code in Ended if spec.truncates or code != Ended.TRUNCATED]
    if not np.isin(ended, known).all():
        return (
            f"is {ended.tolist()}, but an environment may say NO (0) or TERMINATED (2) only",
            "Truncation is the episode clock's: let the parameter restart_steps do it, or set truncates.",
        )
    return None
