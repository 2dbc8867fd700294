"""Known-answer test: does this host compute the bits that every other host computes?

Each primitive is run on fixed inputs (``known_answers``) and the digest of its results is compared with the one
committed in ``golden.py``, first on NumPy and then, where this host has them, with the compiled kernels. Rooms above add
runs of their own, such as a few updates of every algorithm. It runs before an agent joins; a mismatch refuses to join and
names the primitive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dadc_net.errors import SelftestError
from dadc_net.exact import compiled
from dadc_net.exact.digest import digest
from dadc_net.exact.golden import GOLDEN
from dadc_net.exact.known_answers import PRIMITIVES

_COMPILED = " (compiled)"
_SHORT_DIGITS = 16


class KnownAnswers(NamedTuple):
    """Work whose results are known."""

    runs: Mapping[str, Callable[[], bytes]]
    """By name: does the work and returns the digest of its results."""
    golden: Mapping[str, str]
    """By name: the committed digest in hexadecimal."""


ARITHMETIC = KnownAnswers(PRIMITIVES, GOLDEN)
"""The primitives of this room."""


@dataclass(frozen=True)
class SelftestResult:
    """What the test found."""

    ok: bool
    digest: bytes
    """Over all primitives' results; equal on all hosts that agree."""
    digests: dict[str, bytes]
    """Of each primitive's results on NumPy, by name."""
    failures: tuple[str, ...]
    """Names of primitives whose digest differs from the committed one; those of the kernels end in "(compiled)"."""

    @property
    def answers(self) -> dict[str, str]:
        """The start of each digest, by name: enough to say which primitive differs between two hosts."""
        return {name: value.hex()[:_SHORT_DIGITS] for name, value in self.digests.items()}

    def require_ok(self) -> SelftestResult:
        """This result. Raises SelftestError if a primitive failed."""
        if not self.ok:
            remedy = "check for patched numerical libraries or flush-to-zero settings"
            if all(failure.endswith(_COMPILED) for failure in self.failures):
                remedy = "set DADC_FAST=0 to do without the compiled kernels"
            raise SelftestError(
                f"this host computes {', '.join(self.failures)} otherwise than specified (self-test digest "
                f"{self.digest.hex()[:16]}). It would diverge from the team at once and does not join. Run dadc "
                f"selftest, and {remedy}."
            )
        return self


def run_selftest(with_kernels: bool = True, further: KnownAnswers | None = None) -> SelftestResult:
    """Run every primitive and compare with the committed digests.

    Args:
        with_kernels: use the compiled kernels from here on, where this host has them, after the same test.
        further: more work to do and compare.
    """
    parts = [ARITHMETIC, *([] if further is None else [further])]
    compiled.unload()
    computed = compute_digests(parts)
    return judged(parts, computed, compute_digests(parts) if with_kernels and compiled.load() else {})


def judged(parts: Sequence[KnownAnswers], computed: Mapping[str, bytes], by_kernels: Mapping[str, bytes]) -> SelftestResult:
    """Compare with the committed digests what NumPy computed, and what the kernels did, if there are any."""
    failures = _differing(computed, parts) + [name + _COMPILED for name in _differing(by_kernels, parts)]
    overall = digest(*(name.encode("ascii") + value for name, value in computed.items()))
    return SelftestResult(not failures, overall, dict(computed), tuple(failures))


def compute_digests(parts: Sequence[KnownAnswers]) -> dict[str, bytes]:
    """Digest of each run's results on this host."""
    # Overflow and the like on these inputs is meant; a caller's setting must not turn it into a warning or an error.
    with np.errstate(all="ignore"):
        return {name: run() for part in parts for name, run in part.runs.items()}


def _differing(computed: Mapping[str, bytes], parts: Sequence[KnownAnswers]) -> list[str]:
    golden = {name: value for part in parts for name, value in part.golden.items()}
    return [name for name, value in computed.items() if golden.get(name) != value.hex()]


def flushes_subnormals() -> bool:
    """Whether this thread flushes subnormal numbers to zero; 2 us, for a check from time to time.

    A library that was built with fast-math may switch it on when it is loaded, after the self-test has passed.
    """
    tiny = np.full(1, math.ldexp(1.0, -1074))
    half = np.full(1, math.ldexp(1.0, -1022)) * 0.5
    return not (float((tiny + tiny)[0]) > 0.0 and float(half[0]) > 0.0)
