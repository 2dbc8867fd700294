"""Structures under which observations never become common: control sharing, mean-field sharing and no sharing.

An agent would have to keep all its observations. A bound on them makes (L2) hold: it keeps the last m besides the present
one. That loses nothing where older ones are irrelevant, as in the paper's problems with m = 0 (Section 3), and something in
general.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.schema import require
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.spaces import FiniteSpace, Space, product, space_text
from dadc_net.team.structures.structure import InformationStructure, Integers, JointStep, Values
from dadc_net.team.structures.window import moved_window, window_space

_MEMORY = "Give 0 (the present observation only) to 100."


@dataclass(frozen=True)
class ControlSharing(InformationStructure):
    """Everyone sees all actions: z_t = (A_{t-1}, public_t), L_t^k = O^k_{t-m..t} (Mahajan 2013)."""

    name: ClassVar[str] = "control-sharing"
    memory_steps: int = 0
    """m, how many observations before the present one an agent keeps."""

    def __post_init__(self) -> None:
        require(0 <= self.memory_steps <= 100, "structure.memory_steps", self.memory_steps, _MEMORY)

    @property
    def history_steps(self) -> int:
        return 1

    def recurring_step(self, step: int) -> int:
        return min(step, 1)

    def common_space(self, spec: EnvironmentSpec) -> Space:
        return product(spec.joint_action_space, spec.public_space)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        return np.concatenate((history[-1].joint_action_tm1, history[-1].public), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return window_space(self, observation_space, action_space, self.memory_steps + 1, 0)

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        if self.memory_steps == 0:
            return observation_next.copy()
        return moved_window(local, action, observation_next, step_in_episode, self.memory_steps + 1, 0)


@dataclass(frozen=True)
class NoSharing(InformationStructure):
    """Only what is public is common: z_t = public_t, L_t^k = (O^k_{t-m..t}, A^k_{t-m..t-1})."""

    name: ClassVar[str] = "no-sharing"
    memory_steps: int = 0
    """m, how many observations before the present one an agent keeps."""

    def __post_init__(self) -> None:
        require(0 <= self.memory_steps <= 100, "structure.memory_steps", self.memory_steps, _MEMORY)

    @property
    def history_steps(self) -> int:
        return 1

    def recurring_step(self, step: int) -> int:
        return min(step, 1)

    def common_space(self, spec: EnvironmentSpec) -> Space:
        return spec.public_space

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        return history[-1].public.copy()

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return window_space(self, observation_space, action_space, self.memory_steps + 1, self.memory_steps)

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        if self.memory_steps == 0:
            return observation_next.copy()
        return moved_window(local, action, observation_next, step_in_episode, self.memory_steps + 1, self.memory_steps)


@dataclass(frozen=True)
class MeanFieldSharing(InformationStructure):
    """Everyone sees how many agents observe what: z_t holds the numbers of those at 1, 2, ..; L_t^k = O^k_t.

    What is left over is 0. (Arabneydi and Mahajan 2014.)
    """

    name: ClassVar[str] = "mean-field-sharing"
    values: int = 2
    """How many values the only observation column of the environment has."""

    def __post_init__(self) -> None:
        require(2 <= self.values <= 1000, "structure.values", self.values, "Give 2 to 1000.")

    @property
    def history_steps(self) -> int:
        return 1

    def recurring_step(self, step: int) -> int:
        return min(step, 1)

    def common_space(self, spec: EnvironmentSpec) -> Space:
        counted = FiniteSpace((self.values,)), FiniteSpace((self.values,), ordered=True)
        for agent, own in enumerate(spec.agents, start=1):
            if own.observation_space not in counted:
                raise UsageError(
                    f"structure.values is {self.values}, but agent {agent} of {spec.name} has the observation "
                    f"{space_text(own.observation_space)}. A mean field counts the values of one finite column that all "
                    "agents have. Set structure.values to their number, or choose another structure."
                )
        return FiniteSpace((spec.num_agents + 1,) * (self.values - 1), ordered=True)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        seen = history[-1].observations
        return np.stack([(seen == value).sum(axis=1) for value in range(1, self.values)], axis=1).astype(np.int64)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return window_space(self, observation_space, action_space, 1, 0)

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        return observation_next.copy()
