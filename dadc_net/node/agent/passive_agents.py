"""Passive agents of the coordinated system (paper, Section 3): local information in, one action per copy out.

They hold what no other process sees: private observations, the local information made from them, and a random stream of
their own. They are given the prescription parameters that the coordinator chose and apply their own part. Nothing that
they hold flows back to the coordinator. A process is one agent; a simulation has all K in one object, whose rows are
independent and have the bits of K objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream
from dadc_net.node.record import unpack_observation
from dadc_net.team.information import InformationStructure
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace


def private_stream(agent: int, seed: bytes) -> Stream:
    """What agent ``agent`` (1..K) draws its own actions with, by default from the shared seed."""
    return Stream(f"agent/{agent}", seed)


class PassiveAgents:
    """Some agents, by default one, of one run with E copies; axis letters: m agents, L columns of local information."""

    def __init__(
        self,
        streams: dict[int, Stream],
        copies: int,
        structure: InformationStructure,
        family: PrescriptionFamily,
        observation_space: FiniteSpace,
    ) -> None:
        """``streams``: agent (1..K) -> the stream that it draws with."""
        self._agents = np.array(list(streams), dtype=np.int64)
        self._streams = list(streams.values())
        self._copies = copies
        self._structure = structure
        self._family = family
        self._observation_space = observation_space
        self._local_space = structure.local_space(observation_space)
        rows = len(streams) * copies
        self._local = np.zeros((rows, len(self._local_space.sizes)), dtype=np.int64)
        self._action = np.zeros(rows, dtype=np.int64)

    def observe(self, step: int, private: Sequence[bytes], begin: NDArray[np.bool_]) -> None:
        """L_t from L_{t-1}, A_{t-1} and O_t: (L1), no common information; ``private`` holds each agent's bytes."""
        count = len(private)
        observation = unpack_observation(b"".join(private), step, count * self._copies, self._observation_space)
        self._local = self._structure.local(self._local, self._action, observation, np.tile(begin, count))

    def act(self, step: int, theta: NDArray[Any]) -> NDArray[np.int64]:
        """A_t^k ~ h^k(L_t^k): prescription parameters [E] or [E, D] -> actions int64 [E, m]."""
        local = self._local_space.index(self._local).reshape(len(self._streams), self._copies).T
        words = None
        if self._family.is_random:
            words = np.concatenate([stream.words(step, self._copies, 1) for stream in self._streams], axis=1)
        actions = self._family.draw(theta, self._agents, local, words)
        self._action = actions.T.reshape(-1)
        return actions

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of L_t and A_t; ``restore`` of it gives equal passive agents."""
        return {"private/local": self._local.copy(), "private/action": self._action.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take L_t and A_t from ``snapshot``."""
        self._local = snapshot["private/local"].copy()
        self._action = snapshot["private/action"].copy()
