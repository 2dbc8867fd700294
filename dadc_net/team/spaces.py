"""Spaces: what values an observation, an action, local or common information can take.

Values of a finite space are int64 arrays whose last axis runs over its factors: a product of C finite sets of sizes
n_1 .. n_C has values [..., C] with 0 <= value_c < n_c. The index of a value is its place in row-major order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError

_JOINT_CODE_LIMIT = 64


@dataclass(frozen=True)
class FiniteSpace:
    """A product of finite sets."""

    sizes: tuple[int, ...]
    ordered: bool = False
    """Whether factors are quantities, such as counts, of which near values are alike; their code is a number then."""

    def __post_init__(self) -> None:
        if not self.sizes or any(size < 1 for size in self.sizes):
            raise ValueError(f"a finite space needs at least one factor of size >= 1, got sizes {self.sizes}")

    @property
    def num_values(self) -> int:
        """Number of values."""
        return math.prod(self.sizes)

    @cached_property
    def _limits(self) -> NDArray[np.uint64]:
        return np.array(self.sizes, dtype=np.uint64)

    @cached_property
    def _strides(self) -> NDArray[np.int64]:
        return np.array([math.prod(self.sizes[c + 1 :]) for c in range(len(self.sizes))], dtype=np.int64)

    @cached_property
    def _spans(self) -> NDArray[np.float64]:
        return np.maximum(np.array(self.sizes, dtype=np.float64) - 1.0, 1.0)

    @cached_property
    def _codes(self) -> NDArray[np.float64]:
        return np.eye(self.num_values)

    @property
    def feature_size(self) -> int:
        """Length of a value's code."""
        if self.ordered:
            return len(self.sizes)
        return self.num_values if self.num_values <= _JOINT_CODE_LIMIT else sum(self.sizes)

    def contains(self, values: NDArray[np.int64]) -> bool:
        """Whether every value [..., C] lies in the space."""
        if values.shape[-1] != len(self.sizes):
            return False
        # As unsigned numbers, negative values lie above every limit: one comparison instead of two.
        return bool((np.ascontiguousarray(values, dtype=np.int64).view(np.uint64) < self._limits).all())

    def index(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row-major index: [..., C] -> [...]."""
        index: NDArray[np.int64] = values @ self._strides
        return index

    def values(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The inverse of ``index``: [...] -> [..., C]."""
        columns = []
        rest = np.asarray(index, dtype=np.int64)
        for size in reversed(self.sizes):
            columns.append(rest % size)
            rest = rest // size
        return np.stack(columns[::-1], axis=-1)

    def features(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Code for a network, entries of magnitude at most 1: [..., C] -> [..., F].

        One one-hot over all values up to 64 of them, otherwise the factors' one-hots side by side. Where factors are
        ordered, each is a number from -1 to 1, its middle at 0.
        """
        if self.ordered:
            return (2.0 * values.astype(np.float64)) / self._spans - 1.0
        if self.num_values <= _JOINT_CODE_LIMIT:
            return self._codes[self.index(values)]
        codes = [values[..., c, None] == np.arange(size) for c, size in enumerate(self.sizes)]
        return np.concatenate(codes, axis=-1).astype(np.float64)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {"kind": "ordered" if self.ordered else "finite", "sizes": list(self.sizes)}


@dataclass(frozen=True)
class BoxSpace:
    """A box of real numbers; values float64 [..., C]."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"a box needs low < high in every coordinate, got {self.low} and {self.high}")

    @property
    def feature_size(self) -> int:
        """Length of a value's code."""
        return len(self.low)

    def contains(self, values: NDArray[np.float64]) -> bool:
        """Whether every value [..., C] lies in the box; NaN does not."""
        if values.shape[-1] != len(self.low):
            return False
        return bool(((values >= np.array(self.low)) & (values <= np.array(self.high))).all())

    def features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values clamped to the box: [..., C] -> [..., C]."""
        return np.clip(values, self.low, self.high)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {"kind": "box", "low": list(self.low), "high": list(self.high)}


Space = FiniteSpace | BoxSpace


def space_from_plain(record: Mapping[str, Any]) -> Space:
    """The space that ``to_plain`` described.

    Raises:
        ProtocolError: if the record describes none.
    """
    try:
        if record["kind"] in ("finite", "ordered"):
            return FiniteSpace(tuple(int(size) for size in record["sizes"]), record["kind"] == "ordered")
        if record["kind"] == "box":
            return BoxSpace(tuple(map(float, record["low"])), tuple(map(float, record["high"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"{dict(record)!r} does not describe a space: {error}") from error
    raise ProtocolError(f"{record['kind']!r} is not a kind of space; known are finite, ordered and box")
