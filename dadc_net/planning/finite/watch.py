"""When a search stops, why, how far it is, and what it holds meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import ref

from dadc_net.planning.finite.delay_cascade import DelayCascade
from dadc_net.planning.finite.joint_beliefs import JointBeliefs, TooManyBeliefsError
from dadc_net.planning.finite.search_view import Held, Search

Progress = Callable[[float, float, int], None]
"""(lower, upper, beliefs) now and then"""

_MOST_ROOM, _SAID = 1 << 27, 20_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop."""

    gap: float
    """Bounds this near to each other are near enough."""
    memory_bytes: int
    """Of all that is held."""
    is_late: Callable[[], bool]
    """Whether time is up; the core has no clock."""
    bytes_beside: int = 0
    """What is held besides and counts."""


class Watch:
    """Asked now and then whether to stop; ``reason`` says why."""

    def __init__(self, joint: JointBeliefs, limits: Limits, progress: Progress | None) -> None:
        self.limits = limits
        self.search: Search | None = None
        self.beside: DelayCascade | None = None
        """Of structures under which more is known, whose optima bound the one that is looked for."""
        self.reason = ""
        """``time`` or ``memory``; empty as long as neither is used up"""
        self.most_held = 0
        """The most that was held at once."""
        self._held: list[ref[Held]] = []
        self._progress = progress
        self._told: tuple[float, float] | None = None
        self._joint = joint
        self.hold(joint)

    def hold(self, held: Held) -> None:
        """Count what this holds, as long as it is there."""
        self._held = [known for known in self._held if known() is not None] + [ref(held)]

    @property
    def bytes_held(self) -> int:
        """Of all that is counted."""
        total = self.limits.bytes_beside
        for known in self._held:
            held = known()
            if held is not None:
                total += held.bytes_held
        return total

    def tell(self, lower: float, upper: float) -> None:
        """The optimum has been found to lie between these."""
        before = self._told or (lower, upper)
        self._told = max(before[0], lower), min(before[1], upper)
        self._pass_on()

    @property
    def room(self) -> int:
        """Bytes that one look may take."""
        return min(_MOST_ROOM, self.limits.memory_bytes // 4)

    @contextmanager
    def ending_memory(self) -> Iterator[None]:
        """What is done here ends where there are more joint beliefs than memory allows; what was found before holds."""
        try:
            yield
        except TooManyBeliefsError:
            self.reason = self.reason or "memory"
        # Saying the policy may take some beliefs more.
        self._joint.most = len(self._joint) + _SAID

    def __call__(self) -> bool:
        """Whether to stop; also tells how far it is, so that a long trial does not keep it to itself."""
        if not self.reason and self.limits.is_late():
            self.reason = "time"
        held = self.bytes_held
        self.most_held = max(self.most_held, held)
        if held > self.limits.memory_bytes:
            self.reason = self.reason or "memory"
        self._pass_on()
        return bool(self.reason)

    def _pass_on(self) -> None:
        if self._progress is not None and self._told is not None:
            self._progress(*self._told, 0 if self.search is None else len(self.search.nodes))
