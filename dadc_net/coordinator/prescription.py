"""Prescriptions as the coordinator sees them: a parameter theta, drawn with the shared stream: an entry, choices or a point.

The coordinator chooses *which* prescription the team follows; it never applies one, because that takes local
information. It is told the space of theta, and not what theta does: agent k knows that, in ``node``.

    Menu    theta is one of M entries; psi a softmax; its code is one-hot          (paper, E.1)
    Factored theta is F choices, drawn one after the other, each seeing those before
            it; its code is their one-hots side by side                           (paper, Section 7)
    Box     theta is a point of a box in R^D; psi a Gaussian; its code is theta
            scaled to -1 .. 1                                                     (paper, Section 5)
    Corners theta is a corner of such a box: a point is played as the corner
            on its side of the centre

A Gaussian draw outside the box is played as the nearest point of the box. What is *drawn* stays as it is, because that is
what the likelihood of a policy gradient is about; what is *played* is clamped. The two are the same otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.factors import Factors
from dadc_net.exact.acting import PreparedTower, draw
from dadc_net.exact.array import Array
from dadc_net.exact.entering import Encoder, EntryStep, PointStep
from dadc_net.exact.normal import normals
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import BoxSpace, FiniteSpace, space_from_plain

Theta = NDArray[Any]
"""int64 [...] of a menu, int64 [..., F] of several factors, float64 [..., D] of a box"""
Encode = Callable[[Array, Array, Array], Array]
"""Encoder inputs [E, I], 0.0 where a copy begins [E, 1], x_{t-1} [E, X] -> x_t [E, X]"""
Act = Callable[[Array, Array, Array, NDArray[Any]], tuple[Array, Theta]]
"""The same with ``ThetaSpace.noise`` -> x_t, and theta as it is drawn."""


_TABLE_ENTRIES = 256
"""Of the largest menu whose codes are a table."""


class ThetaSpace(ABC):
    """Where theta lies."""

    code_size: int
    """Length of theta's code, and of what a network says to choose one."""
    words: int
    """Random words per draw."""

    @abstractmethod
    def zeros(self, *shape: int) -> Theta:
        """An array for drawn theta of this leading shape."""

    @abstractmethod
    def draw(self, scores: Array, own: Array, words: NDArray[np.uint64]) -> Theta:
        """Draw theta from psi(x).

        Args:
            scores: [E, C] logits or means.
            own: what psi has beside them at every x: a box's deviation [D], the coupling [C, C] of several factors; empty
                for a menu, and for factors that do not look at one another.
            words: [E, words].
        """

    @abstractmethod
    def uniform(self, words: NDArray[np.uint64]) -> Theta:
        """Draw theta uniformly from the whole space; words [E, words]."""

    def noise(self, stream: Stream, step: int, copies: int, is_uniform: bool) -> NDArray[Any]:
        """What theta is drawn with at lock-step ``step``, ``is_uniform`` or from psi: words [E, words], or made of them."""
        return stream.words(step, copies, self.words)

    def place(self, scores: Array, own: Array, noise: NDArray[Any]) -> Theta:
        """``draw`` with noise instead of words."""
        return self.draw(scores, own, noise)

    def act(self, encode: Encode, scores: Callable[[Array], Array] | None, own: Array) -> Act:
        """One record's way from the encoder to the drawn theta; ``scores`` of x, as in ``draw``, None: uniformly."""

        def act(inputs: Array, keep: Array, previous: Array, noise: NDArray[Any]) -> tuple[Array, Theta]:
            ais = encode(inputs, keep, previous)
            return ais, self.uniform(noise) if scores is None else self.place(scores(ais), own, noise)

        return act

    @abstractmethod
    def greedy(self, scores: Array, own: Array) -> Theta:
        """What the learned rule plays: the best-scored entry, ties to the lowest index; the likeliest choices; the mean."""

    @abstractmethod
    def played(self, drawn: Theta) -> Theta:
        """What is played when ``drawn`` was drawn."""

    @abstractmethod
    def codes(self, theta: Theta) -> Array:
        """Code of what is played, entries of magnitude at most 1: [..., C]."""


class Menu(ThetaSpace):
    """One of M entries."""

    words = 1

    def __init__(self, entries: int) -> None:
        self.code_size = entries
        self._entries = np.arange(entries)
        self._codes = np.eye(entries) if entries <= _TABLE_ENTRIES else None
        """[M, M] of a small menu."""

    def zeros(self, *shape: int) -> Theta:
        return np.zeros(shape, dtype=np.int64)

    def draw(self, scores: Array, own: Array, words: NDArray[np.uint64]) -> Theta:
        return draw(scores, words[:, 0])

    def act(self, encode: Encode, scores: Callable[[Array], Array] | None, own: Array) -> Act:
        if isinstance(encode, Encoder) and isinstance(scores, PreparedTower) and not scores.rectified:
            return EntryStep(encode, scores)
        return super().act(encode, scores, own)

    def uniform(self, words: NDArray[np.uint64]) -> Theta:
        return draw(np.zeros((len(words), self.code_size)), words[:, 0])

    def greedy(self, scores: Array, own: Array) -> Theta:
        chosen: NDArray[np.int64] = np.argmax(scores, axis=1).astype(np.int64)
        return chosen

    def played(self, drawn: Theta) -> Theta:
        return drawn

    def codes(self, theta: Theta) -> Array:
        if self._codes is not None:
            return self._codes[theta]
        coded: Array = (theta[..., None] == self._entries).astype(np.float64)
        return coded


