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
    """One lock-step of one copy; False if a value is doubtful.

    Args:
        gates: [3X]; kept: [X] state times keep, plus 0.0; weight: [X, 3X] rounded; bias: [3X].
        rounding: rounds the state for the product.
        both: [2X], candidate: [X], recurrent: [3X], state: [X]: the results.
    """
    size = kept.size
    for j in range(3 * size):
        recurrent[j] = 0.0
    for i in range(size):
        left = (kept[i] + rounding) - rounding
        for j in range(3 * size):
            recurrent[j] += left * weight[i, j]
    for j in range(3 * size):
        recurrent[j] += bias[j]
    for j in range(2 * size):
        both[j] = (gates[j] + recurrent[j]) * 0.5
    sure = tanh_in_place(both, tolerance)
    for j in range(2 * size):
        both[j] = both[j] * 0.5 + 0.5
    for j in range(size):
        candidate[j] = gates[2 * size + j] + both[j] * recurrent[2 * size + j]
    sure &= tanh_in_place(candidate, tolerance)
    for j in range(size):
        blended = candidate[j] + both[size + j] * (kept[j] - candidate[j])
        state[j] = (blended + _STATE_ROUNDING) - _STATE_ROUNDING
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
    recurrent = np.empty(3 * size)
    for t in range(first, steps):
        sure = True
        for e in range(copies):
            for i in range(size):
                before = start[e, i] if t == 0 else states[t - 1, e, i]
                kept[t, e, i] = before * keep[t, e, 0] + 0.0
            sure &= recurrent_step(
                gates[t, e], kept[t, e], weight, bias, rounding, both[t, e], candidate[t, e], recurrent, states[t, e],
                tolerance,
            )  # fmt: skip
            for i in range(size):
                recurrent_candidate[t, e, i] = recurrent[2 * size + i]
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
    future, through = np.zeros((copies, size)), np.empty(size)
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
        for e in range(copies):
            for i in range(size):
                through[i] = 0.0
            for j in range(3 * size):
                left = (d_recurrent[t, e, j] + constant) - constant
                for i in range(size):
                    through[i] += left * transposed[j, i]
            for i in range(size):
                future[e, i] = (future[e, i] + through[i]) * keep[t, e, 0]
    return True
