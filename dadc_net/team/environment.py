"""The environment contract: E independent copies of a team problem, stepped at once (paper, Section 2).

Time and randomness are inputs. An environment keeps its copies' states and nothing else: no clock, no generator. Copy e
must depend on row e of its inputs only, so that it behaves the same for any E.

Per lock-step, ``advance`` gets the joint action, the copies that begin afresh, and uniform numbers:

    copies with begin      draw a new initial state; their action is ignored, their reward is 0
    the others             move by one step; the reward is R_{t-1} = r(S_{t-1}, A_{t-1}, S_t)

``ended`` is what the problem itself says (TERMINATED or NO). Truncation after ``restart_steps`` belongs to the
episode clock, not to the environment, unless its specification says that it ``truncates``.

Agents may differ: each has an observation space and an action space of its own. An environment gives observations as one
array [E, K, O] where all agents have equally many columns, or as K arrays [E, O_k].

Axis letters: E copies, K agents, O_k observation columns of agent k, O their sum, P public columns, D draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.spaces import FiniteSpace, Space, product


class Ended(IntEnum):
    """Whether an episode ended at a record."""

    NO = 0
    TRUNCATED = 1
    """Cut off by the clock: the future has value, learners bootstrap."""
    TERMINATED = 2
    """Over by the problem's own rules: the future has no value."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What can be said of an environment before it runs."""

    name: str
    agents: tuple[AgentSpec, ...]
    """Of agents 1 .. K."""
    public_space: Space
    """Of what every agent observes besides."""
    draws_per_step: int
    """Uniform numbers per copy and lock-step."""
    horizon: int = 0
    """Decisions after which every episode is over; 0: there is no such number."""
    truncates: bool = False
    """Whether it may cut a copy off by itself, as somebody else's environment with a limit of steps does."""
    replayable: bool = True
    """Whether it can be wound back: equal inputs give equal outcomes, and ``restore`` takes it to a state that it was in.
    False: a plant, a robot, a foreign simulator. It needs neither ``state`` nor ``restore``, and is not moved before its run
    begins, whatever the number of instances that are made; where the server of a run is killed, every copy begins a new
    episode afterwards, and the one before counts as truncated."""

    @property
    def num_agents(self) -> int:
        """K."""
        return len(self.agents)

    @property
    def is_homogeneous(self) -> bool:
        """Whether all agents see and do the same things."""
        return len(set(self.agents)) == 1

    @cached_property
    def joint_observation_space(self) -> Space:
        """Of all agents' observations side by side."""
        return product(*(agent.observation_space for agent in self.agents))

    @cached_property
    def joint_action_space(self) -> FiniteSpace:
        """Of all agents' actions side by side: one factor each."""
        return FiniteSpace(tuple(agent.action_space.num_values for agent in self.agents))

    @cached_property
    def observation_places(self) -> tuple[slice, ...]:
        """The columns of agent 1 .. K in the joint observation."""
        ends = list(itertools.accumulate(agent.observation_space.columns for agent in self.agents))
        return tuple(slice(end - agent.observation_space.columns, end) for agent, end in zip(self.agents, ends, strict=True))


class Outcome(NamedTuple):
    """What one lock-step brings.

    Whole numbers and booleans of any width, and floating numbers, are taken as they are where the space's own type (int64,
    float64) holds them exactly.
    """

    observations: NDArray[Any] | Sequence[NDArray[Any]]
    """[E, K, O], or K arrays [E, O_k]"""
    public: NDArray[Any]
    """[E, P]"""
    rewards: NDArray[np.float64]
    """[E] R_{t-1}; 0 where a copy begins"""
    ended: NDArray[np.uint8]
    """[E] values of ``Ended``"""


class Environment(Protocol):
    """E copies of a team problem."""

    @property
    def spec(self) -> EnvironmentSpec:
        """What can be said before it runs."""
        ...

    @property
    def num_envs(self) -> int:
        """E."""
        ...

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """One lock-step: joint_action [E, K], begin [E], draws [E, D] in [0, 1)."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the states of all copies, by name; not called where it cannot be wound back, nor is ``restore``."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the states of all copies from ``state``."""
        ...
