"""Make the corpus of a target from what a guide has found: the inputs, shortest first, that reach a line of ours anew.

    python -m tests.fuzz.keep TARGET FOLDER [BYTES]

BYTES, 16000 for each target: what the corpus may have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import dadc_net
from tests.fuzz.inputs import keep, kept, seeds
from tests.fuzz.targets import TARGETS

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


def worth_keeping(target: Callable[[bytes], None], given: Iterable[bytes], known: Iterable[bytes], most: int) -> list[bytes]:
    """Those of ``given`` that reach what none before them did, nor one of ``known``; ``most`` bytes of them."""
    reached: set[Arc] = set()
    for one in known:
        with _arcs() as arcs:
            target(one)
        reached |= arcs
    found: list[bytes] = []
    for one in sorted(set(given), key=lambda one: (len(one), one)):
        if len(one) > most:
            break
        with _arcs() as arcs:
            target(one)
        if not arcs <= reached:
            reached |= arcs
            found.append(one)
            most -= len(one)
    return found


def main() -> None:
    """Make one corpus."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 16_000
    given = {*kept(name), *(path.read_bytes() for path in folder.iterdir())}
    known = [one for one in seeds(name) if one not in given]
    found = worth_keeping(TARGETS[name], given - set(known), known, most)
    keep(name, found)
    print(f"{name}: {len(found)} of {len(given)} inputs, {sum(map(len, found))} bytes")


if __name__ == "__main__":
    main()
