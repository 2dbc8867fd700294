"""The best prescription that is played at every step, whatever happens: the best of all, or the best that is found.

All are tried where that is affordable. Where they are too many but are made of choices, one after the other is bettered from
prescriptions under which every agent always does one thing, and from some that are drawn: first a single choice at a time,
then, for the best that this leads to, two at a time, because two agents may have to change their minds together. That is a
local optimum: what is found bounds the best constant from below, and its value is exact. Of a box of prescriptions its
corners are tried, or, where they are too many, those of one action each.

What is affordable is a number of rows of the law that are moved, and not a time, so that the same is found on every host.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.team.prescriptions import PrescriptionFamily, Theta, finite_theta
from dadc_net.team.spaces import BoxSpace, FiniteSpace

_MOST_WORK = 60_000_000
"""Rows that are moved, counted where each has branched, over all steps and prescriptions: some ten seconds of one core."""
_MOST_ROWS = 2_000_000
"""Joint values of state and local information, beyond which nothing is tried."""
_BLOCK_ROWS = 200_000
_SAMPLE = 16
"""Prescriptions by which it is found out how many rows one moves, at most."""
_NUMBERED = 10_000
_MOST_CORNERS = 4096
_DRAWN, _MOST_STARTS = 32, 256
"""Prescriptions that the search begins with: drawn ones, and those of one action each."""
_FEW = 4
"""Of where they led, those from which two choices are changed."""
_NOTHING = 1e-9


class BestConstant(NamedTuple):
    """A constant prescription that was found."""

    value: float
    """Exact."""
    theta: Theta
    """[], or [F] choices"""
    entry: int | None
    """Its number among all, where all were tried; None: there may be a better one."""


def best_constant(values: RuleValues, family: PrescriptionFamily) -> BestConstant | None:
    """The best prescription to play at every step; None where they are not finitely many, or too many to search through."""
    space = family.space
    rows = values.team.model.num_states * math.prod(values.team.local_values)
    if rows > _MOST_ROWS:
        return None
    if isinstance(space, BoxSpace):
        return _best_corner(values, family, space)
    if not isinstance(space, FiniteSpace):
        return None
    worth = _Worth(values, _sample(space))
    if worth.affords(space.num_values):
        return _best_of_all(worth, space)
    search = _Search(worth, space)
    starts = _starts(values, family, space)
    # A menu is a list: what is not tried there is not near to anything that was.
    if space.columns == 1 or not worth.affords(len(starts) + search.singly):
        return None
    return search.best(starts)


def _best_of_all(worth: _Worth, space: FiniteSpace) -> BestConstant:
    firsts = range(0, space.num_values, _NUMBERED)
    blocks = (np.arange(first, min(first + _NUMBERED, space.num_values)) for first in firsts)
    found = worth.best_of(theta for numbers in blocks for theta in finite_theta(space, numbers))
    if found is None:
        raise InvariantError(f"{space} has no prescription")
    value, theta = found
    return BestConstant(value, theta, int(theta) if space.columns == 1 else int(space.index(theta[None])[0]))


def _starts(values: RuleValues, family: PrescriptionFamily, space: FiniteSpace) -> NDArray[np.int64]:
    """[n, F] where the search begins."""
    drawn, always = _drawn(space, _DRAWN), _one_action_each(values, family)
    return drawn if always is None else np.concatenate((always, drawn))


def _one_action_each(values: RuleValues, family: PrescriptionFamily) -> Theta | None:
    """Prescriptions under which every agent always does one thing, not all if they are many."""
    joint = values.team.model.joint_actions
    if family.shape[0] == 1:
        return family.always(np.arange(min(joint.sizes))[:, None])
    return family.always(joint.values(np.arange(min(joint.num_values, _MOST_STARTS))))


def _best_corner(values: RuleValues, family: PrescriptionFamily, space: BoxSpace) -> BestConstant | None:
    always = _one_action_each(values, family)
    if always is None:
        return None
    worth, tried = _Worth(values, always[:_SAMPLE]), always
    corners = 2 ** len(space.low)
    if corners <= _MOST_CORNERS and worth.affords(corners):
        tried = np.array(list(itertools.product(*zip(space.low, space.high, strict=True))))
    found = worth.best_of(iter(tried)) if worth.affords(len(tried)) else None
    return None if found is None else BestConstant(*found, None)


class _Worth:
    """Exact values of constant prescriptions, and what they cost."""

    def __init__(self, values: RuleValues, sample: Theta) -> None:
        """``sample``: [n] or [n, F] some prescriptions, by which it is found out what one costs."""
        self._values = values
        self._begun = values.moved
        self._block, tried = 1, 0
        for theta in sample:
            values.constant(theta[None])
            tried += 1
            if self.moved > _MOST_WORK:
                break
        self._each = -(-self.moved // tried)
        self._block = max(1, _BLOCK_ROWS * values.steps // self._each)

    @property
    def moved(self) -> int:
        """Rows."""
        return self._values.moved - self._begun

    def affords(self, count: int) -> bool:
        """Whether ``count`` more prescriptions can be tried."""
        return self.moved + count * self._each <= _MOST_WORK

    def of(self, thetas: Theta) -> Array:
        """[n] of [n] or [n, F]"""
        firsts = range(0, len(thetas), self._block)
        return np.concatenate([self._values.constant(thetas[first : first + self._block]) for first in firsts])

    def best_of(self, tried: Iterator[Theta]) -> tuple[float, Theta] | None:
        """The first of prescriptions [] or [F] that none betters by more than rounding; None of none.

        They are made as they are needed.
        """
        found: tuple[float, Theta] | None = None
        while block := list(itertools.islice(tried, self._block)):
            worth = self._values.constant(np.array(block))
            if found is None or worth.max() > found[0] + _NOTHING:
                best = int(np.argmax(worth > worth.max() - _NOTHING))
                found = float(worth[best]), block[best]
        return found


def _sample(space: FiniteSpace) -> Theta:
    """Some prescriptions, [n] or [n, F], all where they are few."""
    if space.num_values <= _SAMPLE:
        return finite_theta(space, np.arange(space.num_values))
    thetas = _drawn(space, _SAMPLE)
    return thetas[:, 0] if space.columns == 1 else thetas


def _drawn(space: FiniteSpace, count: int) -> NDArray[np.int64]:
    """[count, F] some values, the same everywhere."""
    sizes = np.array(space.sizes)
    share = Stream("planning/best-constant", seed_bytes(0)).uniforms(0, count, len(sizes))
    thetas: NDArray[np.int64] = (share * sizes).astype(np.int64)
    return thetas


class _Search:
    """Betters prescriptions of several factors choice by choice."""

    def __init__(self, worth: _Worth, space: FiniteSpace) -> None:
        self._worth, self._sizes = worth, space.sizes
        self.singly = sum(self._sizes) - len(self._sizes)
        """Changes of a single choice."""

    def best(self, starts: NDArray[np.int64]) -> BestConstant:
        """From each of ``starts`` [n, F], the most promising first."""
        worth = self._worth.of(starts)
        reached = [self._climbed(float(worth[start]), starts[start]) for start in np.argsort(-worth, kind="stable")]
        different = {tuple(theta.tolist()): value for value, theta in reached}
        best = sorted(different.items(), key=lambda pair: (-pair[1], pair[0]))
        found = [self._bettered(value, np.array(theta)) for theta, value in best[:_FEW]]
        value, theta = max([(best[0][1], np.array(best[0][0])), *found], key=lambda pair: pair[0])
        return BestConstant(value, theta, None)

    def _bettered(self, value: float, theta: Numbers) -> tuple[float, Numbers]:
        """Where neither one other choice is better, nor, as far as they can be tried, two others are."""
        while self._worth.affords(self.singly**2 // 2):
            best = self._worth.best_of(self._changed(theta, 2))
            if best is None or not best[0] > value + _NOTHING:
                break
            value, theta = self._climbed(*best)
        return value, theta

    def _climbed(self, value: float, theta: Numbers) -> tuple[float, Numbers]:
        """Where no single other choice is better."""
        while self._worth.affords(self.singly):
            best = self._worth.best_of(self._changed(theta, 1))
            if best is None or not best[0] > value + _NOTHING:
                break
            value, theta = best
        return value, theta

    def _changed(self, theta: Numbers, count: int) -> Iterator[Numbers]:
        """[F] each"""
        others = [[choice for choice in range(size) if choice != own] for size, own in zip(self._sizes, theta, strict=True)]
        for factors in itertools.combinations(range(len(theta)), count):
            for choices in itertools.product(*(others[factor] for factor in factors)):
                changed = theta.copy()
                changed[list(factors)] = choices
                yield changed
