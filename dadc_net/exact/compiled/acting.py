"""The acting step: encoder, network heads and the draw, for a few rows at a time, where NumPy's cost is its calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.exponential import tanh_in_place, tested_exp
from dadc_net.exact.compiled.jit import compiled, part
from dadc_net.exact.compiled.recurrent import affine, recurrent_step

Layer = tuple[Array, Array, float]
"""Rounded weight [n, p], bias [p], rounding constant of its input."""
Numbers = NDArray[np.int64]
Network = tuple[Array, Numbers, Array, float]
"""Layers of the input, the gates, the state, and of a network with tanh layers, one after another: weights and biases of
all; of each its inputs, outputs and where it begins [N, 3]; rounding constants of inputs [N]. Then the scale with which what
is common is read where there is no encoder, whose three layers are not there then; otherwise 0."""
Records = tuple[Array, Array, Numbers, Array, NDArray[np.uint8]]
"""Inputs [T+1, E, I], keep [T+1, E, 1], numbers of z [T+1, E], rewards [T+1, E], ended [T+1, E]."""
Rows = tuple[Array, Array, Numbers, Array, NDArray[np.uint8], Numbers]
"""``Records``, and entries [T, E] that were drawn."""
PointRows = tuple[Array, Array, Numbers, Array, NDArray[np.uint8], Array]
"""``Records``, and points [T, E, D] that were drawn."""


@part
def layer_of(network: Network, number: int) -> Layer:
    """Layer ``number``."""
    values, sizes, roundings, _ = network
    inputs, outputs, begin = sizes[number]
    end = begin + inputs * outputs
    return values[begin:end].reshape((inputs, outputs)), values[end : end + outputs], roundings[number]


@part
def tanh_rows(x: Array, layer: Layer, result: Array, tolerance: float) -> bool:
    """A tanh layer: x [E, n] -> ``result`` [E, p]. False if a value is doubtful."""
    affine(x, layer[0], layer[1], layer[2], result)
    return tanh_in_place(result.reshape(-1), tolerance)


@part
def encode_rows(
    inputs: Array, keep: Array, previous: Array, first: Layer, gate: Layer, again: Layer, state: Array, tolerance: float
) -> bool:
    """x_t = rho(x_{t-1}, inputs) into ``state``, shapes as in ``encode``. False if a value is doubtful."""
    copies, size = state.shape
    scratch = np.empty((11, copies, size))
    kept, embedded, candidate = scratch[0], scratch[1], scratch[2]
    gates, recurrent = scratch[3:6].reshape(copies, 3 * size), scratch[6:9].reshape(copies, 3 * size)
    both = scratch[9:11].reshape(copies, 2 * size)
    sure = tanh_rows(inputs, first, embedded, tolerance)
    affine(embedded, gate[0], gate[1], gate[2], gates)
    for e in range(copies):
        for i in range(size):
            kept[e, i] = previous[e, i] * keep[e, 0] + 0.0
    return sure & recurrent_step(gates, kept, again[0], again[1], again[2], both, candidate, recurrent, state, tolerance)


@part
def hidden_rows(x: Array, first: Layer, second: Layer, result: Array, tolerance: float) -> bool:
    """A network with one hidden tanh layer: x [E, n] -> ``result`` [E, p]. False if a value is doubtful."""
    hidden = np.empty((x.shape[0], first[1].size))
    sure = tanh_rows(x, first, hidden, tolerance)
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


@part
def said_rows(
    inputs: Array, keep: Array, previous: Array, network: Network, state: Array, said: Array, tolerance: float
) -> bool:
    """x_t into ``state`` [E, X] and what the network says of it into ``said`` [E, M]; False if a value is doubtful."""
    scale, first, last, sure = network[3], 0, len(network[1]) - 1, True
    if scale > 0.0:
        for e in range(state.shape[0]):
            for i in range(state.shape[1]):
                state[e, i] = inputs[e, i] * scale + 0.0
    else:
        layers = layer_of(network, 0), layer_of(network, 1), layer_of(network, 2)
        first, sure = 3, encode_rows(inputs, keep, previous, *layers, state, tolerance)
    x = state
    for number in range(first, last):
        layer = layer_of(network, number)
        y = np.empty((state.shape[0], layer[1].size))
        sure &= tanh_rows(x, layer, y, tolerance)
        x = y
    weight, bias, rounding = layer_of(network, last)
    affine(x, weight, bias, rounding, said)
    return sure


@part
def choose_rows(
    inputs: Array,
    keep: Array,
    previous: Array,
    words: NDArray[np.uint64],
    network: Network,
    scale: float,
    state: Array,
    chosen: Numbers,
    scratch: tuple[Array, NDArray[np.uint64]],
    tolerance: float,
) -> bool:
    """x_t into ``state`` and entries, drawn with words [E], into ``chosen`` [E]; False if a value is doubtful.

    ``scratch``: of ``scratch_of``.
    """
    logits, cumulative = scratch
    if not said_rows(inputs, keep, previous, network, state, logits, tolerance):
        return False
    for e in range(chosen.size):
        chosen[e], sure = draw_row(logits[e], words[e], scale, cumulative, tolerance)
        if not sure:
            return False
    return True


@part
def scratch_of(copies: int, network: Network) -> tuple[Array, NDArray[np.uint64]]:
    """What ``choose_rows`` writes to on its way."""
    entries = network[1][-1, 1]
    return np.empty((copies, entries)), np.empty(entries, dtype=np.uint64)


@part
def write_row(
    row: int,
    rows: Records,
    common: Numbers,
    rewards: Array,
    begin: NDArray[np.bool_],
    ended: NDArray[np.uint8],
    strides: Numbers,
    codes: Array,
    previous: Array,
) -> bool:
    """A record into ``row``, but for what is drawn, as ``enter`` says. False if that cannot be, and nothing is written."""
    inputs, keep, numbers, kept_rewards, kept_ended = rows
    copies, features = common.shape[0], codes.shape[1]
    found = np.zeros(copies, dtype=np.int64)
    for e in range(copies):
        for c in range(strides.size):
            found[e] += common[e, c] * strides[c]
        if found[e] < 0 or found[e] >= codes.shape[0] or not np.isfinite(rewards[e]):
            return False
    for e in range(copies):
        number, kept = found[e], 0.0 if begin[e] else 1.0
        numbers[row, e], kept_rewards[row, e], kept_ended[row, e], keep[row, e, 0] = number, rewards[e], ended[e], kept
        for i in range(features):
            inputs[row, e, i] = codes[number, i]
        for m in range(previous.shape[1]):
            inputs[row, e, features + m] = previous[e, m] * kept
    return True


@compiled
def encode(
    inputs: Array, keep: Array, previous: Array, first: Layer, gate: Layer, again: Layer, state: Array, tolerance: float
) -> bool:
    """x_t = rho(x_{t-1}, inputs) for inputs [E, I], keep [E, 1], previous [E, X], into ``state`` [E, X].

    Layers are those of the input, the gates and the state. False if a value is doubtful.
    """
    return encode_rows(inputs, keep, previous, first, gate, again, state, tolerance)


@compiled
def tanh_layer(x: Array, layer: Layer, result: Array, tolerance: float) -> bool:
    """A tanh layer of a network that has several: x [E, n] -> ``result`` [E, p]. False if a value is doubtful."""
    return tanh_rows(x, layer, result, tolerance)


@compiled
def hidden_layer(x: Array, first: Layer, second: Layer, result: Array, tolerance: float) -> bool:
    """A network with one hidden tanh layer: x [E, n] -> ``result`` [E, p]. False if a value is doubtful."""
    return hidden_rows(x, first, second, result, tolerance)


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
def enter(
    row: int,
    rows: Rows,
    common: Numbers,
    rewards: Array,
    begin: NDArray[np.bool_],
    ended: NDArray[np.uint8],
    strides: Numbers,
    codes: Array,
    previous: Array,
    ais: Array,
    words: NDArray[np.uint64],
    network: Network,
    scale: float,
    state: Array,
    chosen: Numbers,
    code: Array,
    tolerance: float,
) -> bool:
    """Write a record into ``row`` of ``rows`` and ``choose``: x_t, entries and their code [E, M] from x_{t-1} [E, X].

    ``strides`` [C] and ``codes`` [Z, F] of z [E, C], ``previous`` [E, M] the code of the entries before. False if a value is
    doubtful: then the row is to be written anew; or a reward not finite or z none of the values: then nothing is written.
    """
    if not write_row(row, rows[:5], common, rewards, begin, ended, strides, codes, previous):
        return False
    inputs, keep, scratch = rows[0][row], rows[1][row], scratch_of(len(rewards), network)
    if not choose_rows(inputs, keep, ais, words[:, 0], network, scale, state, chosen, scratch, tolerance):
        return False
    code[:] = 0.0
    for e in range(chosen.size):
        rows[5][row, e] = chosen[e]
        code[e, chosen[e]] = 1.0
    return True


@compiled
def enter_point(
    row: int,
    rows: PointRows,
    common: Numbers,
    rewards: Array,
    begin: NDArray[np.bool_],
    ended: NDArray[np.uint8],
    strides: Numbers,
    codes: Array,
    previous: Array,
    ais: Array,
    noise: Array,
    network: Network,
    box: Array,
    state: Array,
    played: Array,
    code: Array,
    tolerance: float,
) -> bool:
    """``enter`` where a point is drawn: its nearest point of the box, which is ``played``, and its code, [E, D] each.

    ``noise`` [E, D]; ``box`` [5, D]: deviation, lower and upper ends, centre and half the width. False also where a point is
    not finite.
    """
    if not write_row(row, rows[:5], common, rewards, begin, ended, strides, codes, previous):
        return False
    if not said_rows(rows[0][row], rows[1][row], ais, network, state, played, tolerance):
        return False
    for e in range(played.shape[0]):
        for d in range(played.shape[1]):
            drawn = played[e, d] + box[0, d] * noise[e, d]
            if not np.isfinite(drawn):
                return False
            inside = min(max(drawn, box[1, d]), box[2, d]) + 0.0
            rows[5][row, e, d], played[e, d] = drawn, inside
            code[e, d] = min(max((inside - box[3, d]) / box[4, d], -1.0), 1.0) + 0.0
    return True


@compiled
def choose(
    inputs: Array,
    keep: Array,
    previous: Array,
    words: NDArray[np.uint64],
    network: Network,
    scale: float,
    state: Array,
    chosen: Numbers,
    tolerance: float,
) -> bool:
    """``encode``, what the network says and ``draw`` with words [E, 1] one after another; False if a value is doubtful."""
    scratch = scratch_of(len(chosen), network)
    return choose_rows(inputs, keep, previous, words[:, 0], network, scale, state, chosen, scratch, tolerance)
