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
from dadc_net.team.environment import Ended, Environment
from dadc_net.team.outcome import Admission, Gate, JointOutcome, misfit, taken
from dadc_net.team.spaces import space_text
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
    begin: NDArray[np.bool_]
    """[E] which copies begin here"""


class EpisodeClock:
    """When a copy begins and when it is cut off: the same rule for every environment.

    A copy that began at record t0 is truncated at record t0 + restart_steps and begins again at the record after. A copy
    that the environment terminated begins again at the record after, too. Actions answered to an ended record are ignored.
    """

    def __init__(self, num_envs: int, restart_steps: int) -> None:
        """``restart_steps`` 0: never cut off."""
        self._restart_steps = restart_steps
        self._sure = 0
        """Records before which no copy is as old as that: a copy that begins anew is only younger."""
        self.step_in_episode: NDArray[np.int64] = np.zeros(num_envs, dtype=np.int64)
        """[E] how many steps ago each copy began, at the record that is about to be made; 0: it begins there."""

    def observe(self, ended: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Count this record; the environment's ``ended`` [E] with the clock's truncations added: [E]."""
        at = self.step_in_episode
        if self._sure > 0:
            self._sure -= 1
        elif self._restart_steps > 0:
            late = at >= self._restart_steps
            ended = np.where(late & (ended == Ended.NO), np.uint8(Ended.TRUNCATED), ended)
            self._sure = max(0, self._restart_steps - 1 - int(np.where(late, -1, at).max()))
        self.step_in_episode = at + 1
        if ended.tobytes().strip(b"\0"):
            self.step_in_episode[ended != Ended.NO] = 0
        return ended

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the ages: steps since each copy's first record, -1 where it begins at the next one."""
        return {"ages": self.step_in_episode - 1}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the ages from ``state``."""
        self.step_in_episode = state["ages"] + 1
        self._sure = 0


class LockStep:
    """E copies of an environment under an information structure."""

    def __init__(self, environment: Environment, structure: InformationStructure, restart_steps: int = 0) -> None:
        """``restart_steps``: steps after which a copy is cut off and begins afresh; 0: never."""
        self.environment = environment
        self.spec = environment.spec
        self.common_space = structure.common_space(self.spec)
        self._structure = structure
        copies = environment.num_envs
        self._admitted = Admission(self.spec, copies)
        self._is_common = Gate(self.common_space, copies)
        self._clock = EpisodeClock(copies, restart_steps)
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
        try:
            returned = self.environment.advance(joint_action, begin, draws)
        except (Exception, SystemExit) as error:
            blame_owner("the environment", self.environment, error)
            raise
        outcome = self._admitted(returned, step)
        rewards = outcome.rewards
        ended = self._clock.observe(outcome.ended)
        if b"\1" in begin.tobytes():
            self._history.append(joint_step(outcome, joint_action, begin))
            rewards = np.where(begin, 0.0, rewards)
        else:
            self._history.append(JointStep(outcome.observations, outcome.public, joint_action.copy(), begin))
        try:
            common = self._structure.common(self._history, at)
        except (Exception, SystemExit) as error:
            blame_owner("the information structure", self._structure, error)
            raise
        if not self._is_common(common):
            common = self._taken_common(common, step)
        return TeamStep(outcome.observations, common, rewards, at, ended, begin)

    def _taken_common(self, found: Any, step: int) -> NDArray[Any]:
        """z_t in the type of its space. Raises NumericError if it does not lie there."""
        common = taken(found, self.common_space, self.environment.num_envs)
        if common is not None:
            return common
        space = self.common_space
        raise NumericError(
            f"the information structure {self._structure.name} gives {misfit(found, space, self.environment.num_envs)}, as "
            f"common information at lock-step {step}, where values of its space {space_text(space)} belong. The run cannot "
            "go on. Correct its common() or its common_space(); dadc_net.team.conformance finds more."
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
