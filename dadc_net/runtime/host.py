"""What a process asks of its host: arithmetic that passes the self-test, one thread, its memory, its name."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dadc_net.errors import SelftestError, UsageError
from dadc_net.exact import compiled

if TYPE_CHECKING:
    from dadc_net.exact.selftest import SelftestResult

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt(3)."""
_KEPT_BYTES = 64 * 2**20


def kernels_allowed() -> bool:
    """Whether this process may use compiled kernels where numba is installed: the environment variable DADC_FAST.

    Raises:
        UsageError: if it is neither 0 nor 1.
    """
    switch = os.environ.get("DADC_FAST", "1")
    if switch not in {"0", "1"}:
        raise UsageError(
            f"DADC_FAST is {switch!r}, but must be 0 (NumPy alone) or 1 (compiled kernels where numba is installed). The "
            "bits are the same. Correct or unset it."
        )
    return switch == "1"


def selftest() -> SelftestResult:
    """Run the self-test: primitives, streams, kernels, and a few updates of every algorithm.

    It needs torch, which the commands that only look do not wait for.
    """
    from dadc_net.coordinator.known_answers import LEARNERS
    from dadc_net.exact.selftest import run_selftest

    return run_selftest(kernels_allowed(), LEARNERS)


inherited: dict[bool, SelftestResult] = {}
"""With kernels, without: what the process found that this one was forked from (``template_selftest``)."""


def checked_selftest() -> SelftestResult:
    """Run the self-test and return it; a fork of a process that has made it a moment ago takes its result.

    Such a fork has the same libraries in memory, and runs on the same host. A user's code may have been loaded since; what
    it could change in silence, whether subnormals are flushed, is looked at.

    Raises:
        SelftestError: if this host's arithmetic does not give the specified bits.
    """
    from dadc_net.exact.selftest import flushes_subnormals

    with_kernels = kernels_allowed()
    found = inherited.get(with_kernels)
    if found is None or flushes_subnormals():
        return selftest().require_ok()
    _use_kernels(with_kernels)
    return found.require_ok()


def _use_kernels(wanted: bool) -> None:
    if wanted:
        compiled.load()
    else:
        compiled.unload()


_passed: set[bool] = set()
"""With kernels, without: what has passed in this process."""


def pass_selftest() -> None:
    """The self-test, for a process that begins one run after the other: whole before the first one, which takes seconds.

    Before the others only what may have changed since is seen to: that no library which was loaded flushes subnormals, and
    that the kernels are in use, or not, as the test left them.

    Raises:
        SelftestError: if this host's arithmetic does not give the specified bits.
    """
    from dadc_net.exact.selftest import flushes_subnormals

    with_kernels = kernels_allowed()
    if with_kernels not in _passed or flushes_subnormals():
        checked_selftest()
        _passed.add(with_kernels)
    _use_kernels(with_kernels)


def require_subnormals(update: int) -> None:
    """Look after ``update`` whether a library that was loaded meanwhile has changed this process's arithmetic.

    Raises:
        SelftestError: if subnormal numbers are flushed to zero by now.
    """
    from dadc_net.exact.selftest import flushes_subnormals

    if flushes_subnormals():
        raise SelftestError(
            f"this process began to flush subnormal numbers to zero: the self-test passed, but after update {update} it "
            "would fail. A library that was loaded since then was built with fast-math. Find it, or keep it out."
        )


def process_facts() -> dict[str, str]:
    """Who and where this process is, for reports."""
    return {"hostname": platform.node(), "pid": str(os.getpid()), **host_facts()}


def pin_threads() -> None:
    """One thread for torch, if it is loaded: more only slow small tensors down, and bits do not depend on it.

    Called after the self-test, which loads it.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory instead of giving it back to the kernel, where it is glibc.

    A learner needs the same large blocks at every update; fetching them from the kernel page by page costs a third of an
    update of 4,800 rows. Other C libraries have no such switch and are left alone.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            library.mallopt(option, _KEPT_BYTES)


def spare_what_is_loaded() -> None:
    """Tell Python's garbage collector that what this process has loaded by now stays to its end.

    It would go through all of it, torch's half a million objects, in the midst of some lock-step: for 150 ms, while the team
    waits. A process forked from this one shares those pages, and going through them would make copies of each.
    For processes of this package only: a caller's own objects are not ours to keep.
    """
    gc.freeze()


def host_facts() -> dict[str, str]:
    """What kind of host this is: for people who read a report, never compared."""
    import torch

    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "kernels": compiled.description(),
        **_libraries(torch),
        **_processor(),
    }


def _libraries(torch: ModuleType) -> dict[str, str]:
    """NumPy's BLAS and vector extensions, and torch's vector level, as far as these versions say."""
    facts: dict[str, str] = {}
    try:
        shown: Any = np.show_config(mode="dicts")
        blas = shown["Build Dependencies"]["blas"]
        facts["blas"] = f"{blas['name']} {blas['version']}"
        facts["numpy_simd"] = " ".join(shown["SIMD Extensions"].get("found", ()))
    except (KeyError, TypeError, AttributeError):
        facts.setdefault("blas", "unknown")
    capability = getattr(torch.backends.cpu, "get_cpu_capability", None)
    if callable(capability):
        facts["torch_simd"] = str(capability())
    return facts


def _processor() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {"cpu": platform.processor() or "unknown"}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    entries = {key.strip(): value.strip() for key, value in fields.items()}
    # An emulator of another machine may show the processor that it runs on.
    flags = set(entries.get("Features" if platform.machine() == "aarch64" else "flags", "").split())
    known = [flag for flag in ("sse4_2", "avx", "avx2", "fma", "avx512f", "asimd", "sve") if flag in flags]
    return {"cpu": entries.get("model name") or platform.processor() or "unknown", "cpu_features": " ".join(known)}
