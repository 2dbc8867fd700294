"""The acting step: one record's way from encoder input to the drawn prescription, for E rows at a time.

Everything is ``grid``, ``elementary``, ``scan.step`` and ``streams.categorical`` put together; it stands here in one place
because it runs at every lock-step, where NumPy's cost is that of its calls. ``entering`` makes one call of it.
The bits are those of the layers that updates use: forward scales are fixed, so a row alone and a row of a batch agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
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
MANY_PRODUCTS = 150_000
"""Likewise, of rows times weights of one layer."""
_EXP_BITS = 30
_THRESHOLD_BITS = 32


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
        return rows < MANY_ROWS and rows * self.weight.values.size < MANY_PRODUCTS


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


class Reading(NamedTuple):
    """No encoder: x is what is common at present, times a scale; made of the same things as by ``RecurrentEncoder``."""

    size: int
    scale: float
    """Above 0."""

    def __call__(self, inputs: Array, keep: Array, previous: Array) -> Array:
        """inputs [E, I] -> x [E, X], of their first X columns."""
        state: Array = inputs[:, : self.size] * self.scale + 0.0
        return state


@dataclass(frozen=True)
class PreparedTower:
    """A network: hidden layers with tanh (or a rectifier cut off at 8), then a linear layer."""

    hidden: tuple[PreparedLinear, ...]
    output: PreparedLinear
    rectified: bool = False

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


def of_one_type(noise: NDArray[Any]) -> NDArray[Any]:
    """A copy: of one type however a stream keeps it, because a kernel is compiled for each type that it meets."""
    return noise.copy()


@cache
def weight_scale(entries: int) -> float:
    """What a softmax weight of at most 1 is multiplied by, so that the total of a row stays within 2^32."""
    return math.ldexp(1.0, min(_EXP_BITS, _THRESHOLD_BITS - grid.ceil_log2(entries)))


def draw(logits: Array, words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Draw indices from softmax(logits): logits [E, M], words uint64 [E] -> int64 [E].

    The weights exp(l - max l) lie on the grid 2^-30, so they are integers; they keep as many bits as let a row's total
    stay within 2^32.
    """
    scale = weight_scale(logits.shape[1])
    if compiled.kernels is not None:
        chosen = np.empty(logits.shape[0], dtype=np.int64)
        if compiled.kernels.draw(logits, of_one_type(words), scale, chosen, elementary.TOLERANCE):
            return chosen
    _, weights = elementary.softmax_weights(logits)
    return categorical(words, np.rint(weights * scale).astype(np.int64))
