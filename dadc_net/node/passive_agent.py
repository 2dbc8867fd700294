"""The passive agent k of the coordinated system (paper, Section 3): local information in, one action per copy out.

It holds what no other process sees: its private observations and the local information made from them. It is given the
prescription that the coordinator chose and applies its own part. Nothing it holds flows back to the coordinator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.node.record import pack_actions, unpack_observation
from dadc_net.team.information import InformationStructure
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.spaces import FiniteSpace


class PassiveAgent:
    """Agent ``agent`` (1..K) of one run with E copies."""

    def __init__(
        self,
        agent: int,
        copies: int,
        structure: InformationStructure,
        menu: PrescriptionMenu,
        observation_space: FiniteSpace,
    ) -> None:
        self.agent = agent
        self._copies = copies
        self._structure = structure
        self._menu = menu
        self._observation_space = observation_space
        self._local_space = structure.local_space(observation_space)
        self._local = np.zeros((copies, len(self._local_space.sizes)), dtype=np.int64)
        self._action = np.zeros(copies, dtype=np.int64)

    def observe(self, step: int, private: bytes, begin: NDArray[np.bool_]) -> None:
        """L_t from L_{t-1}, A_{t-1} and O_t: (L1), no common information."""
        observation = unpack_observation(private, step, self._copies, self._observation_space)
        self._local = self._structure.local(self._local, self._action, observation, begin)

    def act(self, prescriptions: NDArray[np.int64]) -> bytes:
        """A_t = h_t^k(L_t): prescriptions [E] -> action bytes."""
        self._action = self._menu.action(prescriptions, self.agent, self._local_space.index(self._local))
        return pack_actions(self._action)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of L_t and A_t; ``restore`` of it gives an equal passive agent."""
        return {"private/local": self._local.copy(), "private/action": self._action.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take L_t and A_t from ``snapshot``."""
        self._local = snapshot["private/local"].copy()
        self._action = snapshot["private/action"].copy()
