"""Prescriptions as the coordinator sees them: entries of a menu, sampled with the shared stream.

The coordinator chooses *which* prescription the team follows; it never applies one, because that takes local
information. Agent k looks up its own part of the chosen entry in ``node``.

Deviation: the paper's Section 5 speaks of continuous prescription parameters, while its multi-access network (E.1) puts
a softmax over three prescriptions. A menu is the latter; its theta is the one-hot code of the chosen entry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.grid import Array


def codes(prescriptions: NDArray[np.int64], entries: int) -> Array:
    """One-hot theta of menu indices: any shape [...] -> [..., M]."""
    coded: Array = (prescriptions[..., None] == np.arange(entries)).astype(np.float64)
    return coded


def greedy(logits: Array) -> NDArray[np.int64]:
    """The most probable entry, ties to the lowest index: logits [E, M] -> int64 [E]."""
    chosen: NDArray[np.int64] = np.argmax(logits, axis=1).astype(np.int64)
    return chosen
