"""The tail of a journal: the newest entries, each in one piece at the end of a small file, before a database has them.

    entry    magic (4 bytes), length of the body (4), CRC-32 of the body (4), body

The CRC begins with the key of the run, so that a file of another run is not read as ours, and with the length, so that
neither of the two is without a check. Big endian.

An entry counts once ``append`` has returned. What follows the last whole entry is torn: its writer died or was refused
while it wrote, and nobody was told of it. A bad entry with a whole one behind it is rotten, because entries are appended
in order: that is damage, and said. ``cut`` makes the file empty, once its entries are somewhere else.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from dadc_net.atomic_file import sync_folder
from dadc_net.descriptors import opened

TAIL_SUFFIX = "-tail"
"""After the name of the database that the tail belongs to."""
_MAGIC = b"dadT"
_HEADER = struct.Struct(">4sII")


_SEARCH_FACTOR = 16
"""How many times over the bytes of a file are checked at most while a whole entry is looked for behind a bad one."""


class TailDamage(NamedTuple):
    """A rotten stretch of the file; what imitates entries without an end is one, whatever lies behind it."""

    byte: int
    """Where it begins."""
    before: int
    """How many whole entries lie before it; at least one lies behind it."""


class Tail(NamedTuple):
    """What a file holds."""

    bodies: list[bytes]
    """Of all whole entries, also of those behind damage."""
    damage: TailDamage | None


class TailFile:
    """The file, open for its one writer. Every method raises OSError where the disk refuses."""

    def __init__(self, path: Path, synced: bool) -> None:
        """``synced``: an entry is on the disk before ``append`` returns, so that it survives a loss of power."""
        self.path = path
        self.key = 0
        """Of the run, see ``key_of``; to be set before anything is appended."""
        self.size = 0
        """Bytes that must be kept."""
        self._sync = os.fdatasync if synced else None
        self._descriptor = -1

    def open(self) -> None:
        """Open the file, and make it where there is none. What it holds must be read and cut before ``append``."""
        there = self.path.exists()
        self._descriptor = opened(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._descriptor).st_size
        if not there:
            sync_folder(self.path.parent)

    def append(self, body: bytes) -> None:
        """Write one entry, in one piece. If that fails, the file is as it was, or torn."""
        raw = _HEADER.pack(_MAGIC, len(body), _check(self.key, body)) + body
        try:
            done = os.pwrite(self._descriptor, raw, self.size)
            while done < len(raw):  # The disk is full, or a signal came; the next call says which.
                done += os.pwrite(self._descriptor, raw[done:], self.size + done)
            if self._sync is not None:
                self._sync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(raw)

    def cut(self) -> None:
        """Drop all entries."""
        os.ftruncate(self._descriptor, 0)
        self.size = 0

    def close(self, remove: bool) -> None:
        """Close the file; ``remove``: it is of no more use. Can be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if remove:
                self.path.unlink(missing_ok=True)


def tail_path(database: Path) -> Path:
    """The tail that belongs to ``database``."""
    return database.with_name(database.name + TAIL_SUFFIX)


def key_of(run: str) -> int:
    """The key of the tails of a run."""
    return zlib.crc32(run.encode("utf-8"))


def read_tail(path: Path, key: int) -> Tail:
    """The whole entries of the file at ``path``; none where there is no file. Raises OSError if it cannot be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = b""
    bodies: list[bytes] = []
    damage: TailDamage | None = None
    at, budget = 0, _SEARCH_FACTOR * len(raw)
    while at < len(raw):
        body = _body_at(raw, at, key)
        bad = at
        while body is None:
            budget -= _HEADER.size + _claimed(raw, at)
            at = raw.find(_MAGIC, at + 1)
            if at < 0:
                return Tail(bodies, damage)
            if budget < 0:
                return Tail(bodies, damage or TailDamage(bad, len(bodies)))
            body = _body_at(raw, at, key)
        if bad != at and damage is None:
            damage = TailDamage(bad, len(bodies))
        bodies.append(body)
        at += _HEADER.size + len(body)
    return Tail(bodies, damage)


def _body_at(raw: bytes, at: int, key: int) -> bytes | None:
    """The body of the entry that begins at ``at``; None if no whole one does."""
    if len(raw) - at < _HEADER.size:
        return None
    magic, length, check = _HEADER.unpack_from(raw, at)
    if magic != _MAGIC or length > len(raw) - at - _HEADER.size:
        return None
    body = raw[at + _HEADER.size : at + _HEADER.size + length]
    return body if _check(key, body) == check else None


def _claimed(raw: bytes, at: int) -> int:
    """How many bytes ``_body_at`` has looked at."""
    if len(raw) - at < _HEADER.size:
        return 0
    magic, length, _ = _HEADER.unpack_from(raw, at)
    return length if magic == _MAGIC and length <= len(raw) - at - _HEADER.size else 0


def _check(key: int, body: bytes) -> int:
    return zlib.crc32(body, key ^ len(body))
