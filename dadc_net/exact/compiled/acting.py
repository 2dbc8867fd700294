"""The acting step: encoder, network heads and the draw, for a few rows at a time, where NumPy's cost is its calls."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.hyperbolic import tanh_in_place
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.recurrent import recurrent_step
from dadc_net.exact.compiled.rounding import tested_exp


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


@compiled
def encode(
    inputs: Array,
    keep: Array,
    previous: Array,
    input_layer: tuple[Array, Array, float],
    gate_layer: tuple[Array, Array, float],
    recurrent_layer: tuple[Array, Array, float],
    state: Array,
    tolerance: float,
) -> bool:
    """x_t = rho(x_{t-1}, inputs) for inputs [E, I], keep [E, 1], previous [E, X], into ``state`` [E, X].

    A layer is (rounded weight [n, p], bias [p], rounding constant of its input). False if a value is doubtful.
    """
    size = previous.shape[1]
    embedded, gates, recurrent = np.empty(size), np.empty(3 * size), np.empty(3 * size)
    kept, both, candidate = np.empty(size), np.empty(2 * size), np.empty(size)
    sure = True
    for e in range(inputs.shape[0]):
        affine(inputs[e], input_layer[0], input_layer[1], input_layer[2], embedded)
        sure &= tanh_in_place(embedded, tolerance)
        affine(embedded, gate_layer[0], gate_layer[1], gate_layer[2], gates)
        for i in range(size):
            kept[i] = previous[e, i] * keep[e, 0] + 0.0
        sure &= recurrent_step(
            gates, kept, recurrent_layer[0], recurrent_layer[1], recurrent_layer[2], both, candidate, recurrent, state[e],
            tolerance,
        )  # fmt: skip
    return sure


@compiled
def hidden_layer(
    x: Array, first: tuple[Array, Array, float], second: tuple[Array, Array, float], result: Array, tolerance: float
) -> bool:
    """A network with one hidden tanh layer: x [E, n] -> ``result`` [E, p]; layers as in ``encode``. False if doubtful."""
    hidden = np.empty(first[1].size)
    sure = True
    for e in range(x.shape[0]):
        affine(x[e], first[0], first[1], first[2], hidden)
        sure &= tanh_in_place(hidden, tolerance)
        affine(hidden, second[0], second[1], second[2], result[e])
    return sure


@compiled
def draw(logits: Array, words: NDArray[np.uint64], bits: int, chosen: NDArray[np.int64], tolerance: float) -> bool:
    """Draw from softmax(logits) [E, M] with words [E] into ``chosen`` [E]; False if a weight is doubtful or not finite."""
    entries = logits.shape[1]
    cumulative = np.empty(entries, dtype=np.uint64)
    scale = math.ldexp(1.0, bits)
    for e in range(logits.shape[0]):
        largest = logits[e, 0]
        for m in range(1, entries):
            largest = max(largest, logits[e, m])
        total = np.uint64(0)
        for m in range(entries):
            weight, sure = tested_exp((logits[e, m] - largest) + 0.0, tolerance)
            if not sure:
                return False
            total += np.uint64(np.rint(weight * scale))
            cumulative[m] = total
        threshold = ((words[e] >> np.uint64(32)) * total) >> np.uint64(32)
        index = 0
        for m in range(entries):
            if cumulative[m] <= threshold:
                index += 1
        chosen[e] = index
    return True
