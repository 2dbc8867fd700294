"""Lock-steps by tables, by a kernel, where kernels compute: a simulation's batch at once, and a server's next record.

They stand beside the kernels of the acting step, and not among them: an agent has no use for them, so that no self-test of
an agent has to compile them. Whoever uses them compares them with the way of single steps first.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact import compiled, elementary
from dadc_net.exact.acting import MANY_ROWS
from dadc_net.exact.array import Array
from dadc_net.exact.entering import EntryStep, Numbers, Rows


@cache
def _kernels() -> ModuleType:
    """Here: they need numba."""
    return importlib.import_module("dadc_net.exact.compiled.playing")


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
    kernel = _kernels().play
    last = len(rows.drawn)
    while True:
        row = kernel(row, tuple(rows), ais, words, draws, standing, (*step.packed, elementary.TOLERANCE), *looked_up)
        if row == last:
            return
        # Where the kernel is not sure, the acting step settles it, and the kernel goes on from there.
        ais[...], rows.drawn[row] = step(rows.inputs[row], rows.keep[row], ais, words[row][:, None])


def make_record(
    joint_action: Numbers,
    draws: Array,
    place: tuple[NDArray[Any], ...],
    tables: tuple[Any, ...],
    log: tuple[NDArray[Any], ...],
) -> None:
    """The record that follows ``joint_action`` [E, K], moved by draws [E, D], into ``log``; ``place`` moves on.

    Args:
        place: where the world stands, ``tables`` what follows from that, ``log`` a record's parts: see ``compiled.playing``.
    """
    _kernels().make_record(joint_action, draws, place, *tables, log)
