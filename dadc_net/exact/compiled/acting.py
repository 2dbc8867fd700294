"""The acting step: encoder, network heads and the draw, for a few rows at a time, where NumPy's cost is its calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.exponential import tanh_in_place, tested_exp
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.recurrent import recurrent_step


@part
def affine(x: Array, weight: Array, bias: Array, rounding: float, result: Array) -> None:
    """A linear layer: x [n] rounded, times weight [n, p] already rounded, plus bias [p], into ``result`` [p]."""
    for j in range(result.size):
        result[j] = 0.0
    for i in range(x.size):
        left = (x[i] + rounding) - rounding
        for j in range(result.size):
            result[j] += left * weight[i, j]
    for j in range(result.size):
        result[j] += bias[j]


Layer = tuple[Array, Array, float]
"""Rounded weight [n, p], bias [p], rounding constant of its input."""


@part
def encode_row(
    inputs: Array,
    previous: Array,
    keep: float,
    first: Layer,
    gate: Layer,
    again: Layer,
    scratch: Array,
    state: Array,
    tolerance: float,
) -> bool:
    """x_t of one copy into ``state`` [X]; ``scratch`` [11, X] is spoilt. False if a value is doubtful."""
    size = state.size
    kept, embedded, gates, recurrent = scratch[0], scratch[1], scratch[2:5].reshape(-1), scratch[5:8].reshape(-1)
    affine(inputs, first[0], first[1], first[2], embedded)
    sure = tanh_in_place(embedded, tolerance)
    affine(embedded, gate[0], gate[1], gate[2], gates)
    for i in range(size):
        kept[i] = previous[i] * keep + 0.0
    sure &= recurrent_step(
        gates, kept, again[0], again[1], again[2], scratch[8:10].reshape(-1), scratch[10], recurrent, state, tolerance
    )
    return sure


@part
def hidden_row(x: Array, first: Layer, second: Layer, hidden: Array, result: Array, tolerance: float) -> bool:
    """A network with one hidden tanh layer: x [n] -> ``result`` [p]; ``hidden`` is spoilt. False if a value is doubtful."""
    affine(x, first[0], first[1], first[2], hidden)
    sure = tanh_in_place(hidden, tolerance)
    affine(hidden, second[0], second[1], second[2], result)
    return sure


@part
def draw_row(
    logits: Array, word: np.uint64, scale: float, cumulative: NDArray[np.uint64], tolerance: float
) -> tuple[int, bool]:
    """Draw from softmax(logits) [M] with one word; False if a weight is doubtful or not finite."""
    entries = logits.size
    largest = logits[0]
    for m in range(1, entries):
        largest = max(largest, logits[m])
    total = np.uint64(0)
    for m in range(entries):
        weight, sure = tested_exp((logits[m] - largest) + 0.0, tolerance)
        if not sure:
            return 0, False
        total += np.uint64(np.rint(weight * scale))
        cumulative[m] = total
    threshold = ((word >> np.uint64(32)) * total) >> np.uint64(32)
    index = 0
    for m in range(entries):
        if cumulative[m] <= threshold:
            index += 1
    return index, True


@compiled
def encode(
    inputs: Array, keep: Array, previous: Array, first: Layer, gate: Layer, again: Layer, state: Array, tolerance: float
) -> bool:
    """x_t = rho(x_{t-1}, inputs) for inputs [E, I], keep [E, 1], previous [E, X], into ``state`` [E, X].

    Layers are those of the input, the gates and the state. False if a value is doubtful.
    """
    scratch = np.empty((11, previous.shape[1]))
    sure = True
    for e in range(inputs.shape[0]):
        sure &= encode_row(inputs[e], previous[e], keep[e, 0], first, gate, again, scratch, state[e], tolerance)
    return sure


@compiled
def hidden_layer(x: Array, first: Layer, second: Layer, result: Array, tolerance: float) -> bool:
    """A network with one hidden tanh layer: x [E, n] -> ``result`` [E, p]. False if a value is doubtful."""
    hidden = np.empty(first[1].size)
    sure = True
    for e in range(x.shape[0]):
        sure &= hidden_row(x[e], first, second, hidden, result[e], tolerance)
    return sure


@compiled
def draw(logits: Array, words: NDArray[np.uint64], scale: float, chosen: NDArray[np.int64], tolerance: float) -> bool:
    """Draw from softmax(logits) [E, M] with words [E] into ``chosen`` [E]; False if a weight is doubtful or not finite."""
    cumulative = np.empty(logits.shape[1], dtype=np.uint64)
    for e in range(logits.shape[0]):
        chosen[e], sure = draw_row(logits[e], words[e], scale, cumulative, tolerance)
        if not sure:
            return False
    return True


@compiled
def choose(
    inputs: Array,
    keep: Array,
    previous: Array,
    words: NDArray[np.uint64],
    first: Layer,
    gate: Layer,
    again: Layer,
    hidden: Layer,
    output: Layer,
    scale: float,
    state: Array,
    chosen: NDArray[np.int64],
    tolerance: float,
) -> bool:
    """``encode``, ``hidden_layer`` and ``draw`` with words [E, 1] one after another; False if a value is doubtful."""
    scratch, entries = np.empty((11, previous.shape[1])), output[1].size
    between, logits, cumulative = np.empty(hidden[1].size), np.empty(entries), np.empty(entries, dtype=np.uint64)
    for e in range(inputs.shape[0]):
        if not encode_row(inputs[e], previous[e], keep[e, 0], first, gate, again, scratch, state[e], tolerance):
            return False
        if not hidden_row(state[e], hidden, output, between, logits, tolerance):
            return False
        chosen[e], sure = draw_row(logits, words[e, 0], scale, cumulative, tolerance)
        if not sure:
            return False
    return True
