"""Digests: what replicas compare instead of their state.

SHA-256 throughout: it is in the standard library of every host, has one definition and is fast enough (1.4 us per KiB).
Parts are length-prefixed, so that no two different lists of parts have the same digest.

* ``digest``     of values whose content may be public (learner state, log entries)
* ``chain``      of the common log: each head covers every record before it
* ``keyed``      of values that the environment server must not be able to guess (AIS, prescription parameters):
                 an HMAC under a key derived from the shared seed
"""

from __future__ import annotations

import hashlib
import itertools
import struct

DIGEST_BYTES = 32
GENESIS = bytes(DIGEST_BYTES)
"""The head of an empty log."""
_length = struct.Struct(">Q").pack
_BLOCK_BYTES = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def _framed(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(itertools.chain.from_iterable(zip(map(_length, map(len, parts)), parts, strict=True)))


def digest(*parts: bytes) -> bytes:
    """SHA-256 over the length-prefixed ``parts``; 32 bytes."""
    if len(parts) == 1:
        return hashlib.sha256(_length(len(parts[0])) + parts[0]).digest()
    return hashlib.sha256(_framed(parts)).digest()


def chain(previous: bytes, entry: bytes) -> bytes:
    """The head after ``entry`` was appended to the log whose head was ``previous``; 32 bytes."""
    return hashlib.sha256(previous + entry).digest()


def keyed(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 under ``key`` over the length-prefixed ``parts``; 32 bytes."""
    return KeyedDigest(key)(*parts)


class KeyedDigest:
    """``keyed`` for one key and many lists of parts: what HMAC makes of the key is made once (RFC 2104)."""

    def __init__(self, key: bytes) -> None:
        """``key`` has at most 64 bytes.

        Raises:
            ValueError: if it has more.
        """
        if len(key) > _BLOCK_BYTES:
            raise ValueError(f"a key has at most {_BLOCK_BYTES} bytes, not {len(key)}")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = (hashlib.sha256(block.translate(pad)) for pad in (_INNER, _OUTER))

    def __call__(self, *parts: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(_framed(parts))
        outer.update(inner.digest())
        return outer.digest()


def derive_key(purpose: str, seed: bytes) -> bytes:
    """A 32-byte key for one ``purpose``; knowing it says nothing about the keys of other purposes."""
    return digest(b"dadc-net key", purpose.encode("utf-8"), seed)
