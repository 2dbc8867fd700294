"""What K agents sent or were sent at one record, as one column of a row.

    parts    one after the other
    lengths  where they differ, or are none: K x 4 bytes, big endian, in front; otherwise nothing, and they are K equal parts
    shape    the last byte: 0 for equal parts, 1 where lengths stand in front

Agents that are alike, and digests always, have parts of one length; then a column costs one byte besides what it holds.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dadc_net.errors import CorruptStateError

_EQUAL, _UNEQUAL = b"\0", b"\1"


def join(parts: Sequence[bytes]) -> bytes:
    """The column of K parts."""
    lengths = list(map(len, parts))
    if len(set(lengths)) <= 1:
        return b"".join((*parts, _EQUAL))
    return b"".join((struct.pack(f">{len(parts)}I", *lengths), *parts, _UNEQUAL))


def split(column: bytes, count: int) -> tuple[bytes, ...]:
    """The inverse of ``join``: K = ``count`` parts.

    Raises:
        CorruptStateError: if the column is not that of so many parts.
    """
    body, shape = column[:-1], column[-1:]
    if shape == _EQUAL and len(body) % count == 0:
        size = len(body) // count
        return tuple(body[k * size : (k + 1) * size] for k in range(count))
    if shape == _UNEQUAL and len(body) >= 4 * count:
        lengths = struct.unpack_from(f">{count}I", body)
        if 4 * count + sum(lengths) == len(body):
            parts, at = [], 4 * count
            for length in lengths:
                parts.append(body[at : at + length])
                at += length
            return tuple(parts)
    raise CorruptStateError(
        f"{len(column)} bytes of a journal row are not those of {count} agents. The row was not used. Restore the party's "
        "folder from a copy."
    )
