"""Many lock-steps of a team that is written down in tables, in one call; for simulations, where nobody waits for a record.

What the coordinator does at a record is ``choose``, part for part. It reads what is common alone: the code of z, and of the
prescription before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.acting import Layer, Numbers, Rows, choose_rows, scratch_of
from dadc_net.exact.compiled.jit import compiled, part

Actor = tuple[Layer, Layer, Layer, Layer, Layer, float, float]
"""Layers of ``choose``, its scale and its tolerance."""
Standing = tuple[Numbers, Numbers, Numbers, Numbers, Numbers]
"""State [E], age [E], what happened last [E], local values [E, K], actions [E, K]."""
World = tuple[Numbers, Numbers, Array, Numbers, Numbers, Numbers, Numbers, Array, NDArray[np.bool_]]
"""``EnvironmentTables``: roots, first, threshold, child, and of each leaf state, seen, public, reward, over."""
Team = tuple[Numbers, Array, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers]
"""``TeamTables``: common [C, B, O], codes [Z, F], kinds of steps [A], own observation [JO, K], local, where each agent's
begins and its sizes [K, 4], actions [M, K, L], strides of joint actions [K], and the numbers of ``TeamTables.counts``."""


@part
def moved(row: int, e: int, rows: Rows, draws: Array, standing: Standing, world: World, team: Team) -> None:
    """Copy ``e`` from the record in ``row`` to the next one: the agents act, the world moves, what follows is written."""
    inputs, keep, numbers, rewards, ended, entries = rows
    states, ages, before, local, actions = standing
    roots, first, threshold, child, following, seen, public, reward, over = world
    common, codes, kinds, own, locals_next, places, menu, strides, counts = team
    num_states, num_seen, num_public, restart, horizon, pairs = counts
    entry, joint, features = entries[row, e], 0, codes.shape[1]
    for k in range(strides.size):
        actions[e, k] = menu[entry, k, local[e, k]]
        joint += actions[e, k] * strides[k]
    age = ages[e]
    begins = age == 0
    node = roots[roots.size - 1] if begins else roots[joint * num_states + states[e]]
    for d in range(draws.shape[2]):
        branch = first[node]
        while draws[row, e, d] >= threshold[branch]:
            branch += 1
        node = child[branch]
    states[e] = following[node]
    happened = ((0 if begins else joint) * num_seen + seen[node]) * num_public + public[node]
    number = common[kinds[age], before[e] if pairs else 0, happened]
    before[e] = happened
    flag = 0
    if over[node] or (horizon > 0 and age >= horizon):
        flag = 2
    elif restart > 0 and age >= restart:
        flag = 1
    numbers[row + 1, e] = number
    rewards[row + 1, e] = 0.0 if begins else reward[node]
    ended[row + 1, e] = flag
    keep[row + 1, e, 0] = 0.0 if begins else 1.0
    for i in range(features):
        inputs[row + 1, e, i] = codes[number, i]
    for i in range(features, inputs.shape[2]):
        inputs[row + 1, e, i] = 0.0
    if not begins:
        inputs[row + 1, e, features + entry] = 1.0
    for k in range(strides.size):
        place = kinds[age] * places[k, 1] + local[e, k]
        place = (place * places[k, 2] + actions[e, k]) * places[k, 3] + own[seen[node], k]
        local[e, k] = locals_next[places[k, 0] + place]
    ages[e] = 0 if flag else age + 1


@compiled
def play(
    row: int,
    rows: Rows,
    ais: Array,
    words: NDArray[np.uint64],
    draws: Array,
    standing: Standing,
    actor: Actor,
    world: World,
    team: Team,
) -> int:
    """From the record in ``row``, whose entries are drawn, to the last; ``rows``, ``ais`` [E, X] and ``standing`` change.

    Args:
        words: [T, E] of the records' draws.
        draws: [T, E, D] of the moves that follow them.

    Returns:
        T; or the row whose entries are doubtful: its record is there, x_t and entries are not.
    """
    first, gate, again, hidden, output, scale, tolerance = actor
    inputs, keep, entries = rows[0], rows[1], rows[5]
    last, copies = entries.shape
    state = np.empty(ais.shape)
    layers, scratch = (first, gate, again, hidden, output), scratch_of(copies, output[1].size)
    while True:
        for e in range(copies):
            moved(row, e, rows, draws, standing, world, team)
        row += 1
        if row == last:
            return row
        rest = scale, state, entries[row], scratch, tolerance
        if not choose_rows(inputs[row], keep[row], ais, words[row], *layers, *rest):
            return row
        ais[:] = state
