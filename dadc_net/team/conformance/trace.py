"""What the kit feeds to an environment, and what came out.

Inputs are drawn from a stream of their own, so every run of the kit asks the same questions. Besides record 0, a copy
begins at random about every eighth record, and always after a record at which the environment ended it.

Axis letters: T lock-steps, E copies, K agents, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.team.environment import Environment, EnvironmentSpec, Outcome
from dadc_net.team.lockstep import joint_step
from dadc_net.team.outcome import admitted
from dadc_net.team.structures.structure import JointStep

_BEGIN_SHARE = 0.125


@dataclass(frozen=True)
class Inputs:
    """T lock-steps for E copies."""

    actions: NDArray[np.int64]
    """[T, E, K]"""
    begin: NDArray[np.bool_]
    """[T, E]"""
    draws: NDArray[np.float64]
    """[T, E, D]"""

    def rows(self, copies: NDArray[np.int64]) -> Inputs:
        """The same for the copies listed, in that order."""
        return Inputs(self.actions[:, copies], self.begin[:, copies], self.draws[:, copies])

    def steps(self, part: slice) -> Inputs:
        """The same for a part of the lock-steps."""
        return Inputs(self.actions[part], self.begin[part], self.draws[part])

    def with_other_actions_at_begin(self, spec: EnvironmentSpec) -> Inputs:
        """Every action that must be ignored, changed."""
        changed = (self.actions + 1) % np.array(spec.joint_action_space.sizes)
        return replace(self, actions=np.where(self.begin[:, :, None], changed, self.actions))


def make_inputs(spec: EnvironmentSpec, copies: int, steps: int, seed: int) -> Inputs:
    """Random inputs; another ``seed`` gives others."""
    stream = Stream("conformance", seed_bytes(seed))
    columns = spec.num_agents + 1 + spec.draws_per_step
    numbers = np.stack([stream.uniforms(t, copies, columns) for t in range(steps)])
    actions = (numbers[:, :, : spec.num_agents] * np.array(spec.joint_action_space.sizes)).astype(np.int64)
    begin = numbers[:, :, spec.num_agents] < _BEGIN_SHARE
    begin[0] = True
    return Inputs(actions, begin, np.ascontiguousarray(numbers[:, :, spec.num_agents + 1 :]))


class Trace(NamedTuple):
    """What T lock-steps brought."""

    outcomes: tuple[Outcome, ...]
    begin: NDArray[np.bool_]
    """[T, E] which copies really began: as in the inputs, and after each end"""
    actions: NDArray[np.int64]
    """[T, E, K] as given"""

    def joint_steps(self, spec: EnvironmentSpec) -> list[JointStep]:
        """The same as the information structure sees it; only for outcomes that were found in order."""
        rows = zip(self.outcomes, self.begin, self.actions, strict=True)
        return [
            joint_step(admitted(outcome, spec, len(begin), t), actions, begin)
            for t, (outcome, begin, actions) in enumerate(rows)
        ]

    @property
    def step_in_episode(self) -> NDArray[np.int64]:
        """[T, E] steps since each copy began."""
        steps = np.zeros(self.begin.shape, dtype=np.int64)
        for t in range(1, len(steps)):
            steps[t] = np.where(self.begin[t], 0, steps[t - 1] + 1)
        return steps


def run(environment: Environment, inputs: Inputs, ended: NDArray[np.bool_] | None = None) -> Trace:
    """Drive ``environment``; its outcomes are copied at once. ``ended`` [E]: copies that ended just before."""
    before = np.zeros(inputs.begin.shape[1], dtype=np.bool_) if ended is None else ended
    outcomes, begins = [], []
    for actions, planned, draws in zip(inputs.actions, inputs.begin, inputs.draws, strict=True):
        begin = planned | before
        raw = environment.advance(actions.copy(), begin.copy(), draws.copy())
        outcomes.append(copied(raw))
        before = outcomes[-1].ended != 0
        begins.append(begin)
    return Trace(tuple(outcomes), np.stack(begins), inputs.actions)


def copied(outcome: Outcome) -> Outcome:
    """The same numbers in arrays of their own."""
    seen: Any = outcome.observations
    own = np.array(seen) if isinstance(seen, np.ndarray) else tuple(np.array(part) for part in seen)
    rest: list[Any] = [np.array(part) for part in outcome[1:]]
    return Outcome(own, *rest)


def one_array(values: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[Any]:
    """A field of an outcome, K arrays [E, O_k] side by side."""
    return values if isinstance(values, np.ndarray) else np.concatenate(list(values), axis=1)


class Difference(NamedTuple):
    """The first place where two traces differ."""

    step: int
    copy: int
    field: str
    left: str
    right: str

    def __str__(self) -> str:
        place = f"{self.field} of copy {self.copy} at lock-step {self.step}"
        return f"{place} is {self.left} in one run and {self.right} in the other"


def first_difference(
    left: Sequence[Outcome], right: Sequence[Outcome], right_copies: NDArray[np.int64], first_step: int = 0
) -> Difference | None:
    """Compare copy e of ``left`` with copy ``right_copies[e]`` of ``right``, bit for bit (NaN equals NaN)."""
    for step, (a, b) in enumerate(zip(left, right, strict=True)):
        for field in Outcome._fields:
            x, y = one_array(getattr(a, field)), one_array(getattr(b, field))[right_copies]
            for copy in range(len(right_copies)):
                if not np.array_equal(x[copy], y[copy], equal_nan=x.dtype.kind == "f"):
                    return Difference(first_step + step, copy, field, _shown(x[copy]), _shown(y[copy]))
    return None


def _shown(value: NDArray[np.generic]) -> str:
    return str(value.tolist())
