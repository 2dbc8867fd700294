"""The recurrent scan, forward and backward: the arithmetic of ``exact.scan`` as loops over t, e and units."""

from __future__ import annotations

import math

import numpy as np

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.exponential import tanh_in_place
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.rounding import Words, largest_magnitude, rounding_of

_STATE_ROUNDING = math.ldexp(1.5, 52 - 24)


@part
def product(x: Array, weight: Array, rounding: float, result: Array) -> None:
    """x [E, n] rounded, times weight [n, p] already rounded, into ``result`` [E, p].

    Every partial sum is exact, so that the order of terms is free: of four at a time the sum is loaded and stored once.
    """
    terms, width = weight.shape
    for e in range(x.shape[0]):
        for j in range(width):
            result[e, j] = 0.0
        for i in range(0, terms - 3, 4):
            a, b = (x[e, i] + rounding) - rounding, (x[e, i + 1] + rounding) - rounding
            c, d = (x[e, i + 2] + rounding) - rounding, (x[e, i + 3] + rounding) - rounding
            for j in range(width):
                result[e, j] += (a * weight[i, j] + b * weight[i + 1, j]) + (c * weight[i + 2, j] + d * weight[i + 3, j])
        for i in range(terms - terms % 4, terms):
            a = (x[e, i] + rounding) - rounding
            for j in range(width):
                result[e, j] += a * weight[i, j]


@part
def affine(x: Array, weight: Array, bias: Array, rounding: float, result: Array) -> None:
    """A linear layer: x [E, n] rounded, times weight [n, p] already rounded, plus bias [p], into ``result`` [E, p]."""
    product(x, weight, rounding, result)
    for e in range(x.shape[0]):
        for j in range(bias.size):
            result[e, j] += bias[j]


@part
def recurrent_step(
    gates: Array,
    kept: Array,
    weight: Array,
    bias: Array,
    rounding: float,
    both: Array,
    candidate: Array,
    recurrent: Array,
    state: Array,
    tolerance: float,
) -> bool:
    """One lock-step of all copies; False if a value is doubtful. Long loops become vectors: hence stage by stage.

    Args:
        gates: [E, 3X]; kept: [E, X] state times keep, plus 0.0; weight: [X, 3X] rounded; bias: [3X].
        rounding: rounds the state for the product.
        both: [E, 2X], candidate: [E, X], recurrent: [E, 3X], state: [E, X]: the results.
    """
    copies, size = kept.shape
    affine(kept, weight, bias, rounding, recurrent)
    for e in range(copies):
        for j in range(2 * size):
            both[e, j] = (gates[e, j] + recurrent[e, j]) * 0.5
    sure = tanh_in_place(both.reshape(-1), tolerance)
    for e in range(copies):
        for j in range(2 * size):
            both[e, j] = both[e, j] * 0.5 + 0.5
        for j in range(size):
            candidate[e, j] = gates[e, 2 * size + j] + both[e, j] * recurrent[e, 2 * size + j]
    sure &= tanh_in_place(candidate.reshape(-1), tolerance)
    for e in range(copies):
        for j in range(size):
            blended = candidate[e, j] + both[e, size + j] * (kept[e, j] - candidate[e, j])
            state[e, j] = (blended + _STATE_ROUNDING) - _STATE_ROUNDING
    return sure


@compiled
def scan_forward(
    first: int,
    gates: Array,
    keep: Array,
    start: Array,
    weight: Array,
    bias: Array,
    rounding: float,
    states: Array,
    kept: Array,
    both: Array,
    candidate: Array,
    recurrent_candidate: Array,
    tolerance: float,
) -> int:
    """Lock-steps ``first`` .. T-1 into the five arrays of the trace; the first doubtful lock-step, or T.

    Shapes as in ``exact.scan.forward``; ``weight`` is rounded. Of a doubtful lock-step only ``kept`` is right.
    """
    copies, size = start.shape
    steps = int(states.shape[0])
    recurrent = np.empty((copies, 3 * size))
    for t in range(first, steps):
        for e in range(copies):
            for i in range(size):
                before = start[e, i] if t == 0 else states[t - 1, e, i]
                kept[t, e, i] = before * keep[t, e, 0] + 0.0
        sure = recurrent_step(
            gates[t], kept[t], weight, bias, rounding, both[t], candidate[t], recurrent, states[t], tolerance
        )
        for e in range(copies):
            for i in range(size):
                recurrent_candidate[t, e, i] = recurrent[e, 2 * size + i]
        if not sure:
            return t
    return steps


@compiled
def scan_backward(
    kept: Array,
    both: Array,
    candidate: Array,
    recurrent_candidate: Array,
    keep: Array,
    transposed: Array,
    bits: int,
    gradient: Array,
    d_gates: Array,
    d_recurrent: Array,
    words: Words,
) -> bool:
    """Gradients of the gates and of the recurrent part, both [T, E, 3X]; False if one of them has no scale.

    Args:
        transposed: [3X, X] the transposed weight, rounded; ``bits`` are those of the gate gradient in this product.
        words: [T, E 3X] the bits of ``d_recurrent``.
    """
    steps, copies, size = gradient.shape
    future, through = np.zeros((copies, size)), np.empty((copies, size))
    for t in range(steps - 1, -1, -1):
        for e in range(copies):
            for i in range(size):
                reset, update, n = both[t, e, i], both[t, e, size + i], candidate[t, e, i]
                d_state = gradient[t, e, i] + future[e, i]
                future[e, i] = d_state * update
                d_candidate = d_state * ((1.0 - update) * (1.0 - n * n))
                d_reset = d_candidate * (recurrent_candidate[t, e, i] * (reset * (1.0 - reset)))
                d_update = d_state * ((kept[t, e, i] - n) * (update * (1.0 - update)))
                d_gates[t, e, i], d_recurrent[t, e, i] = d_reset, d_reset
                d_gates[t, e, size + i], d_recurrent[t, e, size + i] = d_update, d_update
                d_gates[t, e, 2 * size + i], d_recurrent[t, e, 2 * size + i] = d_candidate, d_candidate * reset
        constant = rounding_of(largest_magnitude(words[t]), bits)
        if constant == 0.0:
            return False
        product(d_recurrent[t], transposed, constant, through)
        for e in range(copies):
            for i in range(size):
                future[e, i] = (future[e, i] + through[e, i]) * keep[t, e, 0]
    return True
