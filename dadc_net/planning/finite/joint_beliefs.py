"""Beliefs on the state given everything that all agents have seen: the alphabet in which team beliefs are written.

Under every information structure, the common information together with what all agents know privately is a joint
history, and the law of the state given it is one of these. Their number is often small where that of histories is not
(Dec-Tiger: 15), so each is kept once under a number, and what follows it under a joint action is computed once.

Two laws are one belief if they agree after rounding to ``ROUNDING``; ``deviation`` is the largest distance, in total mass,
between a law and the belief that stands for it: the error which merging has really caused, and not what it could have.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.model import FiniteModel

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

Number = TypeVar("Number", np.int64, np.float64)

ROUNDING = 1e-10
_FIRST_CAPACITY = 64
_BELIEF_BYTES = 300
"""Of a belief, its numbers and tables aside."""


class FollowingBeliefs(NamedTuple):
    """What follows n pairs of belief and joint action: m outcomes in all."""

    pair: Numbers
    """[m] index of the pair"""
    observation: Numbers
    """[m] joint observation"""
    probability: Array
    """[m] P(o | b, a)"""
    belief: Numbers
    """[m] number of the belief after it"""


class TooManyBeliefsError(Exception):
    """The limit on the number of beliefs is reached; what was counted before stays valid."""


class JointBeliefs:
    """Numbered beliefs on the state. Axis letters: N beliefs, S states, JA joint actions, JO joint observations."""

    def __init__(self, model: FiniteModel, most: int = 2_000_000) -> None:
        """Begin with the start distribution, which is belief 0; never number more than ``most``."""
        self.model = model
        self.deviation = 0.0
        self.most = most
        self._moves = [joint_moves(model, a) for a in range(model.num_joint_actions)]
        self._rewards = model.expected_rewards
        self._number: dict[bytes, int] = {}
        self._support: list[Numbers] = []
        self._mass: list[Array] = []
        self._support_bytes = 0
        self._reward = np.zeros((_FIRST_CAPACITY, model.num_joint_actions))
        self._first = np.full((_FIRST_CAPACITY, model.num_joint_actions), -1, dtype=np.int64)
        self._size = np.zeros((_FIRST_CAPACITY, model.num_joint_actions), dtype=np.int64)
        whole = np.zeros(1024, dtype=np.int64)
        self._flat = FollowingBeliefs(whole, whole.copy(), np.zeros(1024), whole.copy())
        self._used = 0
        support = np.flatnonzero(model.start)
        self.number_of(support, model.start[support])

    def __len__(self) -> int:
        return len(self._support)

    @property
    def bytes_held(self) -> int:
        """Bytes of all tables, roughly."""
        return self._support_bytes + 32 * len(self._flat.belief) + 3 * self._reward.nbytes

    def support(self, number: int) -> tuple[Numbers, Array]:
        """States [n] in order and their probabilities [n]."""
        return self._support[number], self._mass[number]

    def reward(self, numbers: Numbers) -> Array:
        """E[R | b, a]: [n] -> [n, JA]."""
        rewards: Array = self._reward[numbers]
        return rewards

    def expected(self, numbers: Numbers, of_state: Array) -> Array:
        """Means under beliefs [n] of a function of the state [S] or [S, X]: [n] or [n, X]."""
        sizes = np.array([len(self._support[n]) for n in numbers])
        states = np.concatenate([self._support[n] for n in numbers])
        mass = np.concatenate([self._mass[n] for n in numbers])
        weighted = (of_state[states].T * mass).T
        means: Array = np.add.reduceat(weighted, np.concatenate(([0], np.cumsum(sizes)[:-1])), axis=0)
        return means

    def number_of(self, states: Numbers, probabilities: Array) -> int:
        """The number of a belief, a new one if it has not been met.

        Raises:
            TooManyBeliefsError: if it is new and there are ``most``.
        """
        rounded = np.rint(probabilities * (1.0 / ROUNDING)).astype(np.int64)
        key = states.tobytes() + rounded.tobytes()
        number = self._number.get(key)
        if number is not None:
            self.deviation = max(self.deviation, float(np.abs(self._mass[number] - probabilities).sum()))
            return number
        if len(self) >= self.most:
            raise TooManyBeliefsError
        number = len(self)
        if number == len(self._reward):
            self._reward, self._size = _doubled(self._reward, 0), _doubled(self._size, 0)
            self._first = _doubled(self._first, -1)
        self._number[key] = number
        self._support.append(states)
        self._mass.append(probabilities)
        self._support_bytes += 16 * len(states) + _BELIEF_BYTES
        self._reward[number] = self._rewards[:, states] @ probabilities
        return number

    def mixture(self, numbers: Numbers, weights: Array) -> int:
        """The number of a convex combination of beliefs [n], weights [n] summing to 1."""
        law = np.zeros(self.model.num_states)
        for number, weight in zip(numbers.tolist(), weights.tolist(), strict=True):
            law[self._support[number]] += weight * self._mass[number]
        states = np.flatnonzero(law)
        return self.number_of(states, law[states])

    def following(self, numbers: Numbers, actions: Numbers) -> FollowingBeliefs:
        """What follows beliefs [n] under joint actions [n]; each pair's outcomes in the order of joint observations."""
        first = self._first[numbers, actions]
        if (first < 0).any():
            missing = first < 0
            self._expand(numbers[missing], actions[missing])
            first = self._first[numbers, actions]
        sizes = self._size[numbers, actions]
        ends = np.cumsum(sizes)
        pair = np.repeat(np.arange(len(numbers)), sizes)
        place = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - sizes), sizes)
        flat = self._flat
        return FollowingBeliefs(pair, flat.observation[place], flat.probability[place], flat.belief[place])

    def _expand(self, numbers: Numbers, actions: Numbers) -> None:
        for action in np.unique(actions).tolist():
            chosen = np.unique(numbers[actions == action])
            for part in range(0, len(chosen), 512):
                self._expand_one_action(chosen[part : part + 512], action)

    def _expand_one_action(self, numbers: Numbers, action: int) -> None:
        states, observations = self.model.num_states, self.model.num_joint_observations
        sizes = [len(self._support[n]) for n in numbers]
        row = np.repeat(np.arange(len(numbers)), sizes)
        origin = np.concatenate([self._support[n] for n in numbers])
        mass = np.concatenate([self._mass[n] for n in numbers])
        indptr, column, chance = self._moves[action]
        counts = indptr[origin + 1] - indptr[origin]
        ends = np.cumsum(counts)
        place = np.arange(int(ends[-1])) + np.repeat(indptr[origin] - (ends - counts), counts)
        keys = np.repeat(row, counts) * (observations * states) + column[place]
        unique, inverse = np.unique(keys, return_inverse=True)
        joint = np.bincount(inverse.reshape(-1), weights=np.repeat(mass, counts) * chance[place])
        outcome = unique // states
        starts = np.flatnonzero(np.concatenate(([True], outcome[1:] != outcome[:-1])))
        total = np.add.reduceat(joint, starts)
        conditional = joint / np.repeat(total, np.diff(np.append(starts, len(joint))))
        reached = unique % states
        stops = np.append(starts[1:], len(joint))
        found = [
            self.number_of(reached[i:j], conditional[i:j]) for i, j in zip(starts.tolist(), stops.tolist(), strict=True)
        ]
        self._record(numbers, action, outcome[starts], total, np.array(found, dtype=np.int64))

    def _record(self, numbers: Numbers, action: int, outcome: Numbers, total: Array, found: Numbers) -> None:
        """Append outcomes, coded (row, observation) and in order, to the flat tables."""
        count = len(found)
        while self._used + count > len(self._flat.belief):
            pair, observation, probability, belief = self._flat
            self._flat = FollowingBeliefs(
                _doubled(pair, 0), _doubled(observation, 0), _doubled(probability, 0), _doubled(belief, 0)
            )
        where = slice(self._used, self._used + count)
        self._flat.observation[where] = outcome % self.model.num_joint_observations
        self._flat.probability[where] = total
        self._flat.belief[where] = found
        row = outcome // self.model.num_joint_observations
        sizes = np.bincount(row, minlength=len(numbers))
        self._size[numbers, action] = sizes
        self._first[numbers, action] = self._used + np.cumsum(sizes) - sizes
        self._used += count


def joint_moves(model: FiniteModel, action: int) -> tuple[Numbers, Numbers, Array]:
    """P(s', o | s, a) as rows of s: where each begins [S + 1], o * S + s' [n], probability [n]."""
    moves, seen = model.transitions[action], model.observation_probabilities[action]
    counts = np.diff(seen.indptr)[moves.indices]
    ends = np.cumsum(counts)
    place = np.arange(int(ends[-1])) + np.repeat(seen.indptr[moves.indices] - (ends - counts), counts)
    column = seen.indices[place] * model.num_states + np.repeat(moves.indices, counts)
    chance = np.repeat(moves.data, counts) * seen.data[place]
    indptr = np.concatenate(([0], ends))[moves.indptr]
    return indptr.astype(np.int64), column.astype(np.int64), chance


def _doubled(array: NDArray[Number], fill: int) -> NDArray[Number]:
    grown = np.full((2 * len(array), *array.shape[1:]), fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown
