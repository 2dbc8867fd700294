"""Delayed sharing, and full sharing, which is sharing without delay (Nayyar, Mahajan and Teneketzis 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dadc_net.schema import require
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.spaces import FiniteSpace, Space, product
from dadc_net.team.structures.structure import (
    InformationStructure,
    Integers,
    JointStep,
    Revealed,
    Values,
    past_actions,
    past_observations,
    shared_spaces,
)
from dadc_net.team.structures.window import moved_window, window_space


@dataclass(frozen=True)
class DelayedSharing(InformationStructure):
    """Everything is common d steps later.

    z_t = (O_{t-d}, A_{t-d}, public_t), L_t^k = (O^k_{t-d+1..t}, A^k_{t-d+1..t-1}). The local values of step t - d are known
    to all at step t.
    """

    name: ClassVar[str] = "delayed-sharing"
    delay_steps: int = 1
    """d, how many steps later what an agent saw and did is common."""

    def __post_init__(self) -> None:
        require(1 <= self.delay_steps <= 100, "structure.delay_steps", self.delay_steps, "Give 1 to 100 (0: full-sharing).")

    @property
    def history_steps(self) -> int:
        return self.delay_steps + 1

    def recurring_step(self, step: int) -> int:
        return min(step, self.delay_steps)

    def common_space(self, spec: EnvironmentSpec) -> Space:
        observations, actions = shared_spaces(spec)
        return product(observations, actions, spec.public_space)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        seen = past_observations(history, self.delay_steps, step_in_episode)
        done = past_actions(history, self.delay_steps, step_in_episode)
        return np.concatenate((seen, done, history[-1].public), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return window_space(self, observation_space, action_space, self.delay_steps, self.delay_steps - 1)

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        return moved_window(local, action, observation_next, step_in_episode, self.delay_steps, self.delay_steps - 1)

    @property
    def revealed_steps(self) -> int:
        return self.delay_steps

    def revealed(self, spec: EnvironmentSpec, commons: Sequence[Values], step_in_episode: Integers) -> Revealed:
        delay = self.delay_steps
        windows = [*[np.zeros_like(commons[-1])] * (delay - len(commons)), *commons[-delay:]]
        actions = spec.joint_observation_space.columns
        local = []
        for agent, place in enumerate(spec.observation_places):
            seen = [z[:, place] for z in windows]
            done = [z[:, actions + agent : actions + agent + 1] for z in windows[:-1]]
            local.append(np.concatenate((*seen, *done), axis=1)[:, None])
        return Revealed((delay,), tuple(local), (step_in_episode >= delay)[:, None])


@dataclass(frozen=True)
class FullSharing(InformationStructure):
    """Everything is common at once: z_t = (O_t, A_{t-1}, public_t), and nothing is local. One agent could decide for all."""

    name: ClassVar[str] = "full-sharing"

    @property
    def history_steps(self) -> int:
        return 1

    def recurring_step(self, step: int) -> int:
        return min(step, 1)

    def common_space(self, spec: EnvironmentSpec) -> Space:
        observations, actions = shared_spaces(spec)
        return product(observations, actions, spec.public_space)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        seen = past_observations(history, 0, step_in_episode)
        return np.concatenate((seen, past_actions(history, 1, step_in_episode), history[-1].public), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return FiniteSpace((1,))

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        return np.zeros((len(observation_next), 1), dtype=np.int64)

    @property
    def revealed_steps(self) -> int:
        return 1

    def revealed(self, spec: EnvironmentSpec, commons: Sequence[Values], step_in_episode: Integers) -> Revealed:
        copies = len(step_in_episode)
        only = (np.zeros((copies, 1, 1), dtype=np.int64),) * spec.num_agents
        return Revealed((0,), only, np.ones((copies, 1), dtype=np.bool_))
