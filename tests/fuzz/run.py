"""A million inputs and more for one target, guided by what they reach (the extra ``fuzz``: atheris).

    python -m tests.fuzz.run TARGET [RUNS] [--found FOLDER] [--without-a-guide]

TARGET is one of ``targets.TARGETS``, RUNS 1000000. It begins with ``inputs.seeds``, of which the corpus is a part. What
reaches something new is left in FOLDER; ``tests.fuzz.keep`` makes the corpus of it. Without atheris, or without a guide,
inputs are the seeds changed at random: the same oracle, several times as many inputs a second.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

PATIENCE_S = 20
"""For one input: what takes longer counts as a hang."""
_LINE_EVERY = 50_000


def mutated(data: bytes, chance: random.Random) -> bytes:
    """``data`` with a few bytes changed, repeated, left out or put in."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(found))
        kind = chance.randrange(5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at : at + chance.randint(1, 8)]
        elif kind == 2:
            found[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 3:
            found[at:at] = found[at : at + chance.randint(1, 64)]
        else:
            found[at : at + 8] = chance.choice((bytes(8), b"\xff" * 8, (2**31).to_bytes(8, "little")))
    return bytes(found)


class HangError(Exception):
    """One input took longer than ``PATIENCE_S``."""


def _hang(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise HangError(f"more than {PATIENCE_S} s")


def without_a_guide(name: str, runs: int) -> None:
    """The seeds, changed at random; the same for the same number of runs. Prints the input that is a finding."""
    from tests.fuzz.inputs import seeds
    from tests.fuzz.targets import TARGETS

    chance, found, target = random.Random(name), seeds(name), TARGETS[name]
    signal.signal(signal.SIGALRM, _hang)
    begun, slowest = time.monotonic(), 0.0
    for number in range(1, runs + 1):
        data = found[number - 1] if number <= len(found) else mutated(chance.choice(found), chance)
        signal.alarm(PATIENCE_S)
        before = time.monotonic()
        try:
            target(data)
        except BaseException:
            print(f"input {number}: {data!r}", flush=True)
            raise
        slowest = max(slowest, time.monotonic() - before)
        if number % _LINE_EVERY == 0 or number == runs:
            seconds = time.monotonic() - begun
            print(f"{name}: {number} inputs in {seconds:.0f} s without a guide, the slowest {slowest:.2f} s", flush=True)
    signal.alarm(0)


def guided(name: str, runs: int, folder: Path) -> None:
    """By atheris, which ends the process."""
    import atheris

    from dadc_net.exact import compiled

    compiled.load()  # Before: numba cannot compile what is watched.
    with atheris.instrument_imports(include=["dadc_net"]):
        from tests.fuzz.inputs import seeds
        from tests.fuzz.targets import TARGETS
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(one)
    limits = [f"-runs={runs}", "-max_len=16384", f"-timeout={PATIENCE_S}", "-rss_limit_mb=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(folder)], TARGETS[name])
    atheris.Fuzz()


def main() -> None:
    """Run one target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("target")
    parser.add_argument("runs", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--without-a-guide", action="store_true")
    given = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        given.without_a_guide = True
    if given.without_a_guide:
        without_a_guide(given.target, given.runs)
    else:
        guided(given.target, given.runs, given.found or Path(tempfile.mkdtemp(prefix=f"dadc-fuzz-{given.target}-")))


if __name__ == "__main__":
    main()
