"""Small PettingZoo environments with what real ones have and MPE does not: spaces of every kind, agents that end early."""

from __future__ import annotations

import functools
import random
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Mixed(ParallelEnv):  # type: ignore[misc]
    """``early`` ends after two steps, ``late`` is cut off after ``limit``."""

    metadata: ClassVar[dict[str, Any]] = {"name": "mixed", "render_modes": []}
    possible_agents: ClassVar[list[str]] = ["early", "late"]

    def __init__(self, limit: int = 4) -> None:
        self.limit = limit
        self.agents: list[str] = []

    @functools.cache  # noqa: B019
    def observation_space(self, agent: str) -> Any:
        """A Dict of two kinds, and a MultiDiscrete."""
        if agent == "late":
            return spaces.MultiDiscrete([3, 8])
        return spaces.Dict({"turn": spaces.Discrete(8, start=-1), "wind": spaces.Box(-np.inf, 1.0, (2,), np.float32)})

    @functools.cache  # noqa: B019
    def action_space(self, agent: str) -> Any:
        """A MultiDiscrete, and a Box."""
        return spaces.MultiDiscrete([2, 2]) if agent == "early" else spaces.Box(0.0, 1.0, (1,), np.float32)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """All agents are there."""
        self._random = np.random.default_rng(seed)
        self._steps, self.agents = 0, list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def _seen(self) -> dict[str, Any]:
        wind = self._random.uniform(-20.0, 1.0, 2).astype(np.float32)
        both = {
            "early": {"turn": self._steps - 1, "wind": wind},
            "late": np.array([self._steps % 3, int(self._random.integers(8))]),
        }
        return {agent: both[agent] for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        """One step."""
        acting = self.agents
        assert set(actions) == set(acting)
        assert all(self.action_space(agent).contains(actions[agent]) for agent in acting)
        self._steps += 1
        seen = self._seen()
        gone = {agent: agent == "early" and self._steps == 2 for agent in acting}
        cut = {agent: agent == "late" and self._steps == self.limit for agent in acting}
        self.agents = [agent for agent in acting if not (gone[agent] or cut[agent])]
        rewards = {agent: 1.0 if agent == "early" else 2.0 for agent in acting}
        return seen, rewards, gone, cut, {agent: {} for agent in acting}


class Unseeded(Mixed):
    """Its numbers do not come from the seed."""

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Another seed each time."""
        return super().reset(random.SystemRandom().randrange(2**31), options)


class Wordy(Mixed):
    """Observes text."""

    def observation_space(self, agent: str) -> Any:
        """Of no kind that can be learned from."""
        return spaces.Text(5)


class Broken(Mixed):
    """Fails."""

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Raise."""
        raise ValueError("out of order")


class Lonely(Mixed):
    """Nobody is there."""

    possible_agents: ClassVar[list[str]] = []


class Old(Mixed):
    """As PettingZoo once was: no infos at reset."""

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        """Observations alone."""
        return super().reset(seed)[0]


class Four(Mixed):
    """As it once was: no truncations."""

    def step(self, actions: dict[str, Any]) -> Any:
        """Four things."""
        return super().step(actions)[:4]


class Silent(Mixed):
    """Tells one of its agents nothing."""

    def _seen(self) -> dict[str, Any]:
        return {agent: seen for agent, seen in super()._seen().items() if agent != "late"}


class Short(Mixed):
    """Leaves out a number."""

    def _seen(self) -> dict[str, Any]:
        seen = super()._seen()
        return {**seen, "late": seen["late"][:1]} if "late" in seen else seen


class Wordily(Mixed):
    """Pays in words."""

    def step(self, actions: dict[str, Any]) -> Any:
        """What is earned is no number."""
        seen, rewards, *rest = super().step(actions)
        return seen, dict.fromkeys(rewards, "much"), *rest
