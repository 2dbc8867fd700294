"""A million inputs and more for one target, guided by what they reach (the extra ``fuzz``: atheris).

    python -m tests.fuzz.run TARGET [RUNS]      targets: tests/fuzz/targets.py; RUNS: 1000000

The corpus in ``tests/fuzz/corpus/TARGET`` is where it begins; what it finds there stays in a folder of its own unless it is
copied. Without atheris, inputs are the seeds changed at random: no guide, but the same oracle.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path


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


def without_a_guide(name: str, runs: int) -> None:
    """The seeds, changed at random; the same for the same number of runs."""
    from tests.fuzz.targets import TARGETS, seeds

    chance, found, target = random.Random(name), seeds(name), TARGETS[name]
    for one in found:
        target(one)
    for _ in range(runs):
        data = mutated(chance.choice(found), chance)
        try:
            target(data)
        except BaseException:
            print(f"input: {data!r}", flush=True)
            raise


def guided(name: str, runs: int) -> None:
    """By atheris, which ends the process."""
    import atheris

    from dadc_net.exact import compiled

    compiled.load()  # Before: numba cannot compile what is watched.
    with atheris.instrument_imports(include=["dadc_net"]):
        from tests.fuzz.targets import TARGETS, seeds
    made = Path(tempfile.mkdtemp(prefix=f"dadc-fuzz-{name}-"))
    for number, one in enumerate(seeds(name)):
        (made / f"seed-{number}").write_bytes(one)
    limits = [f"-runs={runs}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(made)], TARGETS[name])
    atheris.Fuzz()


def main() -> None:
    """Run one target."""
    name, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    try:
        import atheris  # noqa: F401
    except ImportError:
        begun = time.monotonic()
        without_a_guide(name, runs)
        print(f"{name}: {runs} inputs, {time.monotonic() - begun:.0f} s, without a guide (pip install 'dadc-net[fuzz]')")
        return
    guided(name, runs)


if __name__ == "__main__":
    main()
