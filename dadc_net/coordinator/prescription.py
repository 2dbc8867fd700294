"""Prescriptions as the coordinator sees them: entries of a menu, sampled with the shared stream.

The coordinator chooses *which* prescription the team follows; it never applies one, because that takes local
information. Agent k looks up its own part of the chosen entry in ``node``.

Deviation: the paper's Section 5 speaks of continuous prescription parameters, while its multi-access network (E.1) puts
a softmax over three prescriptions. A menu is the latter; its theta is the one-hot code of the chosen entry.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.elementary import softmax_weights
from dadc_net.exact.grid import Array, ceil_log2
from dadc_net.exact.streams import categorical

_EXP_BITS = 30
_THRESHOLD_BITS = 32


def codes(prescriptions: NDArray[np.int64], entries: int) -> Array:
    """One-hot theta of menu indices: any shape [...] -> [..., M]."""
    coded: Array = (prescriptions[..., None] == np.arange(entries)).astype(np.float64)
    return coded


def sample(logits: Array, words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Draw menu indices from softmax(logits): logits [E, M], words uint64 [E] -> int64 [E].

    The weights exp(l - max l) lie on the grid 2^-30, so they are integers; they keep as many bits as let a row's total
    stay within 2^32.
    """
    entries = logits.shape[1]
    bits = min(_EXP_BITS, _THRESHOLD_BITS - ceil_log2(entries))
    _, weights = softmax_weights(logits)
    return categorical(words, np.rint(weights * math.ldexp(1.0, bits)).astype(np.int64))


def greedy(logits: Array) -> NDArray[np.int64]:
    """The most probable entry, ties to the lowest index: logits [E, M] -> int64 [E]."""
    chosen: NDArray[np.int64] = np.argmax(logits, axis=1).astype(np.int64)
    return chosen
