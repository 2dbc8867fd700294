"""Spaces: what values an observation, an action, local or common information can take.

The values of a space are arrays whose last axis runs over its columns. A finite space is a product of C finite sets of
sizes n_1 .. n_C, its values are int64 [..., C] with 0 <= value_c < n_c, and the index of a value is its place in row-major
order. A box holds real numbers, float64 [..., C]. A product of several spaces puts their columns side by side; as soon as
one of them is a box, all its values are float64, in which whole numbers below 2^53 are exact.

Every space can be compared (equal spaces describe equal values), travels as plain data (``to_plain``), knows the type in
which each of its columns travels (``column_types``), and has a code for networks, whose entries have magnitude at most 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError

_LONGEST_TEXT = 200
"""Characters of a space in a sentence."""
_JOINT_CODE_LIMIT = 64
SIZE_MAX = 2**32
"""Largest number of values of one factor: what four bytes tell apart."""


@dataclass(frozen=True)
class FiniteSpace:
    """A product of finite sets."""

    sizes: tuple[int, ...]
    ordered: bool = False
    """Whether factors are quantities, such as counts, of which near values are alike; their code is a number then."""

    def __post_init__(self) -> None:
        if not self.sizes or any(not 1 <= size <= SIZE_MAX for size in self.sizes):
            raise ValueError(f"a finite space needs at least one factor of size >= 1, at most {SIZE_MAX}, got {self.sizes}")

    @cached_property
    def num_values(self) -> int:
        """Number of values."""
        return math.prod(self.sizes)

    @cached_property
    def columns(self) -> int:
        """C."""
        return len(self.sizes)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return np.dtype(np.int64)

    @property
    def parts(self) -> tuple[FiniteSpace | BoxSpace, ...]:
        """Itself: it is a product of one."""
        return (self,)

    @cached_property
    def column_types(self) -> tuple[str, ...]:
        """The smallest unsigned integer that holds each column, as NumPy writes it, little endian."""
        return tuple("u1" if size <= 2**8 else "<u2" if size <= 2**16 else "<u4" for size in self.sizes)

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

    @cached_property
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
        index: NDArray[np.int64] = values[..., 0].copy() if len(self.sizes) == 1 else values @ self._strides
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
        bounds = zip(self.low, self.high, strict=False)
        fits = len(self.low) == len(self.high) > 0 and all(a < b and math.isfinite(b - a) for a, b in bounds)
        if not fits:
            raise ValueError(f"a box needs finite low < high in every coordinate, got {self.low} and {self.high}")

    @cached_property
    def columns(self) -> int:
        """C."""
        return len(self.low)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return np.dtype(np.float64)

    @property
    def parts(self) -> tuple[FiniteSpace | BoxSpace, ...]:
        """Itself: it is a product of one."""
        return (self,)

    @cached_property
    def column_types(self) -> tuple[str, ...]:
        """A float64, little endian, for each column."""
        return ("<f8",) * len(self.low)

    @cached_property
    def _low(self) -> NDArray[np.float64]:
        return np.array(self.low, dtype=np.float64)

    @cached_property
    def _high(self) -> NDArray[np.float64]:
        return np.array(self.high, dtype=np.float64)

    @cached_property
    def feature_size(self) -> int:
        """Length of a value's code."""
        return len(self.low)

    def contains(self, values: NDArray[np.float64]) -> bool:
        """Whether every value [..., C] lies in the box; NaN does not."""
        if values.shape[-1] != len(self.low):
            return False
        return bool(((values >= self._low) & (values <= self._high)).all())

    def features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each coordinate as a number from -1 (low) to 1 (high), clamped: [..., C] -> [..., C]."""
        scaled = 2.0 * ((values - self._low) / (self._high - self._low)) - 1.0
        return np.clip(scaled, -1.0, 1.0)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {"kind": "box", "low": list(self.low), "high": list(self.high)}


@dataclass(frozen=True)
class ProductSpace:
    """Several spaces side by side, at least two; ``product`` makes them."""

    parts: tuple[FiniteSpace | BoxSpace, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ValueError(f"a product needs at least two parts, got {len(self.parts)}")

    @cached_property
    def columns(self) -> int:
        """C, of all parts together."""
        return sum(part.columns for part in self.parts)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """float64 as soon as one part is a box."""
        return np.dtype(np.float64 if any(isinstance(part, BoxSpace) for part in self.parts) else np.int64)

    @cached_property
    def column_types(self) -> tuple[str, ...]:
        """Those of the parts."""
        return tuple(itertools.chain.from_iterable(part.column_types for part in self.parts))

    @cached_property
    def feature_size(self) -> int:
        """Length of a value's code."""
        return sum(part.feature_size for part in self.parts)

    @cached_property
    def _places(self) -> tuple[slice, ...]:
        ends = list(itertools.accumulate(part.columns for part in self.parts))
        return tuple(slice(end - part.columns, end) for part, end in zip(self.parts, ends, strict=True))

    def split(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """The columns of each part, in its type: [..., C] -> [..., C_1], [..., C_2] .."""
        pieces = zip(self.parts, self._places, strict=True)
        return [values[..., place].astype(part.dtype, copy=False) for part, place in pieces]

    def contains(self, values: NDArray[Any]) -> bool:
        """Whether every value [..., C] lies in the space; in finite columns only whole numbers do."""
        if values.shape[-1] != self.columns:
            return False
        finite = [place for part, place in zip(self.parts, self._places, strict=True) if isinstance(part, FiniteSpace)]
        # NaN, infinity and what is not whole are not integers; asked before the conversion, which would not say so.
        if values.dtype.kind == "f" and not all(is_whole(values[..., place]) for place in finite):
            return False
        return all(part.contains(piece) for part, piece in zip(self.parts, self.split(values), strict=True))

    def features(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The codes of the parts side by side: [..., C] -> [..., F]."""
        codes = [part.features(piece) for part, piece in zip(self.parts, self.split(values), strict=True)]
        return np.concatenate(codes, axis=-1)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {"kind": "product", "parts": [part.to_plain() for part in self.parts]}


Space = FiniteSpace | BoxSpace | ProductSpace


def space_text(space: Space) -> str:
    """What a sentence calls a space: its record, or how wide it is where that would fill the screen."""
    text = str(space.to_plain())
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT // 2]} ... (a space of {space.columns:,} columns)"


def value_bytes(space: Space) -> int:
    """What one value takes on its way."""
    return sum(np.dtype(kind).itemsize for kind in space.column_types)


def is_whole(values: NDArray[np.float64]) -> bool:
    """Whether all of ``values`` are whole numbers; NaN and infinity are not."""
    return bool(np.isfinite(values).all()) and bool((np.trunc(values) == values).all())


def product(*spaces: Space) -> Space:
    """The spaces side by side; neighbours of one kind become one, so that finite plain sets give a ``FiniteSpace``.

    Raises:
        ValueError: if there is none.
    """
    merged: list[FiniteSpace | BoxSpace] = []
    for part in itertools.chain.from_iterable(space.parts for space in spaces):
        last = merged[-1] if merged else None
        if isinstance(part, FiniteSpace) and isinstance(last, FiniteSpace) and part.ordered is last.ordered:
            merged[-1] = FiniteSpace(last.sizes + part.sizes, part.ordered)
        elif isinstance(part, BoxSpace) and isinstance(last, BoxSpace):
            merged[-1] = BoxSpace(last.low + part.low, last.high + part.high)
        else:
            merged.append(part)
    if not merged:
        raise ValueError("a product of no spaces was asked for")
    return merged[0] if len(merged) == 1 else ProductSpace(tuple(merged))


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
        if record["kind"] == "product":
            parts = [space_from_plain(part) for part in record["parts"]]
            return ProductSpace(tuple(part for part in parts if not isinstance(part, ProductSpace)))
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"{dict(record)!r} does not describe a space: {error}") from error
    raise ProtocolError(f"{record['kind']!r} is not a kind of space; known are finite, ordered, box and product")
