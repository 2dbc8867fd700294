"""The acting step: one record's way from encoder input to the drawn prescription, for E rows at a time.

Everything is ``grid``, ``elementary``, ``scan.step`` and ``streams.categorical`` put together; it stands here in one place
because it runs at every lock-step, where NumPy's cost is that of its calls. With compiled kernels it is one call.
The bits are those of the layers that updates use: forward scales are fixed, so a row alone and a row of a batch agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact import compiled, elementary, grid, scan
from dadc_net.exact.array import Array
from dadc_net.exact.grid import Operand
from dadc_net.exact.streams import categorical

INPUT_EXPONENT = 0
"""Layers are fed with numbers of magnitude at most 1 (tanh outputs, AIS, codes), unless they say otherwise."""
RELU_EXPONENT = 3
RELU_MAX = 8.0
"""Where a rectifier is cut off, so that it has a fixed scale."""
MANY_ROWS = 96
"""From here on NumPy's calls cost less than its vectors save, and a network is faster without a kernel."""
_MANY_PRODUCTS = 150_000
"""Likewise, of rows times weights of one layer."""
_EXP_BITS = 30
_THRESHOLD_BITS = 32


Numbers = NDArray[np.int64]


class Arrays(Protocol):
    """Anything with named parameter arrays: a parameter group, or a copy of one."""

    @property
    def arrays(self) -> dict[str, Array]:
        """Tensor name -> values."""
        ...


@dataclass(frozen=True)
class PreparedLinear:
    """A linear layer for acting: its weight is already rounded for its products, ``grid.product`` is spelt out."""

    weight: Operand
    bias: Array
    """Without negative zeros, so that the sign of a zero that comes out of BLAS ends here."""
    rounding: float
    """Rounds the input onto the grid of its fixed scale."""

    @classmethod
    def of(cls, source: Arrays, name: str, exponent: int = INPUT_EXPONENT) -> PreparedLinear:
        """Prepare layer ``name`` from the present ``name.weight`` [n, p] and ``name.bias`` [p]; inputs |x| <= 2^exponent."""
        weight = source.arrays[f"{name}.weight"]
        terms = weight.shape[0]
        if terms > grid.CHUNK_TERMS:
            raise InvariantError(f"layer {name} has {terms} inputs; acting is exact up to {grid.CHUNK_TERMS}")
        rounding = grid.rounding_constant(math.ldexp(1.0, exponent - grid.operand_bits(terms)))
        return cls(grid.operand(weight, terms), source.arrays[f"{name}.bias"] + 0.0, rounding)

    @property
    def packed(self) -> tuple[Array, Array, float]:
        """What a compiled kernel takes for a layer."""
        return self.weight.values, self.bias, self.rounding

    def __call__(self, x: Array) -> Array:
        """x [n, fan_in] -> [n, fan_out]; x within the layer's fixed scale."""
        rounded = x + self.rounding
        rounded -= self.rounding
        result: Array = rounded @ self.weight.values
        result += self.bias
        return result

    def activated(self, x: Array) -> Array:
        """tanh of what it gives for x [n, fan_in]: [n, fan_out]."""
        if compiled.kernels is not None and self.suits_kernels(len(x)):
            result: Array = np.empty((x.shape[0], self.bias.size))
            if compiled.kernels.tanh_layer(x, self.packed, result, elementary.TOLERANCE):
                return result
        return elementary.tanh(self(x))

    def suits_kernels(self, rows: int) -> bool:
        """Whether so few rows take a kernel less time than NumPy."""
        return rows < MANY_ROWS and rows * self.weight.values.size < _MANY_PRODUCTS


