"""How a kernel is compiled: without fast-math of any kind, kept on disk where the host allows it.

All kernels together take about fifteen seconds to compile, once per host and version: the self-test does it, before an agent
joins. What is left out of the object code for that is what nothing uses: entry points for C, and for Python in parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from dadc_net.exact.compiled.kept_code import KeptCode

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_njit: Any = numba.njit
"""Its stubs do not know all of its options."""
_OPTIONS: dict[str, Any] = {"fastmath": False, "error_model": "numpy", "no_cfunc_wrapper": True}
"""``error_model="numpy"``: a division by zero gives what IEEE says instead of an exception."""


def compiled(kernel: Kernel) -> Kernel:
    """Compile ``kernel`` when it is first called for its argument types.

    The compiled code is cached beside the package, or where that cannot be written (as in a system's site-packages) in the
    user's cache folder, or where NUMBA_CACHE_DIR says; where none can be written, every process compiles for itself.
    """
    wrapped: Any = _njit(**_OPTIONS)(kernel)
    with contextlib.suppress(RuntimeError):  # numba found no folder to keep it in.
        wrapped._cache = KeptCode(kernel)
    return cast(Kernel, wrapped)


def part(function: Kernel) -> Kernel:
    """Compile ``function`` as a part of the kernels that call it: it has no entry point and no cache of its own."""
    return cast(Kernel, _njit(no_cpython_wrapper=True, **_OPTIONS)(function))
