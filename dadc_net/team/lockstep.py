"""One lock-step of a team problem: E copies move, the clock says which end, the structure says what is common.

A run's server, a Monte-Carlo evaluation and everything else that moves an environment under an information structure do
it here, so that there is one answer to what z_t follows which joint action. Randomness is an input.

Axis letters: E copies, K agents, O columns of all agents' observations, Z columns of z_t, D draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import NumericError
from dadc_net.team.environment import Environment
from dadc_net.team.episode_clock import EpisodeClock
from dadc_net.team.outcome import JointOutcome, admitted, taken
from dadc_net.team.structures.structure import InformationStructure, JointStep
from dadc_net.team.user_code import blame_owner


class TeamStep(NamedTuple):
    """What one lock-step brings to a team."""

    observations: NDArray[Any]
    """[E, O] O_t of all agents side by side; which columns are whose says ``EnvironmentSpec.observation_places``"""
    common: NDArray[Any]
    """[E, Z] z_t"""
    rewards: NDArray[np.float64]
    """[E] R_{t-1}; 0 where a copy begins"""
    step_in_episode: NDArray[np.int64]
    """[E] t, counted from each copy's begin"""
    ended: NDArray[np.uint8]
    """[E] values of ``Ended``"""

    @property
    def begin(self) -> NDArray[np.bool_]:
        """[E] which copies begin here."""
        begins: NDArray[np.bool_] = self.step_in_episode == 0
        return begins


class LockStep:
    """E copies of an environment under an information structure."""

    def __init__(self, environment: Environment, structure: InformationStructure, restart_steps: int = 0) -> None:
        """``restart_steps``: steps after which a copy is cut off and begins afresh; 0: never."""
        self.environment = environment
        self.spec = environment.spec
        self.common_space = structure.common_space(self.spec)
        self._structure = structure
        self._clock = EpisodeClock(environment.num_envs, restart_steps)
        self._history: deque[JointStep] = deque(maxlen=structure.history_steps)

    def advance(self, step: int, joint_action: NDArray[np.int64], draws: NDArray[np.float64]) -> TeamStep:
        """Lock-step ``step``: move by ``joint_action`` [E, K], which is ignored where a copy begins.

        Args:
            draws: [E, D] in [0, 1).

        Raises:
            NumericError: if what comes out does not lie in its space, or a reward is not finite.
            UserCodeError: if the environment or the structure is a user's and fails.
        """
        at = self._clock.step_in_episode
        begin = at == 0
        copies = self.environment.num_envs
        try:
            returned = self.environment.advance(joint_action, begin, draws)
        except (Exception, SystemExit) as error:
            blame_owner("the environment", self.environment, error)
            raise
        outcome = admitted(returned, self.spec, copies, step)
        ended = self._clock.observe(outcome.ended)
        self._history.append(joint_step(outcome, joint_action, begin))
        found = self._common(at)
        common = taken(found, self.common_space, copies)
        if common is None:
            raise self._wrong_common(found, step)
        return TeamStep(outcome.observations, common, np.where(begin, 0.0, outcome.rewards), at, ended)

    def _common(self, at: NDArray[np.int64]) -> NDArray[Any]:
        """z_t of the history, as the structure gives it, with step ``at`` [E] in each episode."""
        try:
            return self._structure.common(self._history, at)
        except (Exception, SystemExit) as error:
            blame_owner("the information structure", self._structure, error)
            raise

    def _wrong_common(self, found: NDArray[Any], step: int) -> NumericError:
        shown = np.asarray(found).tolist()
        return NumericError(
            f"the information structure {self._structure.name} gives {shown} as common information at lock-step "
            f"{step}, which are no values of its space {self.common_space.to_plain()}. The run cannot go on. Correct its "
            "common() or its common_space(); dadc_net.team.conformance finds more."
        )

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


def joint_step(outcome: JointOutcome, joint_action: NDArray[np.int64], begin: NDArray[np.bool_]) -> JointStep:
    """What an information structure sees of an outcome of ``joint_action`` [E, K], with ``begin`` [E]."""
    return JointStep(outcome.observations, outcome.public, np.where(begin[:, None], 0, joint_action), begin)


def _below(prefix: str, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
