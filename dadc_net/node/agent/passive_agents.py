"""Passive agents of the coordinated system (paper, Section 3): local information in, one action per copy out.

They hold what no other process sees: private observations, the local information made from them, and a random stream of
their own. They are given the prescription parameters that the coordinator chose and apply their own part. Nothing that
they hold flows back to the coordinator. A process is one agent; a simulation has all K in one object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import JointStream, Stream
from dadc_net.node.record import ObservationLayout
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.local_memory import LocalMemory, group_alike
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.structure import InformationStructure


def private_stream(agent: int, seed: bytes) -> Stream:
    """What agent ``agent`` (1..K) draws its own actions with, by default from the shared seed."""
    return Stream(f"agent/{agent}", seed)


class PassiveAgents:
    """Some agents, by default one, of one run with E copies; axis letter: m agents."""

    def __init__(
        self,
        streams: Mapping[int, Stream],
        copies: int,
        structure: InformationStructure,
        family: PrescriptionFamily,
        specs: Sequence[AgentSpec],
    ) -> None:
        """Args:
        streams: agent (1..K) -> the stream that it draws with.
        specs: what each of them sees and does, in the order of ``streams``.

        Raises:
            UsageError: if the prescriptions cannot be given such local information.
        """
        self._copies = copies
        self._stream = JointStream(list(streams.values()))
        self._is_random = family.is_random
        self._groups = [
            _AlikeAgents(agents, spec, copies, structure, family)
            for spec, agents in group_alike(list(streams), specs).items()
        ]
        places = {agent: place for place, agent in enumerate(streams)}
        self._places = [[places[int(agent)] for agent in group.memory.agents] for group in self._groups]
        self._step_in_episode = np.zeros(copies, dtype=np.int64)

    @property
    def groups(self) -> list[list[int]]:
        """Agents (1..K) that are alike, in the order of ``snapshot``."""
        return [group.memory.agents.tolist() for group in self._groups]

    def read(self, step: int, observations: Sequence[bytes]) -> list[NDArray[Any]]:
        """What ``observe`` is given of record ``step``: the bytes of each agent, as arrays for agents that are alike.

        Nothing changes yet: what does not fit must be refused before anything has moved.

        Raises:
            ProtocolError: if bytes do not fit.
        """
        if len(self._groups) == 1:
            return [self._groups[0].read(observations, step)]
        pairs = zip(self._groups, self._places, strict=True)
        return [group.read([observations[place] for place in places], step) for group, places in pairs]

    def parts(self, observations: NDArray[Any], places: Sequence[slice]) -> list[NDArray[Any]]:
        """Like ``read``, of the joint observation [E, O] as it is; agent 1 .. K has its columns ``places``."""
        return [group.part(observations, places) for group in self._groups]

    def observe(self, seen: Sequence[NDArray[Any]], begin: NDArray[np.bool_]) -> None:
        """L_t from L_{t-1}, A_{t-1} and O_t: (L1), no common information; ``seen``: of ``read``."""
        if b"\1" in begin.tobytes():
            self._step_in_episode = np.where(begin, 0, self._step_in_episode + 1)
        else:
            self._step_in_episode = self._step_in_episode + 1
        for group, values in zip(self._groups, seen, strict=True):
            group.memory.observe(values, self._step_in_episode)

    def words(self, step: int) -> NDArray[np.uint64] | None:
        """What the actions of record ``step`` are drawn with: uint64 [E, m], read-only; None where nothing is drawn."""
        return self._stream.words(step, self._copies) if self._is_random else None

    def act(self, step: int, theta: NDArray[Any]) -> NDArray[np.int64]:
        """A_t^k ~ h^k(L_t^k): prescription parameters [E] or [E, D] -> actions int64 [E, m]."""
        words = self.words(step)
        if len(self._groups) == 1:
            return self._groups[0].memory.act(theta, words)
        actions = np.empty((self._copies, sum(map(len, self._places))), dtype=np.int64)
        for group, places in zip(self._groups, self._places, strict=True):
            actions[:, places] = group.memory.act(theta, None if words is None else words[:, places])
        return actions

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of L_t, A_t and t; ``restore`` of it gives equal passive agents."""
        found = {"private/step-in-episode": self._step_in_episode.copy()}
        for index, group in enumerate(self._groups):
            found |= {f"private/{index}/{name}": array for name, array in group.memory.snapshot().items()}
        return found

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take L_t, A_t and t from ``snapshot``."""
        self._step_in_episode = snapshot["private/step-in-episode"].copy()
        for index, group in enumerate(self._groups):
            prefix = f"private/{index}/"
            own = {name.removeprefix(prefix): array for name, array in snapshot.items() if name.startswith(prefix)}
            group.memory.restore(own)


class _AlikeAgents:
    """The memory of agents that are alike, and how their observations travel."""

    def __init__(
        self,
        agents: Sequence[int],
        spec: AgentSpec,
        copies: int,
        structure: InformationStructure,
        family: PrescriptionFamily,
    ) -> None:
        self.memory = LocalMemory(agents, spec, copies, structure, family)
        self._leading = len(agents) if list(agents) == [*range(1, len(agents) + 1)] else 0
        """How many, if they are agents 1, 2, ..; otherwise 0."""
        self._one = ObservationLayout(spec.observation_space, copies)
        self._all = ObservationLayout(spec.observation_space, len(agents) * copies)

    def part(self, observations: NDArray[Any], places: Sequence[slice]) -> NDArray[Any]:
        """Their own columns of the joint observation [E, O], one agent under the other."""
        columns = self._one.space.columns
        if len(places) == self._leading:
            # The whole team, and alike: equally many columns each, side by side.
            own = np.array(observations.reshape(-1, len(places), columns).swapaxes(0, 1), order="C").reshape(-1, columns)
        else:
            own = np.concatenate([observations[:, places[agent - 1]] for agent in self.memory.agents.tolist()])
        return own.astype(self._one.space.dtype, copy=False)

    def read(self, observations: Sequence[bytes], step: int) -> NDArray[Any]:
        """Their observations of record ``step``. Raises ProtocolError if they do not fit."""
        if len(observations) == 1:
            return self._one.read(observations[0], step)
        if self._all.only_type is not None:
            return self._all.read(b"".join(observations), step)
        return np.concatenate([self._one.read(raw, step) for raw in observations])
