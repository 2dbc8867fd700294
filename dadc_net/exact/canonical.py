"""One byte form per value, for hashing.

Two values have the same canonical bytes exactly when they are the same value: every form starts with a type tag and
carries its own length, dictionaries are ordered by key, numbers have one width and one byte order. The form is what
configuration digests, commitments and learner digests are computed over, so it is set in stone: a change of it changes
every digest. It is never parsed; the wire has its own encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

_ARRAY_TYPES = {
    np.dtype(name): (name.encode("ascii"), form)
    for name, form in {"float64": "<f8", "int64": "<i8", "uint64": "<u8", "uint8": "|u1", "bool": "|b1"}.items()
}
"""Type -> its name, and the form in which its numbers are written."""


def encode(value: object) -> bytes:
    """Canonical bytes of ``value``.

    Accepts None, bool, int, float, str, bytes, sequences, mappings with string keys, and NumPy arrays of float64,
    int64, uint64, uint8 or bool. A float is encoded by its IEEE bits, so -0.0 and 0.0 differ; NaN is refused because
    its bits are not the same on every CPU.

    Raises:
        TypeError: for any other type.
        ValueError: for NaN.
    """
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        text = str(value).encode("ascii")
        return b"I" + _length(text) + text
    if isinstance(value, float):
        if value != value:
            raise ValueError("NaN has no canonical bytes")
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return b"S" + _length(text) + text
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        return b"B" + _length(raw) + raw
    if isinstance(value, np.ndarray):
        return encode_array(value)
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if isinstance(value, Sequence):
        return b"L" + struct.pack(">Q", len(value)) + b"".join(encode(item) for item in value)
    raise TypeError(f"no canonical bytes for a {type(value).__name__}")


def _length(raw: bytes) -> bytes:
    return struct.pack(">Q", len(raw))


def encode_array(array: np.ndarray[Any, Any]) -> bytes:
    """Canonical bytes of an array. Raises like ``encode``."""
    head, form = _array_head(array.dtype, array.shape)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("NaN has no canonical bytes")
    return head + np.ascontiguousarray(array, dtype=form).tobytes()


@lru_cache(maxsize=1024)
def _array_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[bytes, str]:
    """What stands before an array's numbers, and the form in which these are written."""
    kind = dtype.newbyteorder("=") if dtype.byteorder in "<>" else dtype
    if kind not in _ARRAY_TYPES:
        raise TypeError(f"no canonical bytes for an array of {kind}")
    name, form = _ARRAY_TYPES[kind]
    return b"A" + name + b";" + struct.pack(f">Q{len(shape)}Q", len(shape), *shape), form


def _encode_mapping(mapping: Mapping[Any, Any]) -> bytes:
    parts = [b"M", struct.pack(">Q", len(mapping))]
    for key in sorted(mapping):
        if not isinstance(key, str):
            raise TypeError(f"a mapping key must be a string, not {key!r}")
        parts.append(encode(key))
        parts.append(encode(mapping[key]))
    return b"".join(parts)
