"""Local information of agents that see and do the same things, and what a prescription makes of it.

The one place where L_t^k is kept and h^k is applied: an agent's process has one agent in it, a simulation and a
Monte-Carlo evaluation have all that are alike. Rows are independent, so together they have the bits of one by one.

Axis letters: m agents, E copies, L columns of local information, O of one agent's observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.structures.structure import InformationStructure


def group_alike(agents: Sequence[int], specs: Sequence[AgentSpec]) -> dict[AgentSpec, list[int]]:
    """What agents see and do -> those of ``agents`` (1..K) that do; ``specs`` are theirs, in the same order."""
    alike: dict[AgentSpec, list[int]] = {}
    for agent, spec in zip(agents, specs, strict=True):
        alike.setdefault(spec, []).append(agent)
    return alike


class LocalMemory:
    """L_t and A_t of agents that are alike; their copies stand under one another, agent by agent: rows [m E]."""

    def __init__(
        self,
        agents: Sequence[int],
        spec: AgentSpec,
        copies: int,
        structure: InformationStructure,
        family: PrescriptionFamily,
    ) -> None:
        """Raises UsageError if the prescriptions cannot be given such local information."""
        self.agents = np.array(agents, dtype=np.int64)
        self._copies = copies
        self._structure = structure
        self._family = family
        self._space = structure.local_space(spec.observation_space, spec.action_space)
        family.require_local(self._space, structure.name)
        rows = len(agents) * copies
        self._local: NDArray[Any] = np.zeros((rows, self._space.columns), dtype=self._space.dtype)
        self._action = np.zeros(rows, dtype=np.int64)

    def observe(self, observation: NDArray[Any], step_in_episode: NDArray[np.int64]) -> None:
        """L_t from L_{t-1}, A_{t-1} and O_t [m E, O] at step t [E]: (L1), no common information."""
        agents = len(self.agents)
        steps = step_in_episode if agents == 1 else np.repeat(step_in_episode[None], agents, axis=0).reshape(-1)
        self._local = self._structure.local(self._local, self._action, observation, steps)

    def act(self, theta: Theta, words: NDArray[np.uint64] | None) -> NDArray[np.int64]:
        """A_t^k ~ h^k(L_t^k): prescription parameters [E] or [E, D], random words [E, m] -> actions int64 [E, m]."""
        asked = self._family.look_up(self._space, self._local)
        agents = len(self.agents)
        together = asked.reshape(agents, self._copies, *asked.shape[1:]).swapaxes(0, 1) if agents > 1 else asked[:, None]
        actions = self._family.draw(theta, self.agents, together, words)
        self._action = actions.T.reshape(-1)
        return actions

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of L_t and A_t by name."""
        return {"local": self._local.copy(), "action": self._action.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take L_t and A_t from ``snapshot``."""
        self._local, self._action = snapshot["local"].copy(), snapshot["action"].copy()
