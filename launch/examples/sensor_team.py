"""A task of one's own in one file: two sensors that differ schedule their measurements, and share with a delay.

A machine is healthy or worn. The cheap sensor can rest or measure; the precise one can rest, measure, or repair the machine.
Measuring uses the one battery-fed radio: if both measure, neither gets through. Everybody learns what the others saw and
did one step later (delayed sharing).

    dadc conform launch/examples/sensor_team.py:make_task
    dadc run launch/examples/sensor_team.py:make_task --updates 50
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.delayed import DelayedSharing
from dadc_net.team.tasks import Task

REST, MEASURE, REPAIR = 0, 1, 2
NOTHING, HEALTHY, WORN = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Keys of the section env."""

    wear_probability: float = 0.1
    cheap_accuracy: float = 0.75
    precise_accuracy: float = 0.95
    repair_cost: float = 2.0
    restart_steps: int = 50


class Sensors:
    """E machines, each with two sensors."""

    def __init__(self, parameters: Parameters, num_envs: int) -> None:
        self.parameters, self.num_envs = parameters, num_envs
        self.worn = np.zeros(num_envs, dtype=bool)
        reading = FiniteSpace((3,))
        self.spec = EnvironmentSpec(
            name="sensor-team",
            agents=(AgentSpec(reading, FiniteSpace((2,))), AgentSpec(reading, FiniteSpace((3,)))),
            public_space=FiniteSpace((1,)),
            draws_per_step=3,
        )

    def advance(self, joint_action: np.ndarray, begin: np.ndarray, draws: np.ndarray) -> Outcome:
        """One lock-step: joint_action [E, 2], begin [E], draws [E, 3]; all randomness is in the draws."""
        given = self.parameters
        cheap, precise = joint_action.T
        repaired = precise == REPAIR
        rewards = np.where(self.worn, -1.0, 1.0) - given.repair_cost * repaired - 0.05 * (cheap == MEASURE)
        self.worn = np.where(begin, False, ~repaired & (self.worn | (draws[:, 0] < given.wear_probability)))
        heard = (cheap == MEASURE) != (precise == MEASURE)
        seen = []
        for action, accuracy, draw in ((cheap, given.cheap_accuracy, 1), (precise, given.precise_accuracy, 2)):
            right = draws[:, draw] < accuracy
            reading = np.where(self.worn == right, WORN, HEALTHY)
            seen.append(np.where(~begin & heard & (action == MEASURE), reading, NOTHING)[:, None])
        nothing = np.zeros((self.num_envs, 1), dtype=np.int64)
        ended = np.full(self.num_envs, Ended.NO, dtype=np.uint8)
        return Outcome(seen, nothing, np.where(begin, 0.0, rewards), ended)

    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on, copied."""
        return {"worn": self.worn.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take it back."""
        self.worn = state["worn"].copy()


def make_task() -> Task:
    """What ``dadc run launch/examples/sensor_team.py:make_task`` runs."""
    return Task(
        name="sensor-team",
        parameters_type=Parameters,
        make=Sensors,
        structure=DelayedSharing(delay_steps=1),
        menus={},
        default_menu="",
        default_discount=0.9,
        default_prescriptions="gibbs",
        default_algorithm="ppo",
    )
