"""A record's way into its row of a window, through encoder and network, to the drawn prescription: one step of acting.

Its parts are those of ``acting``, and so are its bits. With compiled kernels the whole way is one call.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact import compiled, elementary, grid, scan
from dadc_net.exact.acting import (
    MANY_PRODUCTS,
    MANY_ROWS,
    PreparedLinear,
    PreparedTower,
    Reading,
    RecurrentEncoder,
    draw,
    of_one_type,
    weight_scale,
)
from dadc_net.exact.array import Array
from dadc_net.exact.streams import categorical

Numbers = NDArray[np.int64]
Encoder = RecurrentEncoder | Reading
_PLAYED_FACTOR = 4
"""So many times the rows from which on NumPy's products alone take less time."""


class Rows(NamedTuple):
    """Of a window of T lock-steps, E copies; rows 0 .. T but of ``drawn``, which is drawn at 0 .. T - 1."""

    inputs: Array
    """[T+1, E, I] what the encoder reads"""
    keep: Array
    """[T+1, E, 1] 0 where a copy begins"""
    numbers: Numbers
    """[T+1, E] of z"""
    rewards: Array
    """[T+1, E]"""
    ended: NDArray[np.uint8]
    """[T+1, E]"""
    drawn: NDArray[Any]
    """[T, E] entries of a menu, or [T, E, D] points of a box"""

    def after(self, first: int) -> tuple[NDArray[Any], ...]:
        """Rows ``first`` .. of each."""
        parts = self.inputs, self.keep, self.numbers, self.rewards, self.ended, self.drawn
        return tuple(part[first:] for part in parts)

    def emptied(self, first: int) -> Rows:
        """A copy that is 0 in rows ``first`` .. ."""
        copied = Rows(
            inputs=self.inputs.copy(),
            keep=self.keep.copy(),
            numbers=self.numbers.copy(),
            rewards=self.rewards.copy(),
            ended=self.ended.copy(),
            drawn=self.drawn.copy(),
        )
        for part in copied.after(first):
            part[...] = 0
        return copied


class Entered(NamedTuple):
    """What a record says, for a row of a window."""

    common: Numbers
    """[E, C] z"""
    rewards: Array
    """[E]"""
    begin: NDArray[np.bool_]
    """[E]"""
    ended: NDArray[np.uint8]
    """[E]"""


class CodeTable(NamedTuple):
    """What an encoder reads of each z, where its values are numbered."""

    strides: Numbers
    """[C] of the number of a value"""
    codes: Array
    """[Z, F] by number"""


class Chosen(NamedTuple):
    """What followed from a record."""

    ais: Array
    """[E, X] x_t"""
    played: NDArray[Any]
    """theta_t: [E] entries of a menu, or [E, D] points of a box"""
    code: Array
    """[E, M] of it"""


