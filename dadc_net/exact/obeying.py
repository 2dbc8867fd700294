"""A passive agent's lock-step by tables, in one call of a kernel: what it sees in, what it does out.

Whoever has no tables, or no kernels, does the same in single steps (``team.local_memory``). Axis letters: E copies, M
entries, L local values, A actions, O observations, C kinds of steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact import compiled, elementary
from dadc_net.exact.acting import of_one_type, weight_scale
from dadc_net.exact.array import Array

Numbers = NDArray[np.int64]


class Standing(NamedTuple):
    """Where an agent's copies stand, [E] each; it changes in place."""

    steps: Numbers
    """In the episode."""
    kinds: Numbers
    """Of these steps."""
    local: Numbers
    """Local values, by number."""
    actions: Numbers
    """What was done last."""


class Moves(NamedTuple):
    """How local values follow one another."""

    following: Numbers
    """[C] the kind of step after a step of each kind; 0 is the kind of the first one."""
    local: Numbers
    """[C, L, A, O] the next local value, by number"""
    strides: Numbers
    """[columns] of an observation's number"""


class Seen(NamedTuple):
    """What an agent is told at a record."""

    observation: Numbers
    """[E, columns]"""
    begin: NDArray[np.bool_]
    """[E]"""


def obey_entries(
    seen: Seen, entries: Numbers, menu: Numbers, standing: Standing, moves: Moves, answer: NDArray[np.unsignedinteger]
) -> bool:
    """Do what ``entries`` [E] of ``menu`` [M, L] say, into ``answer`` [E]; False where no kernel does it."""
    if compiled.kernels is None:
        return False
    compiled.kernels.obey_entries(*_laid_out(seen), entries, menu, tuple(standing), tuple(moves), answer)
    return True


def obey_logits(
    seen: Seen,
    logits: Array,
    first: int,
    words: NDArray[np.uint64],
    standing: Standing,
    moves: Moves,
    answer: NDArray[np.unsignedinteger],
) -> bool:
    """The same, drawn with words [E, 1] from ``logits`` [E, rows, A], whose row ``first`` is that of local value 0.

    False also where a weight is doubtful. Then nothing has moved.
    """
    if compiled.kernels is None:
        return False
    drawn_with = logits, first, of_one_type(words), weight_scale(logits.shape[2])
    rest = tuple(standing), tuple(moves), answer, elementary.TOLERANCE
    return bool(compiled.kernels.obey_logits(*_laid_out(seen), *drawn_with, *rest))


def _laid_out(seen: Seen) -> tuple[NDArray[Any], ...]:
    return tuple(map(np.ascontiguousarray, seen))
