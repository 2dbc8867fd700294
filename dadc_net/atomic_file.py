"""A file that appears or is replaced in one step: a reader sees the old content or the new, whole.

It stands beside the rooms, for those that write files: journals and reports as well as keys.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dadc_net.descriptors import opened

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]+\.dadc-tmp")
"""Names that nobody else gives to a file."""


def replace(path: Path, content: bytes, durable: bool = True) -> None:
    """Give ``path`` the content in one step, with mode 0600; ``durable``: it survives a loss of power. Raises OSError."""
    with replacing(path, durable) as temporary:
        _fill(temporary, content, durable)


def create(path: Path, content: bytes) -> None:
    """Make ``path`` with the content and mode 0600. Raises FileExistsError where there is one, OSError."""
    with _beside(path) as temporary:
        _fill(temporary, content, True)
        try:
            os.link(temporary, path)  # Unlike a rename, a link fails where the name is taken.
        except FileExistsError:
            raise
        except OSError:
            os.rename(temporary, path)  # A file system without hard links.


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield an empty file of mode 0600 beside ``path``, to be filled and synced; it takes the place of ``path`` at the end.

    After an error nothing has changed. ``durable``: the folder is synced. Raises OSError.
    """
    with _beside(path) as temporary:
        yield temporary
        os.replace(temporary, path)
    if durable:
        sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left in ``folder``, and no file of anybody else's."""
    for leftover in folder.iterdir():
        if _TEMPORARY.fullmatch(leftover.name):
            with suppress(OSError):
                leftover.unlink()


def sync_folder(path: Path) -> None:
    """Make names in ``path`` survive a loss of power: a new file's content alone is not enough. Raises OSError."""
    folder = opened(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty file beside ``path`` that is gone at the end, unless it was renamed: on a full disk it would take room."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.dadc-tmp")
    temporary.unlink(missing_ok=True)
    os.close(opened(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _fill(path: Path, content: bytes, durable: bool) -> None:
    with os.fdopen(opened(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())
