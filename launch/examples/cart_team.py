"""A task of one's own in one file, with observations that are real numbers: two agents push one cart to the middle.

One agent measures where the cart is, the other how fast it moves; each pushes left, not at all, or right. Everybody sees
what was done (control sharing), nobody what the other measures. Prescriptions are linear maps of a measurement.

    dadc conform launch/examples/cart_team.py:make_task
    dadc run launch/examples/cart_team.py:make_task --updates 50
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import Task

METER = BoxSpace((-2.0,), (2.0,))


@dataclass(frozen=True)
class Parameters:
    """Keys of the section env."""

    push: float = 0.1
    gust: float = 0.1
    restart_steps: int = 40


class Cart:
    """E carts."""

    def __init__(self, parameters: Parameters, num_envs: int) -> None:
        self.parameters, self.num_envs = parameters, num_envs
        self.place, self.speed = np.zeros(num_envs), np.zeros(num_envs)
        agent = AgentSpec(METER, FiniteSpace((3,)))
        nothing = FiniteSpace((1,))
        self.spec = EnvironmentSpec(name="cart-team", agents=(agent, agent), public_space=nothing, draws_per_step=1)

    def advance(self, joint_action: np.ndarray, begin: np.ndarray, draws: np.ndarray) -> Outcome:
        """One lock-step: joint_action [E, 2], begin [E], draws [E, 1]; all randomness is in the draws."""
        noise = 2.0 * draws[:, 0] - 1.0
        pushed = (joint_action[:, 0] - 1.0) + (joint_action[:, 1] - 1.0)
        speed = np.clip(0.9 * self.speed + self.parameters.push * pushed + self.parameters.gust * noise, -2.0, 2.0)
        place = np.clip(self.place + speed, -2.0, 2.0)
        self.speed = np.where(begin, 0.0, speed)
        self.place = np.where(begin, noise, place)
        nothing = np.zeros((self.num_envs, 1), dtype=np.int64)
        ended = np.full(self.num_envs, Ended.NO, dtype=np.uint8)
        seen = np.stack((self.place, self.speed), axis=1)[:, :, None]
        return Outcome(seen, nothing, np.where(begin, 0.0, -np.abs(place)), ended)

    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on, copied."""
        return {"place": self.place.copy(), "speed": self.speed.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take it back."""
        self.place, self.speed = state["place"].copy(), state["speed"].copy()


def make_task() -> Task:
    """What ``dadc run launch/examples/cart_team.py:make_task`` runs."""
    return Task(
        name="cart-team",
        parameters_type=Parameters,
        make=Cart,
        structure=ControlSharing(),
        menus={},
        default_menu="",
        default_discount=0.9,
        default_prescriptions="linear",
        default_algorithm="ppo",
    )
