"""What a passive agent makes of a record, by tables: local memory, and the prescription's word on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.array import Array
from dadc_net.exact.compiled.acting import Numbers, draw_row
from dadc_net.exact.compiled.jit import compiled, part

Standing = tuple[Numbers, Numbers, Numbers, Numbers]
"""Step in the episode, its kind, local value and action of each copy [E]."""
Moves = tuple[Numbers, Numbers, Numbers]
"""Kind of step after each kind [C]; next local value, by number [C, L, A, O]; strides of an observation's number."""


@part
def reached(e: int, seen: Numbers, begin: NDArray[np.bool_], standing: Standing, moves: Moves) -> tuple[int, int, int]:
    """Step in the episode, its kind and local value of copy ``e`` once it has seen its row of ``seen`` [E, columns]."""
    steps, kinds, local, actions = standing
    following, table, strides = moves
    number = 0
    for c in range(strides.size):
        number += seen[e, c] * strides[c]
    step = 0 if begin[e] else steps[e] + 1
    kind = 0 if begin[e] else following[kinds[e]]
    return step, kind, table[kind, local[e], actions[e], number]


@compiled
def obey_entries(
    seen: Numbers,
    begin: NDArray[np.bool_],
    entries: Numbers,
    menu: Numbers,
    standing: Standing,
    moves: Moves,
    answer: NDArray[np.unsignedinteger],
) -> None:
    """Observe ``seen``, and do what entries [E] of ``menu`` [M, L] say, into ``answer`` [E]; ``standing`` moves on."""
    for e in range(entries.size):
        step, kind, value = reached(e, seen, begin, standing, moves)
        action = menu[entries[e], value]
        standing[0][e], standing[1][e], standing[2][e], standing[3][e], answer[e] = step, kind, value, action, action


@compiled
def obey_logits(
    seen: Numbers,
    begin: NDArray[np.bool_],
    logits: Array,
    first: int,
    words: NDArray[np.uint64],
    scale: float,
    standing: Standing,
    moves: Moves,
    answer: NDArray[np.unsignedinteger],
    tolerance: float,
) -> bool:
    """The same where actions are drawn, with words [E, 1], from the softmax of a row of ``logits`` [E, rows, A].

    ``first``: the row of local value 0. False if a weight is doubtful; then nothing has moved.
    """
    copies, entries = logits.shape[0], logits.shape[2]
    cumulative, found = np.empty(entries, dtype=np.uint64), np.empty((4, copies), dtype=np.int64)
    for e in range(copies):
        step, kind, value = reached(e, seen, begin, standing, moves)
        drawn, sure = draw_row(logits[e, first + value], words[e, 0], scale, cumulative, tolerance)
        if not sure:
            return False
        found[0, e], found[1, e], found[2, e], found[3, e] = step, kind, value, drawn
    for e in range(copies):
        standing[0][e], standing[1][e], standing[2][e], standing[3][e] = found[0, e], found[1, e], found[2, e], found[3, e]
        answer[e] = found[3, e]
    return True
