"""The environment contract: E independent copies of a team problem, stepped at once (paper, Section 2).

Time and randomness are inputs. An environment keeps its copies' states and nothing else: no clock, no generator. Copy e
must depend on row e of its inputs only, so that it behaves the same for any E.

Per lock-step, ``advance`` gets the joint action, the copies that begin afresh, and uniform numbers:

    copies with begin      draw a new initial state; their action is ignored, their reward is 0
    the others             move by one step; the reward is R_{t-1} = r(S_{t-1}, A_{t-1}, S_t)

``ended`` is what the problem itself says (TERMINATED or NO). Truncation after ``restart_steps`` belongs to the
episode clock, not to the environment.

Axis letters: E copies, K agents, O observation columns, P public columns, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.spaces import FiniteSpace, Space


class Ended(IntEnum):
    """Whether an episode ended at a record."""

    NO = 0
    TRUNCATED = 1
    """Cut off by the clock: the future has value, learners bootstrap."""
    TERMINATED = 2
    """Over by the problem's own rules: the future has no value."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What can be said of an environment before it runs."""

    name: str
    num_agents: int
    observation_space: Space
    """Of one agent's private observation O^k."""
    action_space: FiniteSpace
    """Of one agent's action; one factor."""
    public_space: Space
    """Of what every agent observes besides."""
    draws_per_step: int
    """Uniform numbers per copy and lock-step."""
    horizon: int = 0
    """Decisions after which every episode is over; 0: there is no such number."""


class Outcome(NamedTuple):
    """What one lock-step brings."""

    observations: NDArray[np.int64]
    """[E, K, O]"""
    public: NDArray[np.int64]
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
        """A copy of the states of all copies, by name."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the states of all copies from ``state``."""
        ...
