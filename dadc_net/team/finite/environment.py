"""A finite model as an environment: E copies of it, stepped at once.

* Nothing is observed before the first decision: where a copy begins, every agent's observation is the blank, value 0. It
  is a value that observations have besides; it tells nothing, because when a copy begins is common knowledge.
* Agents may have different numbers of actions and observations.
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
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import Ended, EnvironmentSpec, Outcome
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sampling import RowSampler
from dadc_net.team.finite.sparse_rows import SparseRows
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tables import EnvironmentTables, branching

BLANK = 0
"""What is observed where a copy begins."""
_START, _OBSERVATION = 0, 1
"""Draws: of the state, of the joint observation."""
_NEVER = 0
_MOST_LEAVES = 500_000


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
            agents=tuple(
                AgentSpec(FiniteSpace((observations,)), FiniteSpace((actions,)))
                for observations, actions in zip(model.joint_observations.sizes, model.joint_actions.sizes, strict=True)
            ),
            public_space=FiniteSpace((1,)),
            draws_per_step=2,
            horizon=self.horizon,
        )
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
        actions = self.model.joint_actions.index(joint_action)
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

    def transition_tables(self) -> EnvironmentTables | None:
        """The model as ``advance`` moves it; None for a model of too many moves."""
        moves, observed, starts = self._moves, self._observed, self._starts
        num_states = self.model.num_states
        blank = self.model.joint_observations.index(np.full((1, self._spec.num_agents), BLANK))
        per_row, reached = moves.branches()
        seen_per_row, seen_reached = observed.branches()
        started = starts.branches()[1]
        # A node of the second draw for every entry of the moves, with the branches of what may be seen at its state.
        rows = np.repeat(np.arange(len(per_row)) // num_states * num_states, per_row) + moves.columns
        widths = seen_per_row[rows]
        leaves = int(widths.sum()) + len(started)
        if leaves > _MOST_LEAVES:
            return None
        where = np.repeat(branching(seen_per_row)[rows] - branching(widths), widths) + np.arange(int(widths.sum()))
        first_nodes, begin = len(per_row) + 1, len(starts.columns)
        states = np.concatenate((np.repeat(moves.columns, widths), starts.columns))
        return EnvironmentTables(
            roots=np.arange(first_nodes),
            first=branching(np.concatenate((per_row, [begin], widths, np.ones(begin, dtype=np.int64)))),
            threshold=np.concatenate((reached, started, seen_reached[where], np.ones(begin))),
            child=np.concatenate((first_nodes + np.arange(len(rows) + begin), np.arange(leaves))),
            state=states,
            seen=np.concatenate((observed.columns[where], np.repeat(blank, begin))),
            public=np.zeros(leaves, dtype=np.int64),
            reward=np.concatenate((np.repeat(self._rewards, widths), np.zeros(begin))),
            over=self._over[states],
        )

    def state_numbers(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """[E]"""
        return state["states"].copy()

    def state_of(self, numbers: NDArray[np.int64], steps: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """States [E] and the decisions taken in each copy [E]."""
        return {"states": numbers.copy(), "ages": steps.copy()}

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
