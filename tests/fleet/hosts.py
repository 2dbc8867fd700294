"""The hosts of the fleet: what each is, how it is built, and how a program is started on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet import fetch

ROOT = Path(__file__).parents[2]
NATIVE_UPDATES, EMULATED_UPDATES = 1000, 100
_PURE = ("typing_extensions", "filelock", "fsspec", "jinja2", "markupsafe", "networkx", "sympy", "mpmath<1.4")
_NEEDED = ("pyzmq", "msgpack", "click", *_PURE)
"""What the package and torch import beside the versions that a host is about."""


@dataclass(frozen=True)
class Interpreter:
    """How Python is started, and where it finds its packages."""

    command: Sequence[str]
    paths: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """One host of the fleet."""

    name: str
    interpreter: Callable[[], Interpreter]
    """Builds what is missing. Raises CannotBuild."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    updates: int = NATIVE_UPDATES
    threads: int = 1
    timeout_s: int = 1200
    kernels: bool = True
    """Whether compiled kernels must be in use on it."""
    differs: bool = False
    """Whether plain library results must differ from those of the native host: where they do on any x86-64 host."""

    def start(self, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        """Start Python with ``arguments`` on this host."""
        interpreter = self.interpreter()
        path = os.pathsep.join(map(str, (ROOT, *interpreter.paths)))
        # Compiled kernels are kept apart by host: their cache is keyed by processor, but not by the C library.
        kept = {"NUMBA_CACHE_DIR": str(fetch.cache() / "kernels" / self.name.replace(" ", "-"))}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(self.threads))
        own = {**threads, **kept, **interpreter.environment, **self.settings, "PYTHONPATH": path}
        return subprocess.Popen(
            ["nice", "-n", "5", *interpreter.command, "-W", "ignore", *arguments],
            cwd=cwd,
            env={**_bare_environment(), **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _bare_environment() -> dict[str, str]:
    """This process's environment without what selects code in numerical libraries or packages."""
    selects = ("DADC_", "ATEN_", "MKL_", "NPY_", "OPENBLAS_", "OMP_", "NUMBA_", "GLIBC_", "PYTHON", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if not key.startswith(selects)}


def here() -> Interpreter:
    """The interpreter that runs the tests."""
    return Interpreter([sys.executable])


def other_numpy() -> Interpreter:
    """An older NumPy in front of this interpreter's packages."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = fetch.wheels(f"numpy-1.26.4-{version}", ["numpy==1.26.4"], platform.machine(), version)
    return Interpreter([sys.executable], [folder])


def debian_13() -> Interpreter:
    """Python 3.13, torch 2.6, NumPy 2.2 on a plain BLAS, numba 0.61 and glibc 2.41, all built by Debian."""
    packages = ["python3-torch", "python3-numpy", "python3-numba", "python3-zmq", "python3-msgpack", "python3-click"]
    root = fetch.debian("debian-13-amd64", "trixie", "amd64", packages)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    folders = [libraries, root / "usr/lib", libraries / "blas", libraries / "lapack"]
    loader = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", os.pathsep.join(map(str, folders))]
    packages_folder = root / "usr/lib/python3/dist-packages"
    python = [*loader, str(root / "usr/bin/python3.13")]
    return Interpreter(python, [packages_folder], {"PYTHONHOME": str(root / "usr"), "PYTHONDONTWRITEBYTECODE": "1"})


def emulated_x86(processor: str) -> Callable[[], Interpreter]:
    """This interpreter on an emulated x86-64 processor."""
    return lambda: Interpreter([str(fetch.emulator("x86_64")), "-cpu", processor, sys.executable])


def aarch64(torch: str, numpy: str, *further: str) -> Callable[[], Interpreter]:
    """Debian's aarch64 Python 3.11 under emulation, with the aarch64 wheels that a user of such a machine gets."""

    def build() -> Interpreter:
        packages = ["python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "zlib1g"]
        root = fetch.debian("debian-12-arm64", "bookworm", "arm64", packages)
        versions = [f"torch=={torch}", f"numpy=={numpy}", *further]
        name = "-".join(["aarch64", *(version.replace("==", "-") for version in versions)])
        site = fetch.wheels(name, [*versions, *_NEEDED], "aarch64")
        command = [str(fetch.emulator("aarch64")), "-L", str(root), str(root / "usr/bin/python3.11")]
        return Interpreter(command, [site], {"PYTHONDONTWRITEBYTECODE": "1"})

    return build


def _native(name: str, *, differs: bool = False, **settings: str) -> Host:
    return Host(name, here, settings, differs=differs)


NATIVE = _native("native")
UNCOMPILED = Host("native without kernels", here, {"DADC_FAST": "0"}, kernels=False)
AARCH64 = Host(
    "aarch64, torch 2.8, NumPy 2.4", aarch64("2.8.0", "2.4.6"), {}, EMULATED_UPDATES, kernels=False, differs=True
)
FLEET = (
    NATIVE,
    UNCOMPILED,
    _native("torch without vectors", ATEN_CPU_CAPABILITY="default", differs=True),
    _native("NumPy without dispatch", NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR", differs=True),
    _native("OpenBLAS for Prescott", OPENBLAS_CORETYPE="Prescott", differs=True),
    _native("OpenBLAS for Nehalem", OPENBLAS_CORETYPE="Nehalem", differs=True),
    _native("OpenBLAS for Sandybridge", OPENBLAS_CORETYPE="Sandybridge", differs=True),
    _native("OpenBLAS for Haswell", OPENBLAS_CORETYPE="Haswell"),
    _native("OpenBLAS for SkylakeX", OPENBLAS_CORETYPE="SkylakeX"),
    _native("C library without FMA", GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4", differs=True),
    Host("two threads", here, threads=2),
    _native("kernels for any processor", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=""),
    Host("NumPy 1.26", other_numpy, differs=True),
    Host("Debian 13, torch 2.6, NumPy 2.2", debian_13, differs=True),
    Host("emulated Nehalem", emulated_x86("Nehalem"), {}, EMULATED_UPDATES, timeout_s=2400, differs=True),
    Host("emulated Haswell", emulated_x86("Haswell"), {}, EMULATED_UPDATES, timeout_s=2400, differs=True),
    AARCH64,
    Host(
        "aarch64, torch 2.5, NumPy 1.26",
        aarch64("2.5.1", "1.26.4"),
        {},
        EMULATED_UPDATES,
        kernels=False,
        differs=True,
    ),
    Host(
        "aarch64 with kernels",
        aarch64("2.8.0", "2.4.6", "numba==0.68.1", "llvmlite==0.50.0"),
        {},
        EMULATED_UPDATES,
        timeout_s=2400,
        differs=True,
    ),
)
