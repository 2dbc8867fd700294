"""A batch of lock-steps at once, by a kernel: only simulations do so, and only where kernels compute.

It stands beside the kernels of the acting step, and not among them: an agent has no use for it, so that no self-test of an
agent has to compile it. Whoever uses it compares it with the way of single steps first.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact import compiled, elementary
from dadc_net.exact.acting import MANY_ROWS, EntryStep, Rows
from dadc_net.exact.array import Array

Numbers = NDArray[np.int64]


def can_play(copies: int) -> bool:
    """Whether a kernel plays so many copies, and sooner than NumPy would."""
    return compiled.kernels is not None and copies < MANY_ROWS


def play(
    step: EntryStep,
    row: int,
    rows: Rows,
    ais: Array,
    words: NDArray[np.uint64],
    draws: Array,
    standing: tuple[Numbers, ...],
    tables: tuple[tuple[Any, ...], tuple[Any, ...]],
) -> None:
    """From the record in ``row``, whose entries are drawn, to the one that closes the batch; all but words and draws change.

    Args:
        ais: [E, X] x_t at ``row``; in the end at row T - 1.
        words: [T, E] of the coordinator's stream, of each row.
        draws: [T, E, D] of the environment's, for the move that follows each row.
        standing: where the team stands, and ``tables`` what follows from that: see ``compiled.playing``.
    """
    # One type of array, whoever made it: a kernel is compiled for each that it meets.
    looked_up = [tuple(map(np.ascontiguousarray, part)) for part in tables]
    kernel = importlib.import_module("dadc_net.exact.compiled.playing").play
    last = len(rows.entries)
    while True:
        row = kernel(row, tuple(rows), ais, words, draws, standing, (*step.packed, elementary.TOLERANCE), *looked_up)
        if row == last:
            return
        # Where the kernel is not sure, the acting step settles it, and the kernel goes on from there.
        ais[...], rows.entries[row] = step(rows.inputs[row], rows.keep[row], ais, words[row][:, None])
