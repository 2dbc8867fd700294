"""A finite model as an environment: E copies of it, stepped at once.

* Nothing is observed before the first decision: where a copy begins, every agent's observation is the blank, value 0. It
  is a value that observations have besides; it tells nothing, because when a copy begins is common knowledge.
* Agents may have different numbers of actions and observations, but the specification of an environment has one space for
  all: it is the widest. An action beyond an agent's own is taken as its last one; a value beyond its own observations never
  comes up. The model says which are an agent's own.
* With a horizon of h decisions a copy is over (TERMINATED) at the record after the h-th; so it is in a state that is never
  left and has no reward, where nothing is to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.schema import require
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sampling import RowSampler
from dadc_net.team.finite.sparse_rows import SparseRows
from dadc_net.team.spaces import FiniteSpace

BLANK = 0
"""What is observed where a copy begins."""
_START, _OBSERVATION = 0, 1
"""Draws: of the state, of the joint observation."""
_NEVER = 0


@dataclass(frozen=True)
class FiniteParameters:
    """How a finite model is run."""

    horizon: int = 0
    """Decisions of an episode; 0: the model's own, and where it has none, episodes do not end by themselves."""
    restart_steps: int = 100
    """Steps after which a copy starts afresh; 0: never."""

    def __post_init__(self) -> None:
        require(0 <= self.horizon <= 10**9, "env.horizon", self.horizon, "Give 0 (the model's own) or more.")
        require(self.restart_steps >= 0, "env.restart_steps", self.restart_steps, "Give 0 (never) or more.")


class FiniteEnvironment:
    """E copies of a finite model. Satisfies ``Environment``."""

    def __init__(self, model: FiniteModel, parameters: FiniteParameters, num_envs: int) -> None:
        self.model = model
        self.horizon = parameters.horizon or model.horizon or _NEVER
        """Decisions of an episode, or 0."""
        self._num_envs = num_envs
        self._states = np.zeros(num_envs, dtype=np.int64)
        self._ages = np.zeros(num_envs, dtype=np.int64)
        self._spec = EnvironmentSpec(
            name=model.name,
            num_agents=model.num_agents,
            observation_space=FiniteSpace((max(model.joint_observations.sizes),)),
            action_space=FiniteSpace((max(model.joint_actions.sizes),)),
            public_space=FiniteSpace((1,)),
            draws_per_step=2,
            horizon=self.horizon,
        )
        self._last_actions = np.array(model.joint_actions.sizes) - 1
        self._starts = RowSampler([SparseRows.from_dense(model.start[None, :])])
        self._moves = RowSampler(model.transitions)
        self._observed = RowSampler(model.observation_probabilities)
        self._rewards = _move_rewards(model)
        self._over = over_states(model)

    @property
    def spec(self) -> EnvironmentSpec:
        """As many agents as the model has; nothing public."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """E."""
        return self._num_envs

    def advance(self, joint_action: NDArray[np.int64], begin: NDArray[np.bool_], draws: NDArray[np.float64]) -> Outcome:
        """One lock-step. Draws per copy: the state, the joint observation."""
        actions = self.model.joint_actions.index(np.minimum(joint_action, self._last_actions))
        none = np.zeros(self._num_envs, dtype=np.int64)
        moves = self._moves.draw(actions, self._states, draws[:, _START])
        starts = self._starts.draw(none, none, draws[:, _START])
        rewards = np.where(begin, 0.0, self._rewards[moves])
        self._states = np.where(begin, self._starts.columns[starts], self._moves.columns[moves])
        self._ages = np.where(begin, 0, self._ages + 1)
        seen = self._observed.columns[self._observed.draw(actions, self._states, draws[:, _OBSERVATION])]
        observations = np.where(begin[:, None], BLANK, self.model.joint_observations.values(seen))
        over = self._over[self._states]
        if self.horizon != _NEVER:
            over = over | (self._ages >= self.horizon)
        ended = np.where(over, Ended.TERMINATED, Ended.NO).astype(np.uint8)
        return Outcome(observations[:, :, None], np.zeros((self._num_envs, 1), dtype=np.int64), rewards, ended)

    def state(self) -> dict[str, NDArray[Any]]:
        """States [E] and the decisions taken in each copy [E]."""
        return {"states": self._states.copy(), "ages": self._ages.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take states and ages from ``state``."""
        self._states = state["states"].copy()
        self._ages = state["ages"].copy()


def over_states(model: FiniteModel) -> NDArray[np.bool_]:
    """[S] states that are never left and have no reward, whatever is done."""
    over: NDArray[np.bool_] = np.all(model.expected_rewards == 0.0, axis=0)
    for table in model.transitions:
        over &= table.at(np.arange(model.num_states), np.arange(model.num_states)) == 1.0
    return over


def _move_rewards(model: FiniteModel) -> NDArray[np.float64]:
    """[N] the reward of each entry of the transition tables, one table after the other."""
    return np.concatenate(
        [
            rewards.at(table.rows, table.indices) if isinstance(rewards, SparseRows) else rewards[table.rows]
            for rewards, table in zip(model.rewards, model.transitions, strict=True)
        ]
    )
