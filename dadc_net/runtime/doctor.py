"""Is this host fit for a party of a run? What is there, what is missing, and what to do about it.

Nothing is changed but a folder that is made and removed where a party would keep its state.
"""

from __future__ import annotations

import importlib.util
import locale
import mmap
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from dadc_net.descriptors import SPARE_DESCRIPTORS
from dadc_net.errors import DadcError
from dadc_net.runtime.meters import memory_bytes
from dadc_net.storage.folder import locked
from dadc_net.wire.key_files import require_curve

OK, NOTE, BAD = "ok", "note", "BAD"
_DISK_LEAST = 500 * 10**6
_MEMORY_LEAST = 10**9
_CGROUP = Path("/sys/fs/cgroup")


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    """``ok``; ``note``, which a run can live with; ``BAD``, with which no run is begun or kept."""
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""


def examine(folder: Path, quick: bool = False) -> list[Finding]:
    """Look at everything; ``folder``: where a run would be kept; ``quick``: without the self-test, which takes seconds."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        *(_python, _packages, _curve, _locale, _descriptors, lambda: _disk(folder), _clock, _limits),
        *([] if quick else [_selftest]),
    ]
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    told = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("python", OK, told)
    if not sys.platform.startswith("linux"):
        remedy = "Only Linux is tested. The self-test below says whether its bits are right."
        yield Finding("system", NOTE, platform.system(), remedy)


def _packages() -> Iterator[Finding]:
    for name in ("torch", "numpy", "pyzmq"):
        yield Finding(name, OK, metadata.version(name))
    if importlib.util.find_spec("numba") is None:
        told = "not installed: the slowest parts run on NumPy alone, with the same bits"
        yield Finding("numba", NOTE, told, "pip install 'dadc-net[fast]' makes learning several times as fast.")
    else:
        yield Finding("numba", OK, metadata.version("numba"))


def _curve() -> Iterator[Finding]:
    try:
        require_curve()
    except DadcError as error:
        yield Finding("encryption", BAD, str(error), "Install pyzmq from its own wheel: pip install --force-reinstall pyzmq")
        return
    yield Finding("encryption", OK, "this ZeroMQ has CURVE")


def _locale() -> Iterator[Finding]:
    names = {"files": sys.getfilesystemencoding(), "output": getattr(sys.stdout, "encoding", None) or "none"}
    told = f"{locale.setlocale(locale.LC_CTYPE)}; " + ", ".join(f"{name} {code}" for name, code in names.items())
    odd = [code for code in names.values() if code.lower().replace("-", "") not in ("utf8", "none")]
    remedy = "Letters outside ASCII may be shown otherwise. export LC_ALL=C.UTF-8" if odd else ""
    yield Finding("locale", NOTE if odd else OK, told, remedy)


def _descriptors() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        yield Finding("descriptors", OK, "as many as are wanted")
        return
    told = f"{soft} (may be raised to {hard}): a server can have {max(0, hard - SPARE_DESCRIPTORS)} agents"
    few = hard <= SPARE_DESCRIPTORS
    remedy = f"A server needs {SPARE_DESCRIPTORS} and one for each agent. Raise the hard limit of this user or container."
    yield Finding("descriptors", NOTE if few else OK, told, remedy if few else "")


def _disk(folder: Path) -> Iterator[Finding]:
    """Room, and what a journal needs of a file system: modes, locks, shared maps."""
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryDirectory(prefix="dadc-doctor-", dir=folder) as made:
            missing = list(_missing_of(Path(made)))
    except OSError as error:
        yield Finding("disk", BAD, f"{folder} cannot be written: {error.strerror}", "Run from a folder that can be written.")
        return
    told = f"{free / 1e9:.1f} GB free in {folder}"
    small = free < _DISK_LEAST
    remedy = "A million environment steps take 90 to 700 MB. Make room, or give --out elsewhere." if small else ""
    yield Finding("disk", NOTE if small else OK, told, remedy)
    if missing:
        remedy = "Keep runs on a local disk: --out for dadc run, --state-dir for dadc-env and dadc-agent."
        yield Finding("file system", BAD, f"{folder} has no {', no '.join(missing)}", remedy)
    else:
        yield Finding("file system", OK, "has modes, locks and shared maps")


def _missing_of(made: Path) -> Iterator[str]:
    os.chmod(made, 0o700)
    (made / "file").write_bytes(bytes(mmap.PAGESIZE))
    os.chmod(made / "file", 0o600)
    if made.stat().st_mode & 0o077 or (made / "file").stat().st_mode & 0o077:
        yield "Unix modes, which keep keys and seeds from others"
    try:
        with locked(made, "dadc doctor"):
            pass
    except (DadcError, OSError):
        yield "locks"
    try:
        with open(made / "file", "r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
            shared[0] = 1
            shared.flush()
    except (OSError, ValueError):
        yield "shared memory maps, which SQLite's journal needs"


def _clock() -> Iterator[Finding]:
    found = time.get_clock_info("monotonic")
    coarse = found.resolution > 1e-3
    told = f"monotonic, resolution {found.resolution:g} s; the time of day decides nothing"
    remedy = "Time limits are only as exact as this clock. Nothing to do on most machines." if coarse else ""
    yield Finding("clock", NOTE if coarse else OK, told, remedy)


def _limits() -> Iterator[Finding]:
    """What the control group of a container or a service allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup("cpu.max").split()
    share = f", of which {int(quota[0]) / int(quota[1]):g} may be used" if len(quota) == 2 and quota[0].isdigit() else ""
    yield Finding("processors", OK, f"{cores}{share}; every process of a team uses one at a time")
    limit = _cgroup("memory.max")
    if limit.isdigit():
        few = int(limit) < _MEMORY_LEAST
        told = f"at most {int(limit) / 1e9:.1f} GB by its control group; this process holds {memory_bytes() / 1e6:.0f} MB"
        remedy = "An agent needs some 0.4 GB. Raise the container's limit." if few else ""
        yield Finding("memory", NOTE if few else OK, told, remedy)
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        yield Finding("memory", OK, f"{total / 1e9:.1f} GB, no limit by a control group")
    tasks = _cgroup("pids.max")
    if tasks.isdigit():
        few = int(tasks) < 64
        remedy = "A party has some 10 threads. Raise the container's limit." if few else ""
        yield Finding("tasks", NOTE if few else OK, f"at most {tasks} by its control group", remedy)


def _cgroup(name: str) -> str:
    try:
        return (_CGROUP / name).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _selftest() -> Iterator[Finding]:
    from dadc_net.runtime.host import selftest

    result = selftest()
    if result.ok:
        yield Finding("arithmetic", OK, f"self-test {result.digest.hex()[:16]}...; every host of a team must show the same")
    else:
        remedy = "This host cannot take part. dadc selftest says what differs; leave fast-math libraries out."
        yield Finding("arithmetic", BAD, f"wrong bits: {', '.join(result.failures)}", remedy)
