"""A file that is replaced in one step: a reader sees the old content or the new, whole, also after a loss of power."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9]+\.dadc-tmp")


def replace(path: Path, content: bytes) -> None:
    """Give ``path`` the content in one step: temporary file, fsync, rename, fsync of the folder; mode 0600."""
    temporary = beside(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # On a full disk it would only take room.
        raise
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Where this process writes what is to become ``path``: a name that nobody else gives to a file."""
    return path.with_name(f".{path.name}.{os.getpid()}.dadc-tmp")


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left in ``folder``, and no file of anybody else's."""
    for leftover in folder.iterdir():
        if _TEMPORARY.fullmatch(leftover.name):
            with suppress(OSError):
                leftover.unlink()


def sync_folder(path: Path) -> None:
    """Make names in ``path`` survive a loss of power: a new file's content alone is not enough."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
