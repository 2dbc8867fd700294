"""Make the corpus of a target: the inputs, shortest first, of which each reaches something of ours that none before it did.

    python -m tests.fuzz.keep TARGET [FOLDER]

FOLDER is where ``tests.fuzz.run --found`` left what its guide had found. Besides, the seeds are changed at random a few
thousand times. What is reached is a line after another; a corpus has at most ``BYTES_MAX`` bytes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import dadc_net
from tests.fuzz.inputs import keep, kept, seeds
from tests.fuzz.run import mutated
from tests.fuzz.targets import TARGETS

BYTES_MAX = 16_000
_TRIES = 1_500

Arc = tuple[str, int, int]
_OURS = str(Path(dadc_net.__file__).parent)


@contextmanager
def _arcs() -> Iterator[set[Arc]]:
    """Which line of this package follows which, while it runs."""
    found: set[Arc] = set()

    def of_call(frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            return None
        before = 0

        def of_line(frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any]:
            nonlocal before
            found.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return of_line

        return of_line

    sys.settrace(of_call)
    try:
        yield found
    finally:
        sys.settrace(None)


def reached(target: Callable[[bytes], None], data: bytes) -> set[Arc]:
    """What ``data`` reaches."""
    with _arcs() as found:
        target(data)
    return found


def worth_keeping(target: Callable[[bytes], None], given: Iterable[bytes], known: Iterable[bytes]) -> list[bytes]:
    """Those of ``given`` that reach what none before them did, nor one of ``known``: ``BYTES_MAX`` bytes of them."""
    seen = set().union(*(reached(target, one) for one in known))
    found: list[bytes] = []
    for one in sorted(set(given), key=lambda one: (len(one), one)):
        arcs = reached(target, one)
        if not arcs <= seen and len(one) + sum(map(len, found)) <= BYTES_MAX:
            seen |= arcs
            found.append(one)
    return found


def grown(target: Callable[[bytes], None], begun: list[bytes], tries: int) -> list[bytes]:
    """``begun``, and changed inputs of it that reached something anew, and changed ones of those."""
    chance, found = random.Random(tries), list(begun)
    seen = set().union(*(reached(target, one) for one in found))
    for _ in range(tries):
        data = mutated(chance.choice(found), chance)
        arcs = reached(target, data)
        if not arcs <= seen:
            seen |= arcs
            found.append(data)
    return found


def main() -> None:
    """Make one corpus."""
    name = sys.argv[1]
    target, begun = TARGETS[name], seeds(name)
    known = [one for one in begun if one not in kept(name)]
    for path in Path(sys.argv[2]).iterdir() if len(sys.argv) > 2 else ():
        begun.append(path.read_bytes())
    given = grown(target, begun, _TRIES)
    found = worth_keeping(target, set(given) - set(known), known)
    keep(name, found)
    print(f"{name}: {len(found)} of {len(given)} inputs, {sum(map(len, found))} bytes")


if __name__ == "__main__":
    main()
