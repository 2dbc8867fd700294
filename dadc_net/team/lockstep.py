"""One lock-step of a team problem: E copies move, the clock says which end, the structure says what is common.

A run's server, a Monte-Carlo evaluation and everything else that moves an environment under an information structure do
it here, so that there is one answer to what z_t follows which joint action. Randomness is an input.

Axis letters: E copies, K agents, O observation columns, Z columns of z_t, D draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UserCodeError
from dadc_net.team.environment import Environment, Outcome
from dadc_net.team.episode_clock import EpisodeClock
from dadc_net.team.information import InformationStructure, JointStep
from dadc_net.team.user_code import blame_owner


class TeamStep(NamedTuple):
    """What one lock-step brings to a team."""

    observations: NDArray[np.int64]
    """[E, K, O] O_t; column k is for agent k only"""
    common: NDArray[np.int64]
    """[E, Z] z_t"""
    rewards: NDArray[np.float64]
    """[E] R_{t-1}; 0 where a copy begins"""
    begin: NDArray[np.bool_]
    """[E]"""
    ended: NDArray[np.uint8]
    """[E] values of ``Ended``"""


class LockStep:
    """E copies of an environment under an information structure."""

    def __init__(self, environment: Environment, structure: InformationStructure, restart_steps: int = 0) -> None:
        """``restart_steps``: steps after which a copy is cut off and begins afresh; 0: never."""
        self.environment = environment
        self._structure = structure
        self._clock = EpisodeClock(environment.num_envs, restart_steps)
        self._history: deque[JointStep] = deque(maxlen=structure.history_steps)

    def advance(self, joint_action: NDArray[np.int64], draws: NDArray[np.float64]) -> TeamStep:
        """Move by ``joint_action`` [E, K], which is ignored where a copy begins, with ``draws`` [E, D] in [0, 1).

        Raises:
            UserCodeError: if the environment or the structure is a user's and fails, or a reward is not finite.
        """
        begin = self._clock.begin()
        try:
            outcome = self.environment.advance(joint_action, begin, draws)
        except (Exception, SystemExit) as error:
            blame_owner("the environment", self.environment, error)
            raise
        if not np.isfinite(outcome.rewards).all():
            bad = outcome.rewards[~np.isfinite(outcome.rewards)]  # The others may be of what no agent is told.
            raise UserCodeError(
                f"the environment failed: its reward holds {bad[:4]}, and must be finite. Everything before is kept. Mend "
                f"{type(self.environment).__module__}, then start the same commands again."
            )
        ended = self._clock.observe(outcome.ended)
        self._history.append(joint_step(outcome, joint_action, begin))
        try:
            common = self._structure.common(self._history)
        except (Exception, SystemExit) as error:
            blame_owner("the information structure", self._structure, error)
            raise
        return TeamStep(outcome.observations, common, np.where(begin, 0.0, outcome.rewards), begin, ended)

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of everything that the next lock-step depends on, by name."""
        return {
            **{f"environment/{name}": value for name, value in self.environment.state().items()},
            **{f"clock/{name}": value for name, value in self._clock.state().items()},
            **{
                f"history/{index}/{name}": value
                for index, joint in enumerate(self._history)
                for name, value in joint._asdict().items()
            },
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take everything from ``state``."""
        self.environment.restore(_below("environment/", state))
        self._clock.restore(_below("clock/", state))
        fields = JointStep._fields
        count = sum(name.startswith("history/") for name in state) // len(fields)
        self._history.clear()
        for index in range(count):
            self._history.append(JointStep(*(state[f"history/{index}/{name}"] for name in fields)))


def joint_step(outcome: Outcome, joint_action: NDArray[np.int64], begin: NDArray[np.bool_]) -> JointStep:
    """What an information structure sees of an outcome of ``joint_action`` [E, K], with ``begin`` [E]."""
    return JointStep(outcome.observations, outcome.public, np.where(begin[:, None], 0, joint_action), begin)


def _below(prefix: str, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
