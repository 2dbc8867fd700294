"""Compiled code as it is kept on disk: used if it is whole, made again if not, and no reason to stop if it cannot be kept.

numba keeps an index and data files, and reads them as they are: an empty file ends the process, and a flipped bit is run.
Here each of them begins with the SHA-256 of what follows, which is looked at before anything is made of it.

    file    digest (32 bytes), pickle of the content
"""

from __future__ import annotations

import hashlib
import pickle
from typing import Any

from numba.core import caching

_DIGEST_BYTES = 32
_FunctionCache: Any = caching.FunctionCache
_IndexDataCacheFile: Any = caching.IndexDataCacheFile
"""numba's, without types."""


class _WholeFiles(_IndexDataCacheFile):  # type: ignore[misc]
    """numba's files of one function, with a digest each."""

    def _dump(self, obj: Any) -> bytes:
        raw: bytes = super()._dump(obj)
        return hashlib.sha256(raw).digest() + raw

    def _save_index(self, overloads: Any) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(self._dump((self._version, self._source_stamp, overloads)))

    def _load_index(self) -> Any:
        version, stamp, overloads = _read(self._index_path) or (None, None, None)
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _load_data(self, name: str) -> Any:
        return _read(self._data_path(name))


def _read(path: str) -> Any:
    """What the file holds; None if it is not there, or not whole."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError:
        return None
    whole = hashlib.sha256(raw[_DIGEST_BYTES:]).digest() == raw[:_DIGEST_BYTES]
    return pickle.loads(raw[_DIGEST_BYTES:]) if whole else None


class KeptCode(_FunctionCache):  # type: ignore[misc]
    """The cache of one function."""

    def __init__(self, function: Any) -> None:
        """Raises RuntimeError where numba finds no folder for it."""
        super().__init__(function)
        base, stamp = self._impl.filename_base, self._impl.locator.get_source_stamp()
        self._cache_file = _WholeFiles(cache_path=self._cache_path, filename_base=base, source_stamp=stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code for a signature; None: it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # Whole, and yet not for this numba: whatever it is, compiling is right.
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it. A disk that refuses costs the next process some seconds, and this one nothing."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()
