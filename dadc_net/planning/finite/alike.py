"""Team beliefs that are alike: the same but for the names of agents, states and memories. Their optima are equal.

What bounds one of them from above bounds all. Each keeps a lower bound and a policy of its own, so that no policy has to be
read with other names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers
from dadc_net.planning.finite.symmetry import Symmetry, mixed, symmetries
from dadc_net.planning.finite.team_belief import ROUNDING, TeamBelief, TeamBeliefs

_ROUNDS = 2
"""Of telling memories apart by what goes with them. Memories that are told apart no further keep their order."""
_ODD = np.array([(0xD1B54A32D192ED03 * (2 * i + 1) & (2**64 - 1)) | 1 for i in range(32)], dtype=np.uint64)


@dataclass(eq=False, slots=True)
class Kin:
    """What is known of all beliefs that are alike, at one stage."""

    weights: Array
    """[T] of the first of them, in the common order"""
    upper: float = np.inf
    lower: float = -np.inf


class Alike:
    """Finds what is known of beliefs like one. G symmetries, T joint memories, K agents."""

    def __init__(self, joint: JointBeliefs, symmetries: list[Symmetry]) -> None:
        self._joint = joint
        self._symmetries = symmetries
        self._kin: dict[bytes, Kin] = {}
        self._alias: dict[bytes, int] = {}
        self._first: list[Array] = []
        self._aliases = np.full((len(symmetries), 64), -1, dtype=np.int64)
        self.deviation = max(symmetry.deviation for symmetry in symmetries)
        """The largest distance in total mass of beliefs that were taken for one."""
        self.bytes_held = 0

    def kin(self, stage: int, belief: TeamBelief) -> Kin:
        """What is known of beliefs like this one."""
        rounded = np.rint(belief.weights * (1.0 / ROUNDING)).astype(np.int64)
        # Of all that it can become, the one with the smallest hash stands for it.
        told = [self._told(place, belief, rounded) for place in range(len(self._symmetries))]
        _, _, numbers, memories = min(told, key=lambda one: one[:2])
        order = np.lexsort((*memories[::-1], numbers))
        key = np.concatenate(([stage], numbers[order], *(column[order] for column in memories), rounded[order])).tobytes()
        weights = belief.weights[order]
        found = self._kin.get(key)
        if found is None:
            found = self._kin[key] = Kin(weights)
            self.bytes_held += 3 * len(key)
        else:
            self.deviation = max(self.deviation, float(np.abs(found.weights - weights).sum()))
        return found

    def _told(self, place: int, belief: TeamBelief, rounded: Numbers) -> tuple[int, int, Numbers, list[Numbers]]:
        """Its hash under one symmetry, which one that is, joint beliefs [T] and memories [K] of [T] by their new names."""
        numbers = self._named(place, belief.numbers)
        columns = [belief.memories[:, agent] for agent in np.argsort(self._symmetries[place].agents).tolist()]
        counts = [int(column.max()) + 1 for column in columns]
        row = mixed(numbers.astype(np.uint64) * _ODD[0] + rounded.astype(np.uint64) * _ODD[1])
        told = [np.zeros(count, dtype=np.uint64) for count in counts]
        for _ in range(_ROUNDS):
            whole = row.copy()
            for k, column in enumerate(columns):
                whole += told[k][column] * _ODD[2 + k]
            whole = mixed(whole)
            for k, column in enumerate(columns):
                told[k] = _summed(whole, column, counts[k])
        ranks = [np.argsort(np.argsort(one, kind="stable"), kind="stable") for one in told]
        return int(whole.sum(dtype=np.uint64)), place, numbers, [r[c] for r, c in zip(ranks, columns, strict=True)]

    def _named(self, place: int, numbers: Numbers) -> Numbers:
        """[T] numbers of what joint beliefs [T] become under one symmetry, equal where that is the same."""
        if self._aliases.shape[1] < len(self._joint):
            grown = np.full((len(self._symmetries), 2 * len(self._joint)), -1, dtype=np.int64)
            grown[:, : self._aliases.shape[1]] = self._aliases
            self._aliases = grown
        names = self._aliases[place]
        for number in np.unique(numbers[names[numbers] < 0]).tolist():
            names[number] = self._alias_of(place, number)
        named: Numbers = names[numbers]
        return named

    def _alias_of(self, place: int, number: int) -> int:
        states, mass = self._joint.support(number)
        states = self._symmetries[place].states[states]
        order = np.argsort(states)
        mass = mass[order]
        key = states[order].tobytes() + np.rint(mass * (1.0 / ROUNDING)).astype(np.int64).tobytes()
        alias = self._alias.setdefault(key, len(self._first))
        if alias == len(self._first):
            self._first.append(mass)
            self.bytes_held += 2 * len(key) + 200
        else:
            self.deviation = max(self.deviation, float(np.abs(self._first[alias] - mass).sum()))
        return alias


def _summed(values: NDArray[np.uint64], places: Numbers, count: int) -> NDArray[np.uint64]:
    """[count] hashes of what stands at each place, in whatever order."""
    sums = np.zeros(count, dtype=np.uint64)
    np.add.at(sums, places, values)
    return mixed(sums)


def alike(beliefs: TeamBeliefs) -> Alike | None:
    """What finds beliefs that are alike, if the model has symmetries and memories do not become common in parts."""
    if not beliefs.sharing.keeps_whole_words or beliefs.sharing.name == "full-sharing":
        return None
    found = symmetries(beliefs.joint.model)
    return Alike(beliefs.joint, found) if len(found) > 1 else None