@dataclass(frozen=True, kw_only=True)
class RecurrentEncoder:
    """tanh layer, gate layer and recurrent step: x_t = rho(x_{t-1}, inputs_t)."""

    input: PreparedLinear
    gates: PreparedLinear
    recurrent: PreparedLinear

    def __call__(self, inputs: Array, keep: Array, previous: Array) -> Array:
        """inputs [E, I], keep [E, 1] (0.0 where a copy begins), previous [E, X] -> x_t [E, X]."""
        if compiled.kernels is not None:
            state: Array = np.empty(previous.shape)
            layers = self.input.packed, self.gates.packed, self.recurrent.packed
            if compiled.kernels.encode(inputs, keep, previous, *layers, state, elementary.TOLERANCE):
                return state
        kept = previous * keep + 0.0
        gates = self.gates(elementary.tanh(self.input(inputs)))
        return scan.step(gates, kept, self.recurrent.weight, self.recurrent.bias)


@dataclass(frozen=True)
class PreparedTower:
    """A network: hidden layers with tanh (or a rectifier cut off at 8), then a linear layer."""

    hidden: tuple[PreparedLinear, ...]
    output: PreparedLinear
    rectified: bool = False

    @property
    def is_shallow(self) -> bool:
        """Whether it has one hidden layer, with tanh."""
        return len(self.hidden) == 1 and not self.rectified

    def __call__(self, x: Array) -> Array:
        """x [E, n] -> [E, p]."""
        *others, last = self.hidden
        for layer in others:
            x = self._after(layer, x)
        if compiled.kernels is not None and not self.rectified and last.suits_kernels(len(x)):
            result: Array = np.empty((x.shape[0], self.output.bias.size))
            if compiled.kernels.hidden_layer(x, last.packed, self.output.packed, result, elementary.TOLERANCE):
                return result
        return self.output(self._after(last, x))

    def before_each_code(self, x: Array) -> Array:
        """x [n, X] followed by each of M one-hot codes, which the rest of the first layer's inputs is for -> [n, M, p].

        The first layer's product is the sum of a part that depends on x alone and of a row of the weight for each code. Both
        are exact, and so is their sum: these are the bits of a call with every pair.
        """
        first, *others = self.hidden
        rounded = x + first.rounding
        rounded -= first.rounding
        known, codes = first.weight.values[: x.shape[1]], first.weight.values[x.shape[1] :]
        fed: Array = (rounded @ known)[:, None, :] + codes
        fed += first.bias
        y = self._activated(fed.reshape(-1, first.bias.size))
        for layer in others:
            y = self._after(layer, y)
        return self.output(y).reshape(len(x), len(codes), self.output.bias.size)

    def _after(self, layer: PreparedLinear, x: Array) -> Array:
        return self._activated(layer(x)) if self.rectified else layer.activated(x)

    def _activated(self, x: Array) -> Array:
        return np.minimum(np.maximum(x, 0.0), RELU_MAX) if self.rectified else elementary.tanh(x)


