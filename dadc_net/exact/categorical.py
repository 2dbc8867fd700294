"""A softmax over the m entries of a menu: log-probability of what was drawn, and entropy, with their gradient.

    logs = log softmax(logits)        taken = logs at what was drawn        entropy = -sum exp(logs) logs

on the grids of ``elementary``. The sums of the entropy and of the gradient have one dynamic scale for all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact import compiled, elementary, grid
from dadc_net.exact.array import Array


class Softmax(NamedTuple):
    """What ``forward`` found at n rows of logits."""

    logs: Array
    """[n, m]"""
    chances: Array
    """[n, m] exp of ``logs``"""
    taken: Array
    """[n]"""
    entropy: Array
    """[n] in nats"""


def forward(logits: Array, drawn: NDArray[np.int64]) -> Softmax:
    """Softmax of logits [n, m] where ``drawn`` [n] were drawn.

    Raises:
        NumericError: if a logit is not finite.
        IndexError: if what was drawn is not among the entries.
    """
    found = _compiled(logits, drawn)
    if found is not None:
        return found
    logs = elementary.log_softmax(logits)
    chances = elementary.exp(logs)
    return Softmax(logs, chances, logs[np.arange(len(drawn)), drawn], -grid.row_sums(chances * logs))


def _compiled(logits: Array, drawn: NDArray[np.int64]) -> Softmax | None:
    rows, entries = logits.shape
    if compiled.kernels is None or entries > grid.CHUNK_TERMS or not logits.flags.c_contiguous:
        return None
    # A kernel looks up whatever it is told to. As unsigned numbers, negative entries lie above every other.
    if rows > 0 and int(drawn.view(np.uint64).max()) >= entries:
        return None
    logs, chances, products = (np.empty_like(logits) for _ in range(3))
    taken, entropy = np.empty(rows), np.empty(rows)
    words, bits = products.reshape(-1).view(np.int64), grid.sum_bits(entries)
    sure = compiled.kernels.categorical(
        logits, drawn, bits, elementary.TOLERANCE, logs, chances, products, words, taken, entropy
    )
    return Softmax(logs, chances, taken, entropy) if sure else None


def backward(found: Softmax, drawn: NDArray[np.int64], d_taken: Array, d_entropy: Array) -> Array:
    """Gradient of the logits [n, m], given those of ``taken`` and ``entropy``, [n] both.

    Raises:
        NumericError: if it has no scale.
    """
    if compiled.kernels is not None and found.logs.shape[1] <= grid.CHUNK_TERMS and found.logs.flags.c_contiguous:
        result = np.empty_like(found.logs)
        words, bits = result.reshape(-1).view(np.int64), grid.sum_bits(found.logs.shape[1])
        if compiled.kernels.categorical_gradient(
            found.logs, found.chances, drawn, d_taken, d_entropy, bits, words, result
        ):
            return result
    gradient = entropy_gradient(found, d_entropy)
    gradient[np.arange(len(drawn)), drawn] += d_taken
    return logits_gradient(found, gradient)


def entropy_gradient(found: Softmax, gradient: Array) -> Array:
    """From the gradient [n] of the entropy that of ``logs`` [n, m]."""
    weight = -gradient[:, None]
    result: Array = (weight * found.logs) * found.chances + weight * found.chances
    return result


def logits_gradient(found: Softmax, gradient: Array) -> Array:
    """From the gradient [n, m] of ``logs`` that of the logits.

    Raises:
        NumericError: if it has no scale.
    """
    result: Array = gradient - found.chances * grid.row_sums(gradient)[:, None]
    return result
