"""A time that is up after so many looks at it: the same on every machine."""

from __future__ import annotations


class LateAfter:
    """Is late after so many looks."""

    def __init__(self, most: int) -> None:
        self._left = most

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0
