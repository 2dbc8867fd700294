"""Three transmitters that share one channel: the smallest team in which a majority can name a minority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import ControlSharing
from dadc_net.team.tasks import Task

AGENTS = 3
_WAIT, _SEND = (0, 0), (0, 1)
MENU = PrescriptionMenu(
    "turns",
    tuple(f"agent {agent} may transmit" for agent in range(1, AGENTS + 1)),
    tuple(tuple(_SEND if agent == turn else _WAIT for agent in range(AGENTS)) for turn in range(AGENTS)),
)


@dataclass(frozen=True)
class Parameters:
    """Arrivals at each radio."""

    arrival_probability: float = 0.5
    restart_steps: int = 9


class ThreeRadios:
    """E copies; a radio with a packet may send it, and exactly one that sends earns 1. Satisfies ``Environment``."""

    def __init__(self, parameters: Parameters, num_envs: int) -> None:
        self._arrival = parameters.arrival_probability
        self._num_envs = num_envs
        self._packets = np.zeros((num_envs, AGENTS), dtype=np.int64)
        bit = FiniteSpace((2,))
        agents = equal_agents(AGENTS, bit, bit)
        self._spec = EnvironmentSpec(name="three-radios", agents=agents, public_space=bit, draws_per_step=AGENTS)

    @property
    def spec(self) -> EnvironmentSpec:
        return self._spec

    @property
    def num_envs(self) -> int:
        return self._num_envs

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        sent = np.minimum(joint_action, self._packets)
        success = sent.sum(axis=1) == 1
        packets = np.minimum(self._packets - sent * success[:, None] + (draws < self._arrival), 1)
        self._packets = np.where(begin[:, None], 0, packets)
        public = np.where(begin, 0, success.astype(np.int64))[:, None]
        ended = np.full(self._num_envs, Ended.NO, dtype=np.uint8)
        return Outcome(self._packets[:, :, None].copy(), public, np.where(begin, 0.0, success * 1.0), ended)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"packets": self._packets.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._packets = state["packets"].copy()


def make_task() -> Task:
    """What ``tests.simulation.three_radios:make_task`` names."""
    return Task(
        name="three-radios",
        parameters_type=Parameters,
        make=ThreeRadios,
        structure=ControlSharing(),
        menus={"turns": MENU},
        default_menu="turns",
        default_discount=0.9,
        families={},
    )
