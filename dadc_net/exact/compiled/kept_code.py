"""Compiled code as numba keeps it on disk: used if it is whole, else made again, and no reason to stop if it cannot be kept.

numba reads its index and its data files as they are: an empty file ends the process, and a flipped bit is run. Here the
object code is kept together with a digest of it and of what it was compiled for.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba import cloudpickle
from numba.core import caching
from numba.core.runtime.nrt import rtsys

_FunctionCache: Any = caching.FunctionCache
_IndexDataCacheFile: Any = caching.IndexDataCacheFile
"""numba's, without types."""


class _WholeFiles(_IndexDataCacheFile):  # type: ignore[misc]
    """numba's files of one function."""

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled for ``key``."""
        raw: bytes = self._dump(data)
        super().save(key, (self._digest(key, raw), raw))

    def load(self, key: Any) -> Any:
        """What was compiled for ``key``; None: nothing that is whole. Raises what reading a damaged file may raise."""
        digest, raw = super().load(key) or (b"", b"")
        return cloudpickle.loads(raw) if digest == self._digest(key, raw) else None

    def _digest(self, key: Any, raw: bytes) -> bytes:
        """An index may be damaged as well, and lead to another function's code, or an older one's."""
        return hashlib.sha256(repr((self._version, self._source_stamp, self._index_name, key)).encode() + raw).digest()


class KeptCode(_FunctionCache):  # type: ignore[misc]
    """The cache of one function."""

    def __init__(self, function: Any) -> None:
        """Raises RuntimeError where numba finds no folder for it."""
        super().__init__(function)
        # Files of its own: a version of this package that lets numba read them would trip over these, and back.
        base, stamp = f"{self._impl.filename_base}.whole", self._impl.locator.get_source_stamp()
        self._cache_file = _WholeFiles(cache_path=self._cache_path, filename_base=base, source_stamp=stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code for a signature; None: it has to be compiled.

        numba would first make the context ready to compile, which loads hundreds of its modules, and SciPy where it is
        installed: for nothing where code is kept, since its compiler does so itself. What runs needs the runtime alone.
        """
        try:
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception:  # Whatever a damaged file makes of its reader, compiling is right.
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it. A disk that refuses costs the next process some seconds, and this one nothing."""
        try:
            super().save_overload(sig, data)
        except Exception:
            self._begin_anew(sig, data)

    def _begin_anew(self, sig: Any, data: Any) -> None:
        """With another index: the one that is there cannot be read, or nothing can be written."""
        try:
            self.flush()
            super().save_overload(sig, data)
        except Exception:
            self.disable()
