"""Gymnasium's spaces as this package's: what is observed becomes columns, what is done one number.

Discrete, MultiDiscrete, MultiBinary and Box of any shape, Dict and Tuple of these. Coordinates without a bound get one,
and values beyond it are taken to it: common and private information must fit a declared, bounded space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from dadc_net.errors import ConfigError
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product

MOST_ACTIONS = 65_536


def _parts(space: Any) -> list[tuple[Any, Any]] | None:
    """Key and space of each part of a Dict or Tuple; None for the others."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return list(enumerate(space.spaces))
    return None


def _sizes(space: Any) -> tuple[int, ...] | None:
    """The factors of a finite space; None for a box."""
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(int(size) for size in np.ravel(space.nvec))
    if isinstance(space, spaces.MultiBinary):
        return (2,) * int(math.prod(space.shape))
    return None


def _limits(box: Any, bound: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = (np.ravel(side).astype(np.float64) for side in (box.low, box.high))
    low = np.where(np.isfinite(low), low, np.minimum(-bound, np.where(np.isfinite(high), high - 1.0, -bound)))
    high = np.where(np.isfinite(high), high, np.maximum(bound, low + 1.0))
    return low, np.where(high > low, high, low + 1.0)


def _unknown(space: Any, whose: str) -> ConfigError:
    return ConfigError(
        f"{whose} is {space}, which this package has no space for. Known are Discrete, MultiDiscrete, MultiBinary, Box, and "
        "Dict and Tuple of these. Wrap the environment so that it gives one of them."
    )


def observed_space(space: Any, bound: float, whose: str) -> Space:
    """The space of what is observed in ``space``; ``bound`` stands where a box has none.

    Raises:
        ConfigError: for a space of another kind, or an empty one.
    """
    if (parts := _parts(space)) is not None and parts:
        return product(*(observed_space(part, bound, f"{key!r} of {whose}") for key, part in parts))
    if sizes := _sizes(space):
        return FiniteSpace(sizes)
    if isinstance(space, spaces.Box) and math.prod(space.shape) > 0:
        low, high = _limits(space, bound)
        return BoxSpace(tuple(low.tolist()), tuple(high.tolist()))
    raise _unknown(space, whose)


def observed(space: Any, value: Any, bound: float) -> NDArray[np.float64]:
    """A value of ``space`` as the columns of ``observed_space``: [C]; fewer or more where it is none."""
    if (parts := _parts(space)) is not None:
        return np.concatenate([observed(part, value[key], bound) for key, part in parts])
    flat = np.ravel(np.asarray(value)).astype(np.float64)
    if flat.size != math.prod(space.shape):
        return flat  # One number must not be spread over several columns.
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return flat - np.ravel(space.start)
    if isinstance(space, spaces.Box):
        low, high = _limits(space, bound)
        free_low, free_high = ~np.isfinite(np.ravel(space.low)), ~np.isfinite(np.ravel(space.high))
        flat = np.where(free_low & (flat < low), low, flat)
        flat = np.where(free_high & (flat > high), high, flat)
    return flat


class Actions:
    """An action space of Gymnasium, numbered; a box as a grid of equally many levels in each coordinate."""

    def __init__(self, space: Any, levels: int, whose: str) -> None:
        """Raises ConfigError for a space of another kind, an unbounded box, or too many actions."""
        self._space, self._levels = space, levels
        sizes = tuple(self._factors(space, whose))
        count = math.prod(sizes)
        if not 1 <= count <= MOST_ACTIONS:
            raise ConfigError(
                f"{whose} has {count} actions. At most {MOST_ACTIONS} can be told apart. Lower env.levels, or wrap the "
                "environment so that fewer things are decided at once."
            )
        self._digits = FiniteSpace(sizes)
        self.space = FiniteSpace((count,))

    def _factors(self, space: Any, whose: str) -> Iterable[int]:
        if (parts := _parts(space)) is not None:
            for key, part in parts:
                yield from self._factors(part, f"{key!r} of {whose}")
        elif sizes := _sizes(space):
            yield from sizes
        elif isinstance(space, spaces.Box) and np.isfinite(space.low).all() and np.isfinite(space.high).all():
            yield from (self._levels,) * math.prod(space.shape)
        else:
            raise _unknown(space, whose)

    def native(self, index: int) -> Any:
        """Action ``index`` as the environment takes it."""
        return self._native(self._space, list(self._digits.values(np.array(index)).tolist()))

    def _native(self, space: Any, digits: list[int]) -> Any:
        """The value of ``space`` that the first of ``digits`` say; they are used up."""
        if isinstance(space, spaces.Dict):
            return {key: self._native(part, digits) for key, part in space.spaces.items()}
        if isinstance(space, spaces.Tuple):
            return tuple(self._native(part, digits) for part in space.spaces)
        if isinstance(space, spaces.Discrete):
            return int(space.start) + digits.pop(0)
        taken = np.array([digits.pop(0) for _ in range(math.prod(space.shape))]).reshape(space.shape)
        if isinstance(space, spaces.Box):
            share = taken / (self._levels - 1.0)
            return (space.low + share * (space.high - space.low)).astype(space.dtype)
        if isinstance(space, spaces.MultiDiscrete):
            return (space.start + taken).astype(space.dtype)
        return taken.astype(space.dtype)
