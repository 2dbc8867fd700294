"""The last two decisions as one, where nothing becomes common between them.

Then every memory is given a plan at once: an action, and an action after each own observation. The best plans are found like
the best prescription of one decision, with A^k * (A^k)^(O^k) "actions" of agent k, and the bound of that search is tight
enough to need few steps, while trying first prescriptions one by one would try thousands. Worth it where plans are few.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers

_MOST_ENTRIES = 1_000_000
"""Of the table of one search."""


class LastTwo:
    """Values of joint plans of two decisions."""

    def __init__(self, joint: JointBeliefs, discount: float) -> None:
        self._joint = joint
        self._discount = discount
        self._actions = joint.model.joint_actions.sizes
        self._observations = joint.model.joint_observations.sizes
        self._answers = [a**o for a, o in zip(self._actions, self._observations, strict=True)]
        """[K] functions from own observations to own actions"""
        self.sizes = tuple(a * f for a, f in zip(self._actions, self._answers, strict=True))
        """[K] plans of each agent: action times number of answers plus answer"""
        self.bytes_held = 0
        self._known: list[Array] = []
        self._row = np.zeros(0, dtype=np.int64)
        """[N] which of ``_known`` are a joint belief's values; -1: none yet"""
        self._functions: list[Numbers] = []

    def is_worth_it(self, memories: int) -> bool:
        """Whether the table for so many joint memories is small enough."""
        return bool(memories * math.prod(self.sizes) <= _MOST_ENTRIES)

    def table(self, numbers: Numbers) -> Array:
        """[T, product of sizes] value of each joint plan at joint beliefs [T]."""
        if len(self._row) < len(self._joint):
            self._row = np.concatenate((self._row, np.full(2 * len(self._joint) - len(self._row), -1)))
        missing = np.unique(numbers[self._row[numbers] < 0])
        if len(missing):
            found = [self._values(number) for number in missing.tolist()]  # Memory may end here.
            self._row[missing] = len(self._known) + np.arange(len(missing))
            self._known += found
            self.bytes_held += sum(values.nbytes for values in found)
        return np.stack([self._known[row] for row in self._row[numbers].tolist()])

    def first_actions(self, plans: Numbers) -> Numbers:
        """[T, K] the actions with which plans [T, K] begin."""
        first: Numbers = plans // np.array(self._answers)
        return first

    def _values(self, number: int) -> Array:
        if not self._functions:
            self._functions = [
                np.array(list(itertools.product(range(a), repeat=o)))
                for a, o in zip(self._actions, self._observations, strict=True)
            ]
        model, agents = self._joint.model, len(self._actions)
        actions = np.arange(model.num_joint_actions)
        found = self._joint.following(np.full(len(actions), number), actions)
        observed = model.joint_observations.values(found.observation)
        later = self._joint.reward(found.belief) * found.probability[:, None]
        value = np.repeat(self._joint.reward(np.array([number]))[0], math.prod(self._answers))
        value = value.reshape(len(actions), *self._answers)
        for action, own, rewards in zip(found.pair.tolist(), observed.tolist(), later, strict=True):
            answers = np.ix_(*(self._functions[k][:, own[k]] for k in range(agents)))
            value[action] += self._discount * rewards.reshape(self._actions)[answers]
        # From [A^1, .., A^K, F^1, .., F^K] to [A^1, F^1, .., A^K, F^K].
        order = [axis for k in range(agents) for axis in (k, agents + k)]
        return value.reshape(*self._actions, *self._answers).transpose(order).reshape(-1)
