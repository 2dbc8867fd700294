"""A look into SQLite's write-ahead log, for what SQLite does not say.

SQLite reads the log up to the first frame whose checksum fails and drops the rest without a word. That is right for a torn
tail: a process or host died while writing, and what it had not finished never counted. It is wrong for a rotten byte in the
middle: whole transactions behind it vanish. The two can be told apart, because each frame's checksum continues the one
before: behind a torn tail no commit fits, behind a rotten frame the following ones still fit each other. Frames that fit
and commit nothing are of a transaction that a kill cut short and the next one overwrote in part.

    header   32 bytes   magic (its last bit: byte order of checksums), version, page size, sequence, 2 salts, 2 checksums
    frame    24 bytes   page number, size of the database after a commit, 2 salts, 2 checksums; then one page
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
_MASK = 0xFFFFFFFF


class WalDamage(NamedTuple):
    """Frames that SQLite drops although they were written whole."""

    frame: int
    """The first bad one, from 0."""
    dropped: int
    """How many frames behind it are dropped with it."""


def find_damage(path: Path) -> WalDamage | None:
    """Damage in the middle of the log at ``path``; None where there is no log, or no more than a torn tail."""
    raw = path.read_bytes() if path.exists() else b""
    if len(raw) < _HEADER.size:
        return None
    magic, _, page, _, salt1, salt2, sum1, sum2 = _HEADER.unpack_from(raw)
    if magic & ~1 != _MAGIC or not 512 <= page <= 65536:
        return WalDamage(0, len(raw) // 4096)
    order = ">u4" if magic & 1 else "<u4"
    size = _FRAME.size + page
    bad: int | None = None
    expected = (sum1, sum2)
    fitting = 0
    for index in range((len(raw) - _HEADER.size) // size):
        start = _HEADER.size + index * size
        _, committed, own1, own2, stored1, stored2 = _FRAME.unpack_from(raw, start)
        body = raw[start : start + 8] + raw[start + _FRAME.size : start + size]
        fits = (own1, own2) == (salt1, salt2) and _checksum(body, order, expected) == (stored1, stored2)
        if bad is None and not fits:
            bad = index
        elif bad is not None and fits and committed:
            fitting = index - bad
        expected = (stored1, stored2)
    return None if bad is None or not fitting else WalDamage(bad, fitting)


def _checksum(body: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    words = np.frombuffer(body, dtype=order).tolist()
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
