"""The self-test of a process that others are forked from: once for all of them, half of it on NumPy and half by kernels.

Autograd's threads, which there are where there is an accelerator, do not survive a fork. So the process that forks has never
used autograd: each half runs in a fork of its own, beside the other, and says what it computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from dadc_net.coordinator.known_answers import LEARNERS
from dadc_net.errors import InvariantError
from dadc_net.exact import compiled
from dadc_net.exact.selftest import ARITHMETIC, SelftestResult, compute_digests, judged

_PART_BYTES = 1 << 16


class _Fork:
    """A fork that computes digests and ends."""

    def __init__(self, compute: Callable[[], Mapping[str, bytes]]) -> None:
        read, write = os.pipe()
        self._read = read
        self._process = os.fork()
        if self._process == 0:
            _tell(write, compute)
        os.close(write)

    def digests(self) -> dict[str, bytes]:
        """What it computed. Raises InvariantError if it ended without a word."""
        parts = []
        while part := os.read(self._read, _PART_BYTES):
            parts.append(part)
        os.close(self._read)
        _, status = os.waitpid(self._process, 0)
        if status != 0:
            raise InvariantError(f"a half of the self-test ended with status {status}")
        return {name: bytes.fromhex(value) for name, value in json.loads(b"".join(parts)).items()}


def _tell(write: int, compute: Callable[[], Mapping[str, bytes]]) -> None:
    """In the fork: write what ``compute`` gives, and end, whatever happens."""
    code = 1
    try:
        told = json.dumps({name: value.hex() for name, value in compute().items()}).encode("ascii")
        while told:
            told = told[os.write(write, told) :]
        code = 0
    finally:
        os._exit(code)


def forked_selftest(with_kernels: bool) -> SelftestResult:
    """The whole self-test; the kernels are in use afterwards, with their first calls made, if they are wanted and there.

    Raises:
        InvariantError: if a half did not come to its end. Nothing is known of the host then.
    """
    parts = [ARITHMETIC, LEARNERS]
    compiled.unload()
    on_numpy = _Fork(lambda: compute_digests(parts))
    by_kernels: dict[str, bytes] = {}
    try:
        if with_kernels and compiled.load():
            by_kernels |= compute_digests([ARITHMETIC])  # Here, so that kernels are read from their cache once.
            by_kernels |= _Fork(lambda: compute_digests([LEARNERS])).digests()
    finally:
        computed = on_numpy.digests()
    return judged(parts, computed, by_kernels)
