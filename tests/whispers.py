"""A task in which everything that matters is private: observations of fifteen bits, actions that nobody else is told.

Common is one random bit; it is the reward as well, so that nothing that is common depends on what is private.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.structures.structure import InformationStructure, JointStep, Values
from dadc_net.team.tasks import Task

AGENTS, ACTIONS, VALUES = 2, 3, 30_000
MENU = PrescriptionMenu(
    "shifts",
    tuple(f"add {shift}" for shift in range(ACTIONS)),
    tuple((tuple((value + shift) % ACTIONS for value in range(ACTIONS)),) * AGENTS for shift in range(ACTIONS)),
)


class Whispered(InformationStructure):
    """The public bit is common; local is the present observation, coarsened."""

    name = "whispered"

    @property
    def history_steps(self) -> int:
        return 1

    def common_space(self, spec: EnvironmentSpec) -> FiniteSpace:
        return FiniteSpace((2,))

    def common(self, history: Sequence[JointStep], step_in_episode: NDArray[np.int64]) -> Values:
        return history[-1].public

    def local_space(self, observation_space: Space, action_space: FiniteSpace) -> FiniteSpace:
        return FiniteSpace((ACTIONS,))

    def local(
        self, local: Values, action: NDArray[np.int64], observation_next: Values, step_in_episode: NDArray[np.int64]
    ) -> Values:
        return observation_next % ACTIONS


@dataclass(frozen=True)
class Parameters:
    """Nothing but the clock."""

    restart_steps: int = 0


class Whispers:
    """E copies. Satisfies ``Environment``."""

    def __init__(self, parameters: Parameters, num_envs: int) -> None:
        self._num_envs = num_envs
        self._spec = EnvironmentSpec(
            name="whispers",
            agents=equal_agents(AGENTS, FiniteSpace((VALUES,)), FiniteSpace((ACTIONS,))),
            public_space=FiniteSpace((2,)),
            draws_per_step=AGENTS + 1,
        )

    @property
    def spec(self) -> EnvironmentSpec:
        return self._spec

    @property
    def num_envs(self) -> int:
        return self._num_envs

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        observations = (draws[:, :AGENTS] * VALUES).astype(np.int64)[:, :, None]
        public = (draws[:, AGENTS:] < 0.5).astype(np.int64)
        ended = np.full(self._num_envs, Ended.NO, dtype=np.uint8)
        return Outcome(observations, public, np.where(begin, 0.0, public[:, 0] * 1.0), ended)

    def state(self) -> dict[str, NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        assert not state


def make_task() -> Task:
    """What ``tests.whispers:make_task`` names."""
    return Task(
        name="whispers",
        parameters_type=Parameters,
        make=Whispers,
        structure=Whispered(),
        menus={"shifts": MENU},
        default_menu="shifts",
        default_discount=0.9,
        families={},
    )
