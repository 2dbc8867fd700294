"""A softmax over a menu, forwards and backwards, each in one call: NumPy needs some twenty passes over it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.exponential import exp_in_place
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.rounding import Words, largest_magnitude, rounding_of, tested

_LOG_ROUNDING, _HALF_LOG_GRID = math.ldexp(1.5, 52 - 30), math.ldexp(1.0, -31)


@part
def _softmax(logits: Array, logs: Array, chances: Array, tolerance: float) -> bool:
    """log softmax of logits [n, m] into ``logs``, and its exp; False if a value is doubtful. Long loops become vectors."""
    for i in range(logits.shape[0]):
        largest = logits[i, 0]
        for j in range(1, logits.shape[1]):
            largest = max(largest, logits[i, j])
        for j in range(logits.shape[1]):
            logs[i, j] = (logits[i, j] - largest) + 0.0
            chances[i, j] = logs[i, j]
    every = exp_in_place(chances.reshape(-1), tolerance)
    for i in range(logits.shape[0]):
        total = 0.0
        for j in range(logits.shape[1]):
            # Whole multiples of their grid and at most 1: no sum of 2^13 of them is rounded.
            total += chances[i, j]
        normaliser, sure = tested(math.log(total), _LOG_ROUNDING, _HALF_LOG_GRID, tolerance)
        every &= sure
        for j in range(logits.shape[1]):
            logs[i, j] -= normaliser
            chances[i, j] = logs[i, j]
    return every & exp_in_place(chances.reshape(-1), tolerance)


@compiled
def categorical(
    logits: Array,
    drawn: NDArray[np.int64],
    bits: int,
    tolerance: float,
    logs: Array,
    chances: Array,
    products: Array,
    words: Words,
    taken: Array,
    entropy: Array,
) -> bool:
    """``exact.categorical.forward``; False if a value is doubtful or not finite.

    Args:
        logits: [n, m], m <= 2^13; drawn: [n]; ``bits`` are those of each term of a sum over m.
        logs, chances, products: [n, m]; words: [n m] the bits of ``products``.
        taken, entropy: [n]
    """
    sure = _softmax(logits, logs, chances, tolerance)
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            products[i, j] = chances[i, j] * logs[i, j]
        taken[i] = logs[i, drawn[i]]
    constant = rounding_of(largest_magnitude(words), bits)
    for i in range(logits.shape[0]):
        summed = 0.0
        for j in range(logits.shape[1]):
            summed += (products[i, j] + constant) - constant
        entropy[i] = -summed
    return sure and constant != 0.0


@compiled
def categorical_gradient(
    logs: Array,
    chances: Array,
    drawn: NDArray[np.int64],
    d_taken: Array,
    d_entropy: Array,
    bits: int,
    words: Words,
    d_logits: Array,
) -> bool:
    """``exact.categorical.backward``, shapes as there; False if a gradient has no scale. ``words``: bits of ``d_logits``."""
    for i in range(logs.shape[0]):
        weight = -d_entropy[i]
        for j in range(logs.shape[1]):
            d_logits[i, j] = (weight * logs[i, j]) * chances[i, j] + weight * chances[i, j]
        d_logits[i, drawn[i]] += d_taken[i]
    constant = rounding_of(largest_magnitude(words), bits)
    for i in range(logs.shape[0]):
        summed = 0.0
        for j in range(logs.shape[1]):
            summed += (d_logits[i, j] + constant) - constant
        for j in range(logs.shape[1]):
            d_logits[i, j] -= chances[i, j] * summed
    return constant != 0.0
