"""Builds ``preload.c``: a jumping wall clock and failing syncs inside a real process."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("preload.c")


def build(folder: Path) -> Path:
    """The shared object, built into ``folder``; fails the test, and says why, without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail("there is no C compiler (cc). This test belongs to the lane 'faults'. Install one to run it.")
    built = folder / "preload.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(built), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return built