class Factored(ThetaSpace):
    """A choice in each of F finite factors."""

    def __init__(self, sizes: tuple[int, ...], beam_width: int) -> None:
        self.factors = Factors(sizes)
        self.code_size, self.words = self.factors.code_size, self.factors.count
        self._beam_width = beam_width

    def zeros(self, *shape: int) -> Theta:
        return np.zeros((*shape, self.factors.count), dtype=np.int64)

    def draw(self, scores: Array, own: Array, words: NDArray[np.uint64]) -> Theta:
        return self.factors.draw(scores, own, words)

    def uniform(self, words: NDArray[np.uint64]) -> Theta:
        return self.factors.draw(np.zeros((len(words), self.code_size)), np.zeros(0), words)

    def greedy(self, scores: Array, own: Array) -> Theta:
        return self.factors.decode(scores, own, self._beam_width)

    def played(self, drawn: Theta) -> Theta:
        return drawn

    def codes(self, theta: Theta) -> Array:
        return self.factors.codes(theta)


class Box(ThetaSpace):
    """A point of a box."""

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = low, high
        self.centre = (low + high) * 0.5
        self.half_width = (high - low) * 0.5
        self.code_size = self.words = len(low)

    def zeros(self, *shape: int) -> Theta:
        return np.zeros((*shape, self.code_size))

    def draw(self, scores: Array, own: Array, words: NDArray[np.uint64]) -> Theta:
        return self.place(scores, own, normals(words))

    def noise(self, stream: Stream, step: int, copies: int, is_uniform: bool) -> NDArray[Any]:
        if is_uniform:
            return super().noise(stream, step, copies, is_uniform)
        return stream.normals(step, copies, self.words)

    def place(self, scores: Array, own: Array, noise: NDArray[Any]) -> Theta:
        drawn: Array = scores + own * noise
        return drawn

    def act(self, encode: Encode, scores: Callable[[Array], Array] | None, own: Array) -> Act:
        # A corner is placed otherwise.
        if type(self) is Box and isinstance(encode, Encoder) and isinstance(scores, PreparedTower) and not scores.rectified:
            return PointStep(encode, scores, own, (self.low, self.high, self.centre, self.half_width))
        return super().act(encode, scores, own)

    def uniform(self, words: NDArray[np.uint64]) -> Theta:
        share = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        drawn: Array = self.low + share * (self.high - self.low)
        return drawn

    def greedy(self, scores: Array, own: Array) -> Theta:
        return self.played(scores)

    def played(self, drawn: Theta) -> Theta:
        # The sum turns a negative zero into a positive one, whichever of them a host's minimum prefers.
        inside: Array = np.minimum(np.maximum(drawn, self.low), self.high) + 0.0
        return inside

    def codes(self, theta: Theta) -> Array:
        scaled: Array = (self.played(theta) - self.centre) / self.half_width
        return np.minimum(np.maximum(scaled, -1.0), 1.0) + 0.0


class Corners(Box):
    """A corner of a box: where only the extremes of every dimension of theta are to be tried and played."""

    def place(self, scores: Array, own: Array, noise: NDArray[Any]) -> Theta:
        return self.greedy(super().place(scores, own, noise), own)

    def uniform(self, words: NDArray[np.uint64]) -> Theta:
        return self.greedy(super().uniform(words), np.zeros(0))

    def greedy(self, scores: Array, own: Array) -> Theta:
        corner: Array = np.where(scores >= self.centre, self.high, self.low) + 0.0
        return corner


def one_hot(index: NDArray[np.int64], size: int) -> Array:
    """[...] -> [..., size]"""
    coded: Array = (index[..., None] == np.arange(size)).astype(np.float64)
    return coded


def theta_space(record: Mapping[str, Any], corners: bool = False, beam_width: int = 1) -> ThetaSpace:
    """The space of theta that ``team.spaces`` describes as plain data.

    Args:
        corners: whether of a box only its corners are played.
        beam_width: beginnings that decoding keeps, where theta has several factors.
    """
    space = space_from_plain(record)
    if isinstance(space, FiniteSpace):
        return Menu(space.num_values) if len(space.sizes) == 1 else Factored(space.sizes, beam_width)
    if isinstance(space, BoxSpace):
        return (Corners if corners else Box)(np.array(space.low), np.array(space.high))
    raise TypeError(f"{space} is no space of prescriptions")
