"""The environment side of one run without messages: joint actions in, records out.

It owns the environment, what moves it (``team.lockstep``) and its random stream, and appends each record to the common
log. What every agent may know becomes common bytes; what only agent k may know becomes its observation; nothing else
leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.digest import GENESIS, chain
from dadc_net.exact.streams import Stream
from dadc_net.node.record import ActionLayout, CommonLayout, ObservationLayout, Record
from dadc_net.node.rows import ServerRow
from dadc_net.node.server.table_steps import TableSteps
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.environment import Ended, Environment, EnvironmentSpec
from dadc_net.team.lockstep import LockStep, TeamStep
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.structure import InformationStructure

_COMPARED_EVERY = 64
"""Of records that are looked up in tables, one of so many is made by the environment as well."""


@dataclass(frozen=True)
class TeamProblem:
    """An environment with everything that turns it into a partial-history-sharing team problem."""

    environment: Environment
    structure: InformationStructure
    family: PrescriptionFamily
    restart_steps: int
    """Steps after which a copy starts afresh; 0: never."""


class _ObservationsLayout:
    """All agents' observations [E, O] as bytes for each of them."""

    def __init__(self, spec: EnvironmentSpec, copies: int) -> None:
        self._own = [ObservationLayout(agent.observation_space, copies) for agent in spec.agents]
        self._places = spec.observation_places
        self._agents = spec.num_agents
        self._type = self._own[0].only_type if spec.is_homogeneous else None
        """Of all columns, where agents see the same and are packed at once."""
        size = self._own[0].size
        self._parts = [slice(agent * size, (agent + 1) * size) for agent in range(spec.num_agents)]
        """Of agent 1 .. K, of what is packed at once."""

    def pack(self, observations: NDArray[Any]) -> tuple[bytes, ...]:
        """Of agent 1 .. K."""
        if self._type is None:
            pieces = zip(self._own, self._places, strict=True)
            return tuple(layout.pack(observations[:, place]) for layout, place in pieces)
        by_agent = observations.reshape(len(observations), self._agents, -1).transpose(1, 0, 2)
        return tuple(map(by_agent.astype(self._type).tobytes().__getitem__, self._parts))


class World:
    """Steps E copies of the environment and writes the common log."""

    def __init__(self, problem: TeamProblem, environment_seed: bytes, by_tables: bool = False) -> None:
        """``by_tables``: records may be looked up in tables by a compiled kernel, where the team has any."""
        self.problem = problem
        self.copies = problem.environment.num_envs
        self.num_agents = problem.environment.spec.num_agents
        self.head = GENESIS
        self.actions = [ActionLayout(agent.action_space, self.copies) for agent in problem.environment.spec.agents]
        """Of agent 1 .. K."""
        self._step = 0
        self._cut: NDArray[np.bool_] | None = None
        """[E] at the next record."""
        self._draws = problem.environment.spec.draws_per_step
        self._stream = Stream("environment", environment_seed)
        self._lockstep = LockStep(problem.environment, problem.structure, problem.restart_steps)
        self._common = CommonLayout(self._lockstep.common_space, self.copies)
        self._observations = _ObservationsLayout(problem.environment.spec, self.copies)
        self._tables: TableSteps | None = None
        if by_tables:
            self._tables = TableSteps.of(problem.environment, problem.structure, problem.restart_steps, self._common)

    def advance(self, joint_action: NDArray[np.int64]) -> ServerRow:
        """The next record after ``joint_action`` int64 [E, K]; its values are ignored where a copy begins.

        Raises:
            NumericError: if what the environment or the information structure gives does not lie in its space.
            UserCodeError: if one of them is a user's and fails.
        """
        step, tables = self._step, self._tables
        if tables is not None and tables.is_sure and step % _COMPARED_EVERY:
            common, observations = tables.advance(joint_action, self._drawn(step))
        else:
            if tables is not None and tables.is_sure:
                self._lockstep.restore(tables.state())
            common, observations = self._made(joint_action)
        self._step, self._cut = step + 1, None
        self.head = chain(self.head, common)
        return ServerRow(Record(step, self.head, common), observations)

    def move(self, joint_action: NDArray[np.int64]) -> TeamStep:
        """``advance`` without a record, for who needs the values alone; the chain of a log that needs none stays behind."""
        step = self._step
        if self._tables is not None:
            self._lockstep.restore(self._stands())
            self._tables.forget()
        now = self._lockstep.advance(step, joint_action, self._drawn(step))
        self._step = step + 1
        return now

    def _drawn(self, step: int) -> NDArray[np.float64]:
        return self._stream.uniforms(step, self.copies, self._draws)

    def _made(self, joint_action: NDArray[np.int64]) -> tuple[bytes, tuple[bytes, ...]]:
        """Common bytes and observations of the next record, as the environment makes it."""
        step, draws = self._step, self._drawn(self._step)
        now = self._lockstep.advance(step, joint_action, draws)
        common = self._common.pack(CommonRecord(step, now.common, now.rewards, now.begin, now.ended, self._cut))
        made = common, self._observations.pack(now.observations)
        if self._tables is not None:
            if self._cut is None:
                self._tables.compare(joint_action, draws, made, self._lockstep.state)
            else:
                self._tables.forget()
        return made

    def _stands(self) -> dict[str, NDArray[Any]]:
        """What ``LockStep.state`` says, or would say if it had moved."""
        return self._lockstep.state() if self._tables is None or not self._tables.is_sure else self._tables.state()

    def draws(self, step: int, count: int) -> NDArray[np.float64]:
        """What moves lock-steps step .. step + count - 1: [count, E, D] in [0, 1)."""
        return self._stream.uniforms_over(step, count, self.copies, self._draws)

    def played(self, step: int, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Actions [E, K] as the agents would answer them to record ``step``. Raises like ``joint_action``."""
        packed = [layout.pack(actions[:, agent : agent + 1]) for agent, layout in enumerate(self.actions)]
        return self.joint_action(step, packed)

    def joint_action(self, step: int, answered: Sequence[bytes]) -> NDArray[np.int64]:
        """The actions [E, K] that all agents answered to record ``step``. Raises ProtocolError if one does not fit."""
        agents = enumerate(zip(self.actions, answered, strict=True), start=1)
        return np.stack([layout.read(raw, step, agent) for agent, (layout, raw) in agents], axis=1)

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of everything that the next record depends on, by name."""
        return {
            **self._stands(),
            "head": np.frombuffer(self.head, dtype=np.uint8),
            "next-step": np.array([self._step], dtype=np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``state``."""
        self._lockstep.restore(state)
        if self._tables is not None:
            self._tables.forget()
        self.head = state["head"].tobytes()
        self._step = int(state["next-step"][0])

    @property
    def replayable(self) -> bool:
        """Whether it can be wound back, and ``state`` be kept."""
        return self.problem.environment.spec.replayable

    def begin_anew(self, newest: Record) -> None:
        """Stand, in a new world, after record ``newest`` of one that is lost: every copy begins at the next record.

        Copies that ``newest`` does not end are said to be cut there.

        Raises:
            ProtocolError: if ``newest`` does not fit this problem.
        """
        if self._tables is not None:
            self._tables.forget()
        self._cut = self._common.unpack(newest).ended == Ended.NO
        self.head = newest.head
        self._step = newest.step + 1

    def first(self) -> ServerRow:
        """Record 0: every copy begins."""
        return self.advance(np.zeros((self.copies, self.num_agents), dtype=np.int64))
