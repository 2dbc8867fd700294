"""Looking one step ahead in the learned model for the best prescription: over a whole menu, or factor by factor.

The number of theta with several factors is a product, and so is the work of looking at each. Instead every factor in turn
takes the choice that is best beside the others' present ones, until none changes. Where that ends depends on where it
began, because what several factors can only gain together none of them gains alone: it begins at several theta, and keeps
the best end. So its maximum may be less than that of all theta, and never more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.factors import Factors
from dadc_net.coordinator.model import LearnedModel
from dadc_net.exact.array import Array

_ROUNDS_MAX = 8
"""How often each factor may choose again; a state that has not settled by then keeps what it has."""


class Ahead(Protocol):
    """Q of a model and a value function of the AIS that follows."""

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> Q of every entry of a menu, or of every choice beside the others of the best theta: [n, C]."""

    def best(self, states: Array) -> Array:
        """AIS [n, X] -> the largest Q [n] that was found."""


class LookAhead:
    """Q of every entry of a menu."""

    def __init__(self, model: LearnedModel, value: Callable[[Array], Array], discount: float) -> None:
        self._model, self._value, self._discount = model, value, discount

    def of(self, states: Array, codes: Array | None) -> Array:
        """Q of the prescriptions with these codes [n, M, C]; None: of all entries. [n, X] -> [n, M]"""
        expansion = self._model.expand(states, codes)
        return expansion.scores(self._value(expansion.following), self._discount)

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> Q [n, M]."""
        return self.of(states, None)

    def best(self, states: Array) -> Array:
        """AIS [n, X] -> max Q [n]."""
        largest: Array = self(states).max(axis=1)
        return largest


class FactoredLookAhead:
    """Q of every choice, beside the others of the best theta that is found."""

    def __init__(self, ahead: LookAhead, factors: Factors, beginnings: NDArray[np.int64]) -> None:
        """``beginnings`` [B, F]: theta from which it begins."""
        self._ahead, self._factors, self._beginnings = ahead, factors, beginnings

    def __call__(self, states: Array) -> Array:
        """AIS [n, X] -> Q [n, C]."""
        return self._found(states)[0]

    def best(self, states: Array) -> Array:
        """AIS [n, X] -> Q [n] of the best theta that is found."""
        return self._found(states)[1]

    def _found(self, states: Array) -> tuple[Array, Array]:
        """Q of choices [n, C], and of the theta itself [n]; of equal ends that of the earlier beginning is kept."""
        scores, worth = self._climb(states, self._beginnings[0])
        for beginning in self._beginnings[1:]:
            others, theirs = self._climb(states, beginning)
            better = theirs > worth
            scores, worth = np.where(better[:, None], others, scores), np.where(better, theirs, worth)
        return scores, worth

    def _climb(self, states: Array, beginning: NDArray[np.int64]) -> tuple[Array, Array]:
        """The same from one beginning [F]; a state that has settled is not looked at again."""
        theta = np.tile(beginning, (len(states), 1))
        scores, worth = np.zeros((len(states), self._factors.code_size)), np.zeros(len(states))
        moving = np.arange(len(states))
        for _ in range(_ROUNDS_MAX):
            before, there = theta[moving], states[moving]
            for factor, span in enumerate(self._factors.spans):
                values = self._ahead.of(there, self._candidates(theta[moving], factor))
                scores[moving, span], worth[moving] = values, values.max(axis=1)
                theta[moving, factor] = values.argmax(axis=1)
            moving = moving[(theta[moving] != before).any(axis=1)]
            if moving.size == 0:
                break
        return scores, worth

    def _candidates(self, theta: NDArray[np.int64], factor: int) -> Array:
        """Codes [n, M, C] of theta [n, F] with each of the M choices of ``factor``."""
        size = self._factors.sizes[factor]
        every = np.repeat(theta[:, None], size, axis=1)
        every[:, :, factor] = np.arange(size)
        return self._factors.codes(every)
