"""Upper references for every structure: the optimum if the state were common, and if all observations were.

V_mdp >= V_full >= V of any structure (more can be known to everyone, and ignored). Both are values of joint beliefs on the
state, so they bound every part of a team belief alone: V(b) <= sum over joint memories of weight times V_full.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers, TooManyBeliefsError
from dadc_net.team.finite.model import FiniteModel

_CLOSE = 1e-13


class StateValues:
    """Values with the state common (V_mdp, from above), and of repeating one joint action (from below)."""

    def __init__(
        self, model: FiniteModel, discount: float, endless: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """
        Args:
            endless: after the decisions that are counted come others without end; the discount must be below 1.
            stop: ends sweeps early, with values that bound all the same.
        """
        self._model = model
        self._discount = discount
        self._stop = stop
        self._best: list[Array] = [np.zeros(model.num_states)]
        self._repeated: list[Array] = [np.zeros((model.num_states, model.num_joint_actions))]
        if endless:
            self._best, self._repeated = [self._endless_best()], [self._endless_repeated()]

    def _endless_best(self) -> Array:
        """[S] V_mdp, by value iteration from above, so that it is never too little."""
        best = np.full(self._model.num_states, float(self._model.expected_rewards.max()) / (1.0 - self._discount))
        change = np.inf
        while change > _CLOSE * max(1.0, float(np.abs(best).max())) and not self._stop():
            improved = np.minimum(best, self.improved(best).max(axis=1))
            change = float(np.abs(improved - best).max())
            best = improved
        return best

    def _endless_repeated(self) -> Array:
        """[S, JA] values of one joint action for ever, from below."""
        value = np.full(self._repeated[0].shape, float(self._model.expected_rewards.min()) / (1.0 - self._discount))
        change = np.inf
        while change > _CLOSE * max(1.0, float(np.abs(value).max())) and not self._stop():
            improved = np.maximum(value, self._once_more(value))
            change = float(np.abs(improved - value).max())
            value = improved
        return value

    def _once_more(self, following: Array) -> Array:
        columns = [
            self._model.expected_rewards[a] + self._discount * self._model.transitions[a].dot(following[:, a])
            for a in range(self._model.num_joint_actions)
        ]
        return np.stack(columns, axis=1)

    def best(self, remaining: int) -> Array:
        """[S] V_mdp with ``remaining`` decisions left."""
        while len(self._best) <= remaining:
            self._best.append(self.improved(self._best[-1]).max(axis=1))
        return self._best[remaining]

    def improved(self, value: Array) -> Array:
        """[S, JA] reward and discounted value [S] of what follows."""
        model = self._model
        columns = [
            model.expected_rewards[a] + self._discount * model.transitions[a].dot(value)
            for a in range(model.num_joint_actions)
        ]
        return np.stack(columns, axis=1)

    def repeated(self, remaining: int) -> Array:
        """[S, JA] the value of one joint action in all ``remaining`` decisions."""
        while len(self._repeated) <= remaining:
            self._repeated.append(self._once_more(self._repeated[-1]))
        return self._repeated[remaining]


class FullSharingValues:
    """V_full and Q_full of joint beliefs for every number of decisions left; V_mdp from where there are too many."""

    def __init__(self, joint: JointBeliefs, discount: float, most: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Beliefs are enumerated while there are at most ``most``, and until ``stop`` says that it takes too long."""
        self.joint = joint
        self.states = StateValues(joint.model, discount)
        self._discount = discount
        self._most = most
        self._stop = stop
        self._given_up = False
        self.bytes_held = 0
        """Of the tables by joint belief."""
        self._best: dict[int, Array] = {}
        self._q: dict[int, Array] = {}
        self._repeated: dict[int, Array] = {}

    @property
    def is_exact(self) -> bool:
        """Whether all values so far are V_full."""
        return not self._given_up

    def best(self, remaining: int, numbers: Numbers) -> Array:
        """[n] V_full, or an upper bound, with ``remaining`` decisions left."""
        if remaining == 0:
            return np.zeros(len(numbers))
        table = self._grown(self._best, remaining, ())
        missing = np.unique(numbers[np.isnan(table[numbers])])
        if len(missing):
            value = self._maximum(remaining, missing)
            table = self._grown(self._best, remaining, ())
            table[missing] = value
        return table[numbers]

    def q(self, remaining: int, numbers: Numbers) -> Array:
        """[n, JA] Q_full, or an upper bound."""
        actions = self.joint.model.num_joint_actions
        table = self._grown(self._q, remaining, (actions,))
        missing = np.unique(numbers[np.isnan(table[numbers, 0])])
        if len(missing):
            pairs = self._ahead(remaining, np.repeat(missing, actions), np.tile(np.arange(actions), len(missing)))
            table = self._grown(self._q, remaining, (actions,))
            table[missing] = pairs.reshape(-1, actions)
        return table[numbers]

    def repeated(self, remaining: int, numbers: Numbers) -> Array:
        """[n, JA] values of repeating a joint action."""
        table = self._grown(self._repeated, remaining, (self.joint.model.num_joint_actions,))
        missing = np.unique(numbers[np.isnan(table[numbers, 0])])
        if len(missing):
            table[missing] = self.joint.expected(missing, self.states.repeated(remaining))
        return table[numbers]

    def _grown(self, tables: dict[int, Array], remaining: int, shape: tuple[int, ...]) -> Array:
        table = tables.get(remaining, np.zeros((0, *shape)))
        if len(table) < len(self.joint):
            grown = np.full((2 * len(self.joint), *shape), np.nan)
            grown[: len(table)] = table
            self.bytes_held += grown.nbytes - table.nbytes
            tables[remaining] = table = grown
        return table

    def _ahead(self, remaining: int, numbers: Numbers, actions: Numbers) -> Array:
        """[n] Q_full of pairs of belief and joint action [n]."""
        reward = self.joint.reward(numbers)[np.arange(len(numbers)), actions]
        if remaining == 1:
            return reward
        if not self._given_up and len(self.joint) <= self._most and not self._stop():
            try:
                found = self.joint.following(numbers, actions)
                value = self.best(remaining - 1, found.belief) * found.probability
                ahead: Array = reward + self._discount * np.bincount(found.pair, weights=value, minlength=len(numbers))
                return ahead
            except TooManyBeliefsError:
                pass
        self._given_up = True
        return self._with_state(remaining, numbers)[np.arange(len(numbers)), actions]

    def _with_state(self, remaining: int, numbers: Numbers) -> Array:
        """[n, JA] reward and V_mdp of what follows."""
        return self.joint.expected(numbers, self.states.improved(self.states.best(remaining - 1)))

    def _maximum(self, remaining: int, numbers: Numbers) -> Array:
        """[n] maximum of Q_full; joint actions that V_mdp rules out are not expanded."""
        promised = self._with_state(remaining, numbers)
        if remaining == 1:
            largest: Array = promised.max(axis=1)
            return largest
        order = np.argsort(-promised, axis=1, kind="stable")
        best = np.full(len(numbers), -np.inf)
        for rank in range(promised.shape[1]):
            action = order[:, rank]
            open_ = np.flatnonzero(promised[np.arange(len(numbers)), action] > best)
            if not len(open_):
                break
            best[open_] = np.maximum(best[open_], self._ahead(remaining, numbers[open_], action[open_]))
        return best
