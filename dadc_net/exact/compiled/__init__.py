"""Compiled twins of the slowest parts, by numba (``pip install 'dadc-net[fast]'``): the same bits, sooner.

A host with these kernels and a host without them compute equal bits, so teams may mix. The reason is the same as
everywhere in this room: what the kernels sum is exact in any order, what they round has one defined value, and the rest is
the stated sequence of IEEE operations, which LLVM keeps as it is written unless fast-math allows otherwise. It is never
allowed here, not even contraction.

A kernel only ever answers what it is sure of. Where a rounding test fails, or a number is not finite, it says so, and the
caller does that part again on NumPy, which settles it or stops the run with the one error that every replica gives.

Before ``load``, and where numba is not installed, ``kernels`` is None and everything runs on NumPy. The self-test loads
them, so that no kernel computes for a run before it has been tested.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

kernels: ModuleType | None = None
"""The kernels in use; None: NumPy."""


def installed() -> bool:
    """Whether there is numba here to compile kernels with."""
    return importlib.util.find_spec("numba") is not None


def load() -> bool:
    """Use the kernels if numba is installed; whether they are in use.

    A kernel is compiled when it is first called, which takes seconds once per host and is remembered on disk.
    """
    global kernels
    if kernels is None and installed():
        kernels = importlib.import_module("dadc_net.exact.compiled.kernels")
    return kernels is not None


def unload() -> None:
    """Go back to NumPy."""
    global kernels
    kernels = None


def description() -> str:
    """What computes, for reports."""
    return "none" if kernels is None else f"numba {kernels.VERSION}"
