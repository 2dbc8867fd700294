"""How a kernel is compiled: without fast-math of any kind, kept on disk where the host allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """Compile ``kernel`` when it is first called for its argument types.

    ``error_model="numpy"``: a division by zero gives what IEEE says instead of an exception. The compiled code is cached
    beside the package or in the user's cache folder; where neither can be written, every process compiles for itself.
    """
    options: dict[str, Any] = {"fastmath": False, "error_model": "numpy"}
    try:
        wrapped: Any = numba.njit(cache=True, **options)(kernel)
    except RuntimeError:  # numba found no folder to keep it in
        wrapped = numba.njit(**options)(kernel)
    return cast(Kernel, wrapped)
