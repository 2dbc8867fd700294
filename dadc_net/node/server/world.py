"""The environment side of one run without messages: joint actions in, records out.

It owns the environment, the information structure's ``common`` half, the episode clock and the environment's random
stream, and appends each record to the common log. What every agent may know becomes common bytes; what only agent k
may know becomes its private bytes; nothing else leaves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact.array import Array
from dadc_net.exact.digest import GENESIS, chain
from dadc_net.exact.streams import Stream
from dadc_net.node.record import pack_common, pack_observations
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.environment import Environment
from dadc_net.team.episode_clock import EpisodeClock
from dadc_net.team.information import InformationStructure, JointStep
from dadc_net.team.prescriptions import PrescriptionFamily


@dataclass(frozen=True)
class TeamProblem:
    """An environment with everything that turns it into a partial-history-sharing team problem."""

    environment: Environment
    structure: InformationStructure
    family: PrescriptionFamily
    restart_steps: int
    """Steps after which a copy starts afresh; 0: never."""


class LogEntry(NamedTuple):
    """One record, ready to be sent."""

    step: int
    head: bytes
    common: bytes
    private: Sequence[bytes]
    """Entry k-1 is for agent k only."""
    rewards: Array
    """[E] R_{t-1}"""
    begin: NDArray[np.bool_]
    """[E]"""


class World:
    """Steps E copies of the environment and writes the common log."""

    def __init__(self, problem: TeamProblem, environment_seed: bytes) -> None:
        self.problem = problem
        self.copies = problem.environment.num_envs
        self.num_agents = problem.environment.spec.num_agents
        self.head = GENESIS
        self._step = 0
        self._stream = Stream("environment", environment_seed)
        self._clock = EpisodeClock(self.copies, problem.restart_steps)
        self._history: deque[JointStep] = deque(maxlen=problem.structure.history_steps)

    def advance(self, joint_action: NDArray[np.int64]) -> LogEntry:
        """The next record after ``joint_action`` int64 [E, K]; its values are ignored where a copy begins.

        Raises:
            InvariantError: if the environment's reward is not finite.
        """
        problem, step = self.problem, self._step
        begin = self._clock.begin()
        draws = self._stream.uniforms(step, self.copies, problem.environment.spec.draws_per_step)
        outcome = problem.environment.advance(joint_action, begin, draws)
        if not np.isfinite(outcome.rewards).all():
            raise InvariantError(f"the environment's reward at step {step} is {outcome.rewards}; it must be finite")
        ended = self._clock.observe(outcome.ended)
        before = np.where(begin[:, None], 0, joint_action)
        self._history.append(JointStep(outcome.observations, outcome.public, before, begin))
        common = problem.structure.common(self._history)
        rewards = np.where(begin, 0.0, outcome.rewards)
        raw = pack_common(CommonRecord(step, common, rewards, begin, ended))
        self.head = chain(self.head, raw)
        private = pack_observations(outcome.observations)
        self._step += 1
        return LogEntry(step, self.head, raw, private, rewards, begin)

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of everything that the next record depends on, by name."""
        history = {
            f"history/{index}/{name}": value
            for index, joint in enumerate(self._history)
            for name, value in joint._asdict().items()
        }
        return {
            **{f"environment/{name}": value for name, value in self.problem.environment.state().items()},
            **{f"clock/{name}": value for name, value in self._clock.state().items()},
            **history,
            "head": np.frombuffer(self.head, dtype=np.uint8),
            "next-step": np.array([self._step], dtype=np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``state``."""
        self.problem.environment.restore(_below("environment/", state))
        self._clock.restore(_below("clock/", state))
        fields = JointStep._fields
        count = sum(name.startswith("history/") for name in state) // len(fields)
        self._history.clear()
        for index in range(count):
            self._history.append(JointStep(*(state[f"history/{index}/{name}"] for name in fields)))
        self.head = state["head"].tobytes()
        self._step = int(state["next-step"][0])

    def first(self) -> LogEntry:
        """Record 0: every copy begins."""
        return self.advance(np.zeros((self.copies, self.num_agents), dtype=np.int64))


def _below(prefix: str, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
