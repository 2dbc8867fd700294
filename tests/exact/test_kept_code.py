"""Compiled code that is kept on disk, after something has happened to its files: the right bits, and no exception."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from dadc_net.exact.compiled.jit import compiled


def polynomial(x: float) -> float:
    return x * x + 0.1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where code is kept."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def computed() -> tuple[float, int]:
    """As a new process: the value, and how many times code was taken from the disk."""
    kernel: Any = compiled(polynomial)
    return kernel(3.0), sum(kernel.stats.cache_hits.values())


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-len(raw) // 3] ^= 4
    path.write_bytes(raw)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "flipped": _flipped,
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "shifted": lambda path: path.write_bytes(path.read_bytes()[32:]),
    "a folder": _a_folder,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_code_is_made_again(damage: str, ending: str, folder: Path) -> None:
    assert computed() == (9.1, 0)
    assert computed() == (9.1, 1), "the control: what is whole is used"
    (path,) = folder.rglob(f"*.{ending}")
    DAMAGES[damage](path)
    assert computed() == (9.1, 0)
    assert computed() == (9.1, 0 if damage == "a folder" else 1), "mended, where it can be"


def test_numba_alone_would_not_start(folder: Path) -> None:
    """The control: the fault as it was."""
    numba.njit(cache=True)(polynomial)(3.0)
    (path,) = folder.rglob("*.nbi")
    path.write_bytes(b"")
    with pytest.raises(EOFError):
        numba.njit(cache=True)(polynomial)(3.0)


def test_a_disk_that_refuses_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._open_for_write", full)
    assert computed() == (9.1, 0)
    assert not list(folder.rglob("*.nb?"))


_NEW_PROCESS = """
import sys
import numpy as np
from dadc_net.exact.compiled.jit import compiled

def kept(x):
    if x[0] < 0.0:
        raise ValueError("below")
    made = np.empty_like(x)
    for i in range(len(x)):
        made[i] = np.tanh(x[i]) + x[i] ** 2
    return made

def other(x):
    return x.sum() + np.sort(x)[0]

kernel, x = compiled(kept), np.array([1.0, 2.0])
assert np.allclose(kernel(x), np.tanh(x) + x**2)
try:
    kernel(-x)
except ValueError as error:
    assert str(error) == "below"
else:
    raise SystemExit("it did not raise")
print(sum(kernel.stats.cache_hits.values()), "numba.np.arraymath" in sys.modules)
if "compile" in sys.argv:
    assert compiled(other)(x) == 4.0
    assert np.allclose(kernel(x), np.tanh(x) + x**2)
    print("numba.np.arraymath" in sys.modules)
"""


def test_kept_code_runs_without_what_only_a_compiler_needs(tmp_path: Path) -> None:
    """It allocates and raises as ever, and what is not kept can still be compiled after it."""
    script = tmp_path / "new_process.py"
    script.write_text(_NEW_PROCESS, encoding="utf-8")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    def said(*arguments: str) -> list[str]:
        command = [sys.executable, str(script), *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=100)
        return done.stdout.split()

    assert said() == ["0", "True"], "the control: it compiles"
    assert said("compile") == ["1", "False", "True"]
