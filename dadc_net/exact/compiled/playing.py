"""Lock-steps of a team that is written down in tables, in one call: many for simulations, where nobody waits for a record,
and for a server the one that it makes a record of, in that record's bytes.

What the coordinator does at a record is ``choose``, part for part. It reads what is common alone: the code of z, and of the
prescription before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.acting import Network, Numbers, Rows, choose_rows, scratch_of
from dadc_net.exact.compiled.jit import compiled, part

Actor = tuple[Network, float, float]
"""Network of ``choose``, its scale and its tolerance."""
Standing = tuple[Numbers, Numbers, Numbers, Numbers, Numbers]
"""State [E], age [E], what happened last [E], local values [E, K], actions [E, K]."""
World = tuple[Numbers, Numbers, Array, Numbers, Numbers, Numbers, Numbers, Array, NDArray[np.bool_]]
"""``EnvironmentTables``: roots, first, threshold, child, and of each leaf state, seen, public, reward, over."""
Team = tuple[Numbers, Array, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers]
"""``TeamTables``: common [C, B, O], codes [Z, F], kinds of steps [A], own observation [JO, K], local, where each agent's
begins and its sizes [K, 4], actions [M, K, L], strides of joint actions [K], and the numbers of ``TeamTables.counts``."""


@part
def leaf(case: int, draws: Array, roots: Numbers, first: Numbers, threshold: Array, child: Numbers) -> int:
    """Where draws [D] lead to from the root of ``case``."""
    node = int(roots[case])
    for d in range(draws.size):
        branch = first[node]
        while draws[d] >= threshold[branch]:
            branch += 1
        node = int(child[branch])
    return node


@part
def ended_at(age: int, over: bool, restart: int, horizon: int) -> int:
    """Whether a copy ends at a record ``age`` steps after it began: ``Ended``."""
    if over or (horizon > 0 and age >= horizon):
        return 2
    return 1 if restart > 0 and age >= restart else 0


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
    joint = 0 if begins else joint
    case = roots.size - 1 if begins else joint * num_states + states[e]
    node = leaf(case, draws[row, e], roots, first, threshold, child)
    states[e] = following[node]
    happened = (joint * num_seen + seen[node]) * num_public + public[node]
    number = common[kinds[age], before[e] if pairs else 0, happened]
    before[e] = happened
    flag = ended_at(age, over[node], restart, horizon)
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
    network, scale, tolerance = actor
    inputs, keep, entries = rows[0], rows[1], rows[5]
    last, copies = entries.shape
    state, scratch = np.empty(ais.shape), scratch_of(copies, network)
    while True:
        for e in range(copies):
            moved(row, e, rows, draws, standing, world, team)
        row += 1
        if row == last:
            return row
        rest = network, scale, state, entries[row], scratch, tolerance
        if not choose_rows(inputs[row], keep[row], ais, words[row], *rest):
            return row
        ais[:] = state


Log = tuple[Array, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Of a record: rewards [E], begin [E], ended [E], z [E, bytes], and of all agents one after the other what they see."""
Codes = tuple[NDArray[np.uint8], NDArray[np.uint8], Numbers]
"""Bytes of each z [Z, bytes]; of each agent's observations, one after the other; and where those of each agent begin, and
how many bytes one has [K, 2]."""
Place = tuple[Numbers, Numbers, Numbers, Numbers, NDArray[np.bool_]]
"""State [E], age at the newest record [E] and at the next [E], what happened on the way to the record before the newest and
to the newest [2, E], and whether copies began there [2, E]."""


@compiled
def make_record(
    joint_action: Numbers,
    draws: Array,
    place: Place,
    world: World,
    common: Numbers,
    kinds: Numbers,
    own: Numbers,
    strides: Numbers,
    counts: Numbers,
    codes: Codes,
    log: Log,
) -> None:
    """The record after ``joint_action`` [E, K], moved by draws [E, D], into ``log``; ``place`` moves on."""
    states, reached, ages, before, began = place
    roots, first, threshold, child, following, seen, public, reward, over = world
    num_states, num_seen, num_public, restart, horizon, pairs = counts
    z_bytes, seen_bytes, agents = codes
    rewards, begin, ended, told, observed = log
    copies = states.size
    for e in range(copies):
        age = ages[e]
        begins, joint = age == 0, 0
        for k in range(strides.size):
            joint += joint_action[e, k] * strides[k]
        joint = 0 if begins else joint
        case = roots.size - 1 if begins else joint * num_states + states[e]
        node = leaf(case, draws[e], roots, first, threshold, child)
        happened = (joint * num_seen + seen[node]) * num_public + public[node]
        number = common[kinds[age], before[1, e] if pairs else 0, happened]
        flag = ended_at(age, over[node], restart, horizon)
        states[e], reached[e], ages[e] = following[node], age, 0 if flag else age + 1
        before[0, e], before[1, e] = before[1, e], happened
        began[0, e], began[1, e] = began[1, e], begins
        rewards[e], begin[e], ended[e] = 0.0 if begins else reward[node], begins, flag
        for i in range(told.shape[1]):
            told[e, i] = z_bytes[number, i]
        at = 0
        for k in range(strides.size):
            start, width = agents[k, 0] + own[seen[node], k] * agents[k, 1], agents[k, 1]
            for i in range(width):
                observed[at + e * width + i] = seen_bytes[start + i]
            at += copies * width