class EnteringStep(ABC):
    """Encoder, a network with tanh layers and the draw of theta: the bits of the three one after another.

    Axis letters: E copies, I inputs, X units of the state, M outputs, W random words.
    """

    def __init__(self, encoder: Encoder, tower: PreparedTower) -> None:
        self._encoder, self._tower = encoder, tower
        of_encoder = (encoder.input, encoder.gates, encoder.recurrent) if isinstance(encoder, RecurrentEncoder) else ()
        self._layers = *of_encoder, *tower.hidden, tower.output
        largest = max(layer.weight.values.size for layer in self._layers)
        self._many_rows: int = min(MANY_ROWS, -(-MANY_PRODUCTS // largest))
        """From here on NumPy takes less time than a kernel."""
        scale = encoder.scale if isinstance(encoder, Reading) else 0.0
        if isinstance(encoder, Reading) and not scale > 0.0:
            raise InvariantError(f"what is common is read with the scale {scale}, but a kernel takes 0 for an encoder")
        self.network = *_packed(self._layers), scale
        """What a compiled kernel takes for both."""

    @abstractmethod
    def __call__(self, inputs: Array, keep: Array, previous: Array, noise: NDArray[Any]) -> tuple[Array, NDArray[Any]]:
        """Inputs [E, I], keep [E, 1], previous [E, X], what theta is drawn with [E, W] -> x_t [E, X], theta as drawn."""

    def enter(
        self,
        row: int,
        record: Entered,
        table: CodeTable,
        rows: Rows,
        previous: Array,
        ais: Array,
        noise: NDArray[Any],
    ) -> Chosen | None:
        """Write a record into ``row`` of ``rows``, and act on it, in one.

        Args:
            previous: [E, M] code of the theta before.
            ais: [E, X] x_{t-1}
            noise: [E, W]

        Returns:
            What follows; None where no kernel does it, or it is not sure: whoever writes the row anew then finds all as it
            was.
        """
        kernels = compiled.kernels
        if kernels is None or len(ais) >= self._many_rows:
            return None
        told = (*map(np.ascontiguousarray, record), *table, previous, ais)
        given = row, tuple(rows), *told, of_one_type(noise), *self.packed
        return self._enter(kernels, given, ais.shape, previous.shape)

    @property
    @abstractmethod
    def packed(self) -> tuple[Any, ...]:
        """What a compiled kernel takes for it."""

    @abstractmethod
    def _enter(
        self, kernels: ModuleType, given: tuple[Any, ...], ais: tuple[int, ...], code: tuple[int, ...]
    ) -> Chosen | None:
        """By one of the ``kernels``, whose arguments are ``given`` but for what it writes; shapes [E, X] and [E, M]."""


class EntryStep(EnteringStep):
    """The network says logits, and an entry of a menu is drawn; W is 1."""

    def __init__(self, encoder: Encoder, tower: PreparedTower) -> None:
        super().__init__(encoder, tower)
        self._scale = weight_scale(tower.output.bias.size)
        self._sure = _nearness(encoder, tower) if isinstance(encoder, RecurrentEncoder) and len(tower.hidden) == 1 else None
        """Of all candidates of a row; None where they are not rounded at once."""

    @property
    def packed(self) -> tuple[Any, ...]:
        """The network, and the scale of weights."""
        return self.network, self._scale

    def suits_playing(self, copies: int) -> bool:
        """Whether a batch that a kernel plays takes less time: what it saves besides makes up for slower products."""
        return copies < _PLAYED_FACTOR * self._many_rows

    def __call__(
        self, inputs: Array, keep: Array, previous: Array, noise: NDArray[np.uint64]
    ) -> tuple[Array, NDArray[np.int64]]:
        if compiled.kernels is not None and len(inputs) < self._many_rows:
            state, chosen = np.empty(previous.shape), np.empty(len(inputs), dtype=np.int64)
            rest = state, chosen, elementary.TOLERANCE
            if compiled.kernels.choose(inputs, keep, previous, of_one_type(noise), *self.packed, *rest):
                return state, chosen
        elif compiled.kernels is None and self._sure is not None:
            state, weights, sure = self._untested(inputs, keep, previous, self._sure)
            if sure:
                return state, categorical(noise[:, 0], np.rint(weights * self._scale).astype(np.int64))
        state = self._encoder(inputs, keep, previous)
        return state, draw(self._tower(state), noise[:, 0])

    def _enter(
        self, kernels: ModuleType, given: tuple[Any, ...], ais: tuple[int, ...], code: tuple[int, ...]
    ) -> Chosen | None:
        found = Chosen(np.empty(ais), np.empty(ais[0], dtype=np.int64), np.empty(code))
        return found if kernels.enter(*given, *found, elementary.TOLERANCE) else None

    def _untested(self, inputs: Array, keep: Array, previous: Array, nearness: Array) -> tuple[Array, Array, bool]:
        """x_t and softmax weights with one rounding test for all values at the end; whether they have passed it."""
        first, gate, recurrent, hidden, output = self._layers
        size = previous.shape[1]
        kept = previous * keep
        kept += 0.0
        raw = np.tanh(first(inputs))
        embedded = grid.round_to_grid(raw, elementary.TANH_GRID)
        gates, pushed = gate(embedded), recurrent(kept)
        raw_both = np.tanh((gates[:, : 2 * size] + pushed[:, : 2 * size]) * 0.5)
        halves = grid.round_to_grid(raw_both, elementary.TANH_GRID)
        both = halves * 0.5 + 0.5
        raw_candidate = np.tanh(gates[:, 2 * size :] + both[:, :size] * pushed[:, 2 * size :])
        candidate = grid.round_to_grid(raw_candidate, elementary.TANH_GRID)
        state = grid.round_to_grid(candidate + both[:, size:] * (kept - candidate), scan.STATE_GRID)
        raw_hidden = np.tanh(hidden(state))
        rounded = grid.round_to_grid(raw_hidden, elementary.TANH_GRID)
        logits = output(rounded)
        logits -= logits.max(axis=1, keepdims=True)
        logits += 0.0
        raw_weights = np.exp(logits)
        weights = grid.round_to_grid(raw_weights, elementary.EXP_GRID)
        candidates = np.concatenate((raw, raw_both, raw_candidate, raw_hidden, raw_weights), axis=1)
        candidates -= np.concatenate((embedded, halves, candidate, rounded, weights), axis=1)
        # A NaN is not less than anything.
        sure = b"\0" not in (np.abs(candidates, out=candidates) < nearness).tobytes()
        return state, weights, sure


class PointStep(EnteringStep):
    """The network says means, and a point is drawn around them; what is played is the nearest point of a box. W is D."""

    def __init__(self, encoder: Encoder, tower: PreparedTower, deviation: Array, box: tuple[Array, ...]) -> None:
        """``deviation`` [D] of the draw; ``box``: its lower and upper ends, its centre and half its width, [D] each."""
        super().__init__(encoder, tower)
        self._box = np.stack((deviation, *box))

    @property
    def packed(self) -> tuple[Any, ...]:
        """The network, deviation and box."""
        return self.network, self._box

    def __call__(self, inputs: Array, keep: Array, previous: Array, noise: Array) -> tuple[Array, Array]:
        state = self._encoder(inputs, keep, previous)
        drawn: Array = self._tower(state) + self._box[0] * noise
        return state, drawn

    def _enter(
        self, kernels: ModuleType, given: tuple[Any, ...], ais: tuple[int, ...], code: tuple[int, ...]
    ) -> Chosen | None:
        found = Chosen(np.empty(ais), np.empty(code), np.empty(code))
        return found if kernels.enter_point(*given, *found, elementary.TOLERANCE) else None


def _nearness(encoder: RecurrentEncoder, tower: PreparedTower) -> Array:
    """How near to its rounded value each candidate of a row must lie, so that it is sure; none exceeds 1."""
    size, width = encoder.gates.weight.values.shape[0], tower.hidden[0].bias.size
    grids = (elementary.TANH_GRID, 4 * size + width), (elementary.EXP_GRID, tower.output.bias.size)
    return np.concatenate([np.full(count, 0.5 * grid - elementary.TOLERANCE) for grid, count in grids])


def _packed(layers: tuple[PreparedLinear, ...]) -> tuple[Array, Numbers, Array]:
    """Weights and biases of all layers one after another; inputs, outputs and where it begins of each [N, 3]; rounding
    constants of their inputs [N]."""
    values = [np.concatenate((layer.weight.values.reshape(-1), layer.bias)) for layer in layers]
    begins = itertools.accumulate((part.size for part in values), initial=0)
    sizes = [(*layer.weight.values.shape, begin) for layer, begin in zip(layers, begins, strict=False)]
    return np.concatenate(values), np.array(sizes, dtype=np.int64), np.array([layer.rounding for layer in layers])
