"""Periodic sharing (Ooi, Verbout, Ludwig and Wornell 1997): everything is common every p steps, nothing in between.

The paper's formula has tau = p floor(t / p) and shares O_{0:t-tau}, which would be O_0 alone whenever t is a multiple of p:
a slip. Two readings make sense; with s the last multiple of p up to t:

    a    O_{0:s}, A_{0:s-1} are common: at a multiple of p the observation of that moment is shared too
    c    O_{0:s-1}, A_{0:s-1} are common: that observation stays private until the next one
"""

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
    with_zero,
)
from dadc_net.team.structures.window import window_space


@dataclass(frozen=True)
class PeriodicSharing(InformationStructure):
    """z_t is the phase t mod p, then p pairs of all agents' observations and actions, then what is public.

    The pairs are 0 but at multiples of p. Reading a: (O_{t-p+i}, A_{t-p+i-1}) for i = 1 .. p; reading c: (O_{t-p+i},
    A_{t-p+i}) for i = 0 .. p-1. L_t^k is the agent's own since then, each in a place of its own: with j = t mod p, the
    observations 1 .. j (a) or 0 .. j (c) of the period, then its actions 0 .. j-1. At a multiple of p the local values of
    the whole period before become known to all.
    """

    name: ClassVar[str] = "periodic-sharing"
    period_steps: int = 2
    """p, how many steps lie between two moments of sharing."""
    reading: str = "a"
    """What is shared at such a moment: a, also the observation that arrives with it; c, that one stays private."""

    def __post_init__(self) -> None:
        require(1 <= self.period_steps <= 100, "structure.period_steps", self.period_steps, "Give 1 to 100.")
        require(self.reading in ("a", "c"), "structure.reading", self.reading, 'Give "a" or "c".')

    @property
    def history_steps(self) -> int:
        return self.period_steps + self._keeps_first

    def recurring_step(self, step: int) -> int:
        # The first period has nothing before it.
        return step if step < 2 * self.period_steps else self.period_steps + step % self.period_steps

    def common_space(self, spec: EnvironmentSpec) -> Space:
        pairs = shared_spaces(spec) * self.period_steps
        return product(FiniteSpace((self.period_steps,)), *pairs, spec.public_space)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        phase = step_in_episode % self.period_steps
        pairs = []
        for lag in range(self.period_steps - 1, -1, -1):
            pairs.append(past_observations(history, lag + self._keeps_first, step_in_episode))
            pairs.append(past_actions(history, lag + 1, step_in_episode))
        block = np.where(phase[:, None] == 0, np.concatenate(pairs, axis=1), 0)
        return np.concatenate((phase[:, None], block, history[-1].public), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        return window_space(self, with_zero(observation_space), action_space, self._observations, self.period_steps - 1)

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        phase = (step_in_episode % self.period_steps)[:, None]
        columns = observation_next.shape[1]
        moved = np.where(phase == 0, 0, local)
        for place in range(self._observations):
            part = slice(place * columns, (place + 1) * columns)
            arrives = phase == place + 1 - self._keeps_first
            moved[:, part] = np.where(arrives, observation_next, moved[:, part])
        split = self._observations * columns
        for place in range(self.period_steps - 1):
            moved[:, split + place] = np.where(phase[:, 0] == place + 1, action, moved[:, split + place])
        return moved

    @property
    def revealed_steps(self) -> int:
        return 1

    def revealed(self, spec: EnvironmentSpec, commons: Sequence[Values], step_in_episode: Integers) -> Revealed:
        copies, period = len(step_in_episode), self.period_steps
        width = spec.joint_observation_space.columns + spec.num_agents
        pairs = commons[-1][:, 1 : 1 + period * width].reshape(copies, period, width)
        seen, done = pairs[:, :, : -spec.num_agents], pairs[:, :, -spec.num_agents :].astype(np.int64)
        local = []
        for agent, (own, place) in enumerate(zip(spec.agents, spec.observation_places, strict=True)):
            space = self.local_space(own.observation_space, own.action_space)
            now = np.zeros((copies, space.columns), dtype=space.dtype)
            by_phase = []
            for phase in range(period):
                arrived = seen[:, phase - 1 + self._keeps_first, place]
                # The first action of a period stands in the first pair in both readings.
                now = self.local(now, done[:, phase - 1, agent], arrived, np.full(copies, phase))
                by_phase.append(now)
            local.append(np.stack(by_phase, axis=1))
        known = (step_in_episode > 0) & (step_in_episode % period == 0)
        return Revealed(tuple(range(period, 0, -1)), tuple(local), np.repeat(known[:, None], period, axis=1))

    @property
    def _keeps_first(self) -> int:
        """1 where the observation of a sharing moment stays private until the next."""
        return int(self.reading == "c")

    @property
    def _observations(self) -> int:
        return self.period_steps - 1 + self._keeps_first
