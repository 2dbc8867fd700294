"""A user's task in one file: three agents that differ, one of which measures a real number, and a structure that quantises.

A room drifts. The first agent has a thermometer (a real number) and a heater; the second has a dial of five levels and a
window; the third sees nothing and has a fan of three speeds. The team is paid for a temperature near zero, less what the
fan costs. Local information is what each keeps of its own reading: a few values, so that a menu is a table over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product
from dadc_net.team.structures.structure import InformationStructure, Integers, JointStep, Values
from dadc_net.team.tasks import Task

THERMOMETER, DIAL, BLIND = BoxSpace((-2.0,), (2.0,)), FiniteSpace((5,), ordered=True), FiniteSpace((1,))
LEVELS = 5


@dataclass(frozen=True)
class Parameters:
    """How the room drifts."""

    drift: float = 0.5
    fan_cost: float = 0.1
    narrow: bool = False
    """Whether the environment gives float32, int32 and booleans, as many do."""
    nan_at: int = 0
    """The lock-step at which the thermometer breaks; 0: never."""
    restart_steps: int = 8


class Room:
    """E rooms. Satisfies ``Environment``."""

    def __init__(self, parameters: Parameters, num_envs: int) -> None:
        self._parameters = parameters
        self._num_envs = num_envs
        self._temperature = np.zeros(num_envs)
        self._steps = 0
        self._spec = EnvironmentSpec(
            name="room",
            agents=(
                AgentSpec(THERMOMETER, FiniteSpace((2,))),
                AgentSpec(DIAL, FiniteSpace((2,))),
                AgentSpec(BLIND, FiniteSpace((3,))),
            ),
            public_space=FiniteSpace((2,)),
            draws_per_step=1,
        )

    @property
    def spec(self) -> EnvironmentSpec:
        """Three agents that differ."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """E."""
        return self._num_envs

    def advance(self, joint_action: Integers, begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """Heat, cool, drift."""
        heater, window, fan = joint_action.T
        drift = self._parameters.drift * (2.0 * draws[:, 0] - 1.0)
        moved = np.clip(self._temperature + 0.5 * heater - 0.5 * window - 0.25 * fan + drift, -2.0, 2.0)
        rewards = np.where(begin, 0.0, 1.0 - np.abs(moved) - self._parameters.fan_cost * fan)
        self._temperature = np.where(begin, 2.0 * draws[:, 0] - 1.0, moved)
        self._steps += 1
        reading = self._temperature[:, None].copy()
        if self._steps - 1 == self._parameters.nan_at > 0:
            reading[0, 0] = np.nan
        level = np.clip(np.floor((self._temperature + 2.0) * 1.25), 0, 4).astype(np.int64)[:, None]
        nothing = np.zeros((self._num_envs, 1), dtype=np.int64)
        warm = (self._temperature > 0.0)[:, None]
        ended = np.full(self._num_envs, Ended.NO, dtype=np.uint8)
        if self._parameters.narrow:
            seen = [reading.astype(np.float32), level.astype(np.int32), nothing.astype(np.bool_)]
            return Outcome(seen, warm, rewards.astype(np.float32), ended.astype(np.int32))
        return Outcome([reading, level, nothing], warm.astype(np.int64), rewards, ended)

    def state(self) -> dict[str, NDArray[Any]]:
        """Temperatures [E], and how many lock-steps were made."""
        return {"temperature": self._temperature.copy(), "steps": np.array(self._steps)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take both from ``state``."""
        self._temperature, self._steps = state["temperature"].copy(), int(state["steps"])


@dataclass(frozen=True)
class Quantised(InformationStructure):
    """Everyone sees all actions and what is public; an agent keeps its reading in a few steps."""

    name: ClassVar[str] = "quantised"
    history_steps: ClassVar[int] = 1
    levels: int = LEVELS
    """Steps of a real number."""

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 64:
            raise ConfigError(f"structure.levels is {self.levels}. Give 2 to 64.")

    def common_space(self, spec: EnvironmentSpec) -> Space:
        """Actions of all, what is public."""
        return product(spec.joint_action_space, spec.public_space)

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        """(A_{t-1}, public_t)."""
        return np.concatenate((history[-1].joint_action_tm1, history[-1].public), axis=1)

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> Space:
        """So many steps of a real number; finite values as they are."""
        return FiniteSpace((self.levels,)) if isinstance(observation_space, BoxSpace) else observation_space

    def local(self, local: Values, action: Integers, observation_next: Values, step_in_episode: Integers) -> Values:
        """The present reading."""
        if observation_next.dtype != np.float64:
            return observation_next
        return np.clip(np.floor((observation_next + 2.0) * (self.levels / 4.0)), 0, self.levels - 1).astype(np.int64)


def _rule(heat_below: int, open_above: int, fan: int) -> tuple[tuple[int, ...], ...]:
    """Heater and window by level, and the fan's speed; whoever sees nothing has one local value and repeats it."""
    heater = tuple(int(level < heat_below) for level in range(LEVELS))
    window = tuple(int(level > open_above) for level in range(LEVELS))
    return heater, window, (fan,) * LEVELS


MENU = PrescriptionMenu(
    "regimes", ("idle", "heat", "cool", "both"), (_rule(0, 4, 0), _rule(2, 4, 0), _rule(0, 2, 1), _rule(2, 2, 2))
)


def make_task() -> Task:
    """What ``tests.measuring_team:make_task`` names."""
    return Task(
        name="room",
        parameters_type=Parameters,
        make=Room,
        structure=Quantised(),
        menus={"regimes": MENU},
        default_menu="regimes",
        default_discount=0.9,
    )
