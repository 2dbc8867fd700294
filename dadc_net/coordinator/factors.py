"""A theta of several finite factors as numbers: where each factor's choices stand in its code, and who may look at whom.

The code of theta is the factors' one-hots side by side. The choices of factor f are the logits of factor f plus a strictly
block-triangular matrix times the code: a factor sees the choices before it, and none after it, so that the product of the
conditional distributions is a distribution, and any joint one is such a product.

Axis letters: n rows, F factors, C length of the code.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.acting import draw
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import log_softmax


class Alike(NamedTuple):
    """Factors of one size, which are handled at once."""

    size: int
    factors: NDArray[np.int64]
    """[F_s] their numbers"""
    columns: NDArray[np.int64]
    """[F_s size] their places in the code"""


class Factors:
    """F factors with ``sizes`` choices."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.code_size = sum(sizes)
        ends = [sum(sizes[: f + 1]) for f in range(len(sizes))]
        self._starts = np.array([end - size for end, size in zip(ends, sizes, strict=True)], dtype=np.int64)
        self.spans = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        """[F] where each factor's choices stand in the code."""

    @property
    def count(self) -> int:
        """F."""
        return len(self.sizes)

    @cached_property
    def earlier(self) -> Array:
        """[C, C] 1.0 where the row belongs to an earlier factor than the column, else 0.0."""
        owner = np.repeat(np.arange(self.count), self.sizes)
        before: Array = (owner[:, None] < owner[None, :]).astype(np.float64)
        return before

    @cached_property
    def alike(self) -> list[Alike]:
        """The factors by size, small ones first."""
        found = []
        for size in sorted(set(self.sizes)):
            members = np.flatnonzero(np.array(self.sizes) == size)
            columns = (self._starts[members][:, None] + np.arange(size)).reshape(-1)
            found.append(Alike(size, members, columns))
        return found

    def codes(self, theta: NDArray[Any]) -> Array:
        """[..., F] -> [..., C]"""
        coded = np.zeros((*theta.shape[:-1], self.code_size))
        np.put_along_axis(coded, theta + self._starts, 1.0, axis=-1)
        return coded

    def draw(self, logits: Array, coupling: Array, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Draw factor by factor, each with a word of its own: [n, C], [C, C] or empty, uint64 [n, F] -> int64 [n, F].

        ``coupling`` is on its grid, so that the sum of its rows is exact and the conditional logits have the bits of the
        product with the code.
        """
        drawn = np.zeros((len(logits), self.count), dtype=np.int64)
        seen = np.zeros_like(logits)
        by_factor = np.ascontiguousarray(words.T)
        for f, span in enumerate(self.spans):
            drawn[:, f] = draw(logits[:, span] + seen[:, span], by_factor[f])
            if coupling.size:
                seen += coupling[self._starts[f] + drawn[:, f]]
        return drawn

    def decode(self, logits: Array, coupling: Array, width: int) -> NDArray[np.int64]:
        """The likeliest theta that a beam of ``width`` beginnings finds: [n, C], [C, C] or empty -> int64 [n, F].

        Width 1 takes each factor's best choice in turn; a width of all choices but the last factor's looks at every theta.
        Of equals, that of the earlier beginning and the lower choice is kept.
        """
        rows = np.arange(len(logits))[:, None]
        chosen = np.zeros((len(logits), 1, self.count), dtype=np.int64)
        worth = np.zeros((len(logits), 1))
        seen = np.zeros((len(logits), 1, self.code_size))
        for f, (span, size) in enumerate(zip(self.spans, self.sizes, strict=True)):
            conditional = (logits[:, None, span] + seen[:, :, span]).reshape(-1, size)
            longer = (worth[:, :, None] + log_softmax(conditional).reshape(len(logits), -1, size)).reshape(len(logits), -1)
            best = np.argsort(-longer, axis=1, kind="stable")[:, :width]
            parent, choice = best // size, best % size
            chosen, worth = chosen[rows, parent], longer[rows, best]
            chosen[:, :, f] = choice
            seen = seen[rows, parent]
            if coupling.size:
                seen += coupling[self._starts[f] + choice]
        first: NDArray[np.int64] = chosen[:, 0]
        return first
