"""Two learner states side by side: which tensors differ, and where the first different value stands.

Values are compared as bits: 0.0 and -0.0 differ, and two NaN of the same bits do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MISSING = "missing"


@dataclass(frozen=True)
class TensorDifference:
    """One tensor that is not the same in two states."""

    name: str
    index: list[int]
    """Of the first value that differs, in C order; empty where shapes differ or one state lacks the tensor."""
    left: str
    right: str
    differing: int
    """How many values differ."""
    values: int
    """How many values the tensor has."""

    def text(self) -> str:
        """One line for people."""
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return f"{self.name}{where}: {self.left} against {self.right} ({self.differing} of {self.values} values differ)"

    def to_plain(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self)


def differences(left: Mapping[str, NDArray[Any]], right: Mapping[str, NDArray[Any]]) -> list[TensorDifference]:
    """Tensors that differ, in the order of ``left``; then those that only ``right`` has."""
    names = [*left, *(name for name in right if name not in left)]
    found = [_difference(name, left.get(name), right.get(name)) for name in names]
    return [one for one in found if one is not None]


def _difference(name: str, left: NDArray[Any] | None, right: NDArray[Any] | None) -> TensorDifference | None:
    if left is None or right is None:
        present = left if left is not None else right
        size = 0 if present is None else present.size
        shown = [_MISSING if one is None else _form(one) for one in (left, right)]
        return TensorDifference(name, [], shown[0], shown[1], size, size)
    if left.shape != right.shape or left.dtype != right.dtype:
        return TensorDifference(name, [], _form(left), _form(right), max(left.size, right.size), max(left.size, right.size))
    unequal = _bits(left) != _bits(right)
    if not unequal.any():
        return None
    first = int(np.flatnonzero(unequal)[0])
    index = [int(i) for i in np.unravel_index(first, left.shape)] if left.ndim else []
    values = (left.reshape(-1)[first], right.reshape(-1)[first])
    return TensorDifference(name, index, _shown(values[0]), _shown(values[1]), int(unequal.sum()), left.size)


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint64) if flat.dtype == np.float64 else flat


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype.name} {list(array.shape)}"


def _shown(value: Any) -> str:
    """Decimal and, for a float, every bit of it."""
    return f"{float(value)!r} ({float(value).hex()})" if isinstance(value, np.floating) else str(value)
