"""A team problem as a PettingZoo ``ParallelEnv``: what an agent sees is what is common and what is its own.

One copy, moved by the same lock-step as a run (``team.lockstep``). Every agent earns the team's reward. Without a seed,
each reset goes on with the random numbers of the last one.
"""

from __future__ import annotations

import functools
import secrets
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from dadc_net.config import RunConfig
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.runtime.problem import make_problem
from dadc_net.team.environment import Ended
from dadc_net.team.lockstep import LockStep, TeamStep
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space

COMMON, PRIVATE = "common", "private"


def gymnasium_space(space: Space) -> Any:
    """The same space for Gymnasium; a product that holds a box is a box, whole numbers in it included."""
    if isinstance(space, FiniteSpace):
        return spaces.MultiDiscrete(np.array(space.sizes, dtype=np.int64))
    low: list[float] = []
    high: list[float] = []
    for part in space.parts:
        low += list(part.low) if isinstance(part, BoxSpace) else [0.0] * part.columns
        high += list(part.high) if isinstance(part, BoxSpace) else [size - 1.0 for size in part.sizes]
    return spaces.Box(np.array(low), np.array(high), dtype=np.float64)


class TeamParallelEnv(ParallelEnv):  # type: ignore[misc]
    """Agents ``agent_1`` .. ``agent_K`` of a configured task."""

    render_mode = None

    def __init__(self, config: RunConfig) -> None:
        """``config``: of one copy."""
        self.metadata: dict[str, Any] = {"render_modes": [], "name": config.task.name}
        self._config = config
        self._lockstep = self._fresh()
        spec = self._lockstep.spec
        self.possible_agents = [f"agent_{k}" for k in range(1, spec.num_agents + 1)]
        self.agents: list[str] = []
        self._stream = Stream("pettingzoo", seed_bytes(secrets.randbits(63)))
        self._step = 0

    def _fresh(self) -> LockStep:
        problem = make_problem(self._config)
        return LockStep(problem.environment, problem.structure, problem.restart_steps)

    @functools.cached_property
    def _spaces(self) -> dict[str, tuple[Any, Any]]:
        """Of each agent what it sees and what it does."""
        common, own = self._lockstep.common_space, self._lockstep.spec.agents
        return {
            agent: (
                spaces.Dict({COMMON: gymnasium_space(common), PRIVATE: gymnasium_space(spec.observation_space)}),
                spaces.Discrete(spec.action_space.num_values),
            )
            for agent, spec in zip(self.possible_agents, own, strict=True)
        }

    def observation_space(self, agent: str) -> Any:
        """What is common, and what is its own."""
        return self._spaces[agent][0]

    def action_space(self, agent: str) -> Any:
        """Its actions, from 0."""
        return self._spaces[agent][1]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode; ``options`` has no meaning here."""
        if seed is not None:
            self._stream, self._step = Stream("pettingzoo", seed_bytes(seed)), 0
        self._lockstep = self._fresh()
        self.agents = list(self.possible_agents)
        now = self._advance(np.zeros((1, len(self.agents)), dtype=np.int64))
        return self._seen(now), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """One step of all agents; all end together."""
        if not self.agents:
            return {}, {}, {}, {}, {}
        now = self._advance(np.array([[int(actions[agent]) for agent in self.agents]], dtype=np.int64))
        agents, reward, ended = self.agents, float(now.rewards[0]), Ended(int(now.ended[0]))
        if ended != Ended.NO:
            self.agents = []
        return (
            self._seen(now),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, ended == Ended.TERMINATED),
            dict.fromkeys(agents, ended == Ended.TRUNCATED),
            {agent: {} for agent in agents},
        )

    def render(self) -> None:
        """There is nothing to be seen."""

    def close(self) -> None:
        """There is nothing to be closed."""

    def _advance(self, joint_action: NDArray[np.int64]) -> TeamStep:
        draws = self._stream.uniforms(self._step, 1, self._lockstep.spec.draws_per_step)
        self._step += 1
        return self._lockstep.advance(self._step - 1, joint_action, draws)

    def _seen(self, now: TeamStep) -> dict[str, dict[str, NDArray[Any]]]:
        places = self._lockstep.spec.observation_places
        kinds = [agent.observation_space.dtype for agent in self._lockstep.spec.agents]
        own = zip(self.possible_agents, places, kinds, strict=True)
        return {
            agent: {COMMON: now.common[0].copy(), PRIVATE: now.observations[0, place].astype(kind)}
            for agent, place, kind in own
        }
