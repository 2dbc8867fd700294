"""Named arrays in one file: checkpoints and learned parameters. No pickle, digest verified, replaced atomically.

    line 1     "dadc-net arrays 1"
    line 2     SHA-256 (hex) of everything after this line
    line 3     JSON: {"meta": {...}, "arrays": [[name, dtype, shape], ...]}
    then       the arrays' bytes, little endian, C order, in that order

A file is written beside its place, synced and renamed, so that a reader sees the old file or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.atomic_file import replace
from dadc_net.errors import CorruptStateError, UsageError

_MAGIC = b"dadc-net arrays 1"
_PIECE_BYTES = 2**20
_DTYPES = {
    **{"float64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "|i1"},
    **{"uint64": "<u8", "uint32": "<u4", "uint16": "<u2", "uint8": "|u1", "bool": "|b1"},
}


def save(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``meta`` (JSON data) to ``path``, replacing it in one step."""
    replace(path, pack(arrays, meta))


def pack(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> bytes:
    """``arrays`` and ``meta`` (JSON data) as the content of such a file.

    Raises:
        UsageError: for an array of another type than numbers and truth values: an environment's state may be a user's.
    """
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise UsageError(
                f"the array {name} has the type {array.dtype}, which cannot be kept. It belongs to a state that a run needs "
                f"to come back. Use one of {', '.join(_DTYPES)} in the environment's state()."
            )
    table = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"meta": dict(meta), "arrays": table}).encode("utf-8")
    body = b"".join(array.astype(_DTYPES[array.dtype.name]).tobytes() for array in arrays.values())
    content = header + b"\n" + body
    check = hashlib.sha256(content).hexdigest().encode("ascii")
    return b"\n".join((_MAGIC, check, content))


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and meta of ``path``.

    Raises:
        CorruptStateError: if the file is missing, cut, or fails its digest.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path) from error
    return unpack(content, str(path))


def load_meta(path: Path) -> dict[str, Any]:
    """Meta of ``path`` alone: the file is read through for its digest, a piece at a time, and its arrays are not made.

    Raises:
        CorruptStateError: as ``load``.
    """
    try:
        with open(path, "rb") as file:
            magic, check, header = (file.readline(limit) for limit in (len(_MAGIC) + 1, 65, -1))
            found = hashlib.sha256(header)
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
    except FileNotFoundError as error:
        raise _missing(path) from error
    if magic != _MAGIC + b"\n" or found.hexdigest().encode("ascii") + b"\n" != check:
        raise _corrupt(str(path), "its content does not have the digest that it states")
    try:
        return _meta_of(json.loads(header))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _corrupt(str(path), f"it describes no arrays ({type(error).__name__}: {error})") from error


def unpack(content: bytes, where: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The inverse of ``pack``; ``where`` names the source in errors.

    Raises:
        CorruptStateError: if it is cut or fails its digest.
    """
    try:
        magic, check, content = content.split(b"\n", 2)
    except ValueError as error:
        raise _corrupt(where, "it is too short") from error
    if magic != _MAGIC:
        raise _corrupt(where, f"it begins with {magic[:32]!r} instead of {_MAGIC!r}")
    if hashlib.sha256(content).hexdigest().encode("ascii") != check:
        raise _corrupt(where, "its content does not have the digest that it states")
    try:
        return _arrays_of(content)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        raise _corrupt(where, f"it describes no arrays ({type(error).__name__}: {error})") from error


def _arrays_of(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and meta in what a digest covers, which whoever made the file may have made up."""
    header, body = content.split(b"\n", 1)
    description = json.loads(header)
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, dtype, shape in description["arrays"]:
        if not isinstance(name, str) or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(f"an array {name!r} of shape {shape!r}")
        count = math.prod(shape)
        kind = _DTYPES[dtype]
        array = np.frombuffer(body, dtype=kind, count=count, offset=offset) if count else np.zeros(0, kind)
        arrays[name] = array.reshape(shape).astype(dtype)
        offset += array.nbytes
    return arrays, _meta_of(description)


def _meta_of(description: Mapping[str, Any]) -> dict[str, Any]:
    meta = description["meta"]
    if not isinstance(meta, dict):
        raise ValueError("its meta is no map")
    return meta


def _missing(path: Path) -> CorruptStateError:
    return CorruptStateError(
        f"{path} does not exist. A run has such files in each agent's folder. Check the path of the run's folder."
    )


def _corrupt(where: str, how: str) -> CorruptStateError:
    return CorruptStateError(
        f"{where} is damaged: {how}. Nothing was read from it. Restore it from a copy, or run again with the same seeds."
    )
