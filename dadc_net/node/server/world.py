"""The environment side of one run without messages: joint actions in, records out.

It owns the environment, what moves it (``team.lockstep``) and its random stream, and appends each record to the common
log. What every agent may know becomes common bytes; what only agent k may know becomes its observation; nothing else
leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.digest import GENESIS, chain
from dadc_net.exact.streams import Stream
from dadc_net.node.record import Record, pack_common, pack_observations
from dadc_net.node.rows import ServerRow
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.environment import Environment
from dadc_net.team.information import InformationStructure
from dadc_net.team.lockstep import LockStep
from dadc_net.team.prescriptions import PrescriptionFamily


@dataclass(frozen=True)
class TeamProblem:
    """An environment with everything that turns it into a partial-history-sharing team problem."""

    environment: Environment
    structure: InformationStructure
    family: PrescriptionFamily
    restart_steps: int
    """Steps after which a copy starts afresh; 0: never."""


class World:
    """Steps E copies of the environment and writes the common log."""

    def __init__(self, problem: TeamProblem, environment_seed: bytes) -> None:
        self.problem = problem
        self.copies = problem.environment.num_envs
        self.num_agents = problem.environment.spec.num_agents
        self.head = GENESIS
        self._step = 0
        self._stream = Stream("environment", environment_seed)
        self._lockstep = LockStep(problem.environment, problem.structure, problem.restart_steps)

    def advance(self, joint_action: NDArray[np.int64]) -> ServerRow:
        """The next record after ``joint_action`` int64 [E, K]; its values are ignored where a copy begins.

        Raises:
            UserCodeError: if the environment fails, or its reward is not finite.
        """
        step = self._step
        draws = self._stream.uniforms(step, self.copies, self.problem.environment.spec.draws_per_step)
        now = self._lockstep.advance(joint_action, draws)
        common = pack_common(CommonRecord(step, now.common, now.rewards, now.begin, now.ended))
        self.head = chain(self.head, common)
        self._step += 1
        return ServerRow(Record(step, self.head, common), pack_observations(now.observations))

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of everything that the next record depends on, by name."""
        return {
            **self._lockstep.state(),
            "head": np.frombuffer(self.head, dtype=np.uint8),
            "next-step": np.array([self._step], dtype=np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``state``."""
        self._lockstep.restore(state)
        self.head = state["head"].tobytes()
        self._step = int(state["next-step"][0])

    def first(self) -> ServerRow:
        """Record 0: every copy begins."""
        return self.advance(np.zeros((self.copies, self.num_agents), dtype=np.int64))