class Rows(NamedTuple):
    """Of a window of T lock-steps, E copies; rows 0 .. T but of ``entries``, which are drawn at 0 .. T - 1."""

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
    entries: Numbers
    """[T, E] of a menu"""

    def after(self, first: int) -> tuple[NDArray[Any], ...]:
        """Rows ``first`` .. of each."""
        parts = self.inputs, self.keep, self.numbers, self.rewards, self.ended, self.entries
        return tuple(part[first:] for part in parts)

    def emptied(self, first: int) -> Rows:
        """A copy that is 0 in rows ``first`` .. ."""
        copied = Rows(
            inputs=self.inputs.copy(),
            keep=self.keep.copy(),
            numbers=self.numbers.copy(),
            rewards=self.rewards.copy(),
            ended=self.ended.copy(),
            entries=self.entries.copy(),
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


class EntryStep:
    """Encoder, a shallow network of logits and the draw of an entry in one: the bits of the three one after another."""

    def __init__(self, encoder: RecurrentEncoder, tower: PreparedTower) -> None:
        self._encoder, self._tower = encoder, tower
        self._layers = encoder.input, encoder.gates, encoder.recurrent, tower.hidden[0], tower.output
        self._packed = tuple(layer.packed for layer in self._layers)
        size, (width, entries) = encoder.gates.weight.values.shape[0], tower.output.weight.values.shape
        self._scale = math.ldexp(1.0, _weight_bits(entries))
        grids = (elementary.TANH_GRID, 4 * size + width), (elementary.EXP_GRID, entries)
        self._sure = np.concatenate([np.full(count, 0.5 * grid - elementary.TOLERANCE) for grid, count in grids])
        """How near to its rounded value each of a row's candidates must lie; none of them exceeds 1."""

    @property
    def packed(self) -> tuple[Any, ...]:
        """What a compiled kernel takes for it: five layers, and the scale of weights."""
        return (*self._packed, self._scale)

    def __call__(
        self, inputs: Array, keep: Array, previous: Array, words: NDArray[np.uint64]
    ) -> tuple[Array, NDArray[np.int64]]:
        """Inputs [E, I], keep [E, 1], previous [E, X], words uint64 [E, 1] -> x_t [E, X], entries int64 [E]."""
        if compiled.kernels is None:
            state, weights, sure = self._untested(inputs, keep, previous)
            if sure:
                return state, categorical(words[:, 0], np.rint(weights * self._scale).astype(np.int64))
        elif len(inputs) < MANY_ROWS:
            state, chosen = np.empty(previous.shape), np.empty(len(inputs), dtype=np.int64)
            rest = self._scale, state, chosen, elementary.TOLERANCE
            if compiled.kernels.choose(inputs, keep, previous, _own(words), *self._packed, *rest):
                return state, chosen
        state = self._encoder(inputs, keep, previous)
        return state, draw(self._tower(state), words[:, 0])

    def enter(
        self,
        row: int,
        record: Entered,
        table: CodeTable,
        rows: Rows,
        previous: Array,
        ais: Array,
        words: NDArray[np.uint64],
    ) -> tuple[Array, Numbers, Array] | None:
        """Write a record into ``row`` of ``rows``, and act on it, in one.

        Args:
            previous: [E, M] code of the entries before.
            ais: [E, X] x_{t-1}
            words: [E, 1]

        Returns:
            x_t [E, X], entries int64 [E] and their code [E, M]; None where no kernel does it, or it is not sure: whoever
            writes the row anew then finds all as it was.
        """
        if compiled.kernels is None or len(ais) >= MANY_ROWS:
            return None
        state, chosen, code = np.empty(ais.shape), np.empty(len(ais), dtype=np.int64), np.empty(previous.shape)
        read = (*map(np.ascontiguousarray, record), *table, previous, ais, _own(words))
        written = state, chosen, code, elementary.TOLERANCE
        sure = compiled.kernels.enter(row, tuple(rows), *read, *self._packed, self._scale, *written)
        return (state, chosen, code) if sure else None

    def _untested(self, inputs: Array, keep: Array, previous: Array) -> tuple[Array, Array, bool]:
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
        sure = b"\0" not in (np.abs(candidates, out=candidates) < self._sure).tobytes()
        return state, weights, sure


def _own(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A copy: of one type however a stream keeps its words, because a kernel is compiled for each type that it meets."""
    return words.copy()


def _weight_bits(entries: int) -> int:
    """Bits of a softmax weight of at most 1, so that the total of a row stays within 2^32."""
    return min(_EXP_BITS, _THRESHOLD_BITS - grid.ceil_log2(entries))


def draw(logits: Array, words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Draw indices from softmax(logits): logits [E, M], words uint64 [E] -> int64 [E].

    The weights exp(l - max l) lie on the grid 2^-30, so they are integers; they keep as many bits as let a row's total
    stay within 2^32.
    """
    scale = math.ldexp(1.0, _weight_bits(logits.shape[1]))
    if compiled.kernels is not None:
        chosen = np.empty(logits.shape[0], dtype=np.int64)
        if compiled.kernels.draw(logits, _own(words), scale, chosen, elementary.TOLERANCE):
            return chosen
    _, weights = elementary.softmax_weights(logits)
    return categorical(words, np.rint(weights * scale).astype(np.int64))
