"""A party's folder, made where it is missing and held by one process: two that write one journal would each believe that
the other's records are its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dadc_net.atomic_file import sweep
from dadc_net.errors import DuplicateAgentError, TemporaryError, UsageError
from dadc_net.secret_files import check_folder, make_folder
from dadc_net.storage.run_folder import PRUNED_FILE

LOCK_NAME = "lock"


def open_folder(path: Path) -> Path:
    """Make ``path`` with mode 0700 where it is missing.

    Raises:
        UsageError: if it cannot be made or written.
    """
    try:
        make_folder(path)
    except OSError as error:
        raise UsageError(
            f"the folder {path} cannot be made: {error.strerror}. A process needs one for its journal and state. "
            "Give another with --state-dir or --out."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {path} cannot be written. A process needs it. Give another, or change its mode.")
    return path


def open_state_folder(path: Path) -> Path:
    """The same for what only one party may see: its journal, its log, its seed.

    Raises:
        UsageError: if it cannot be made or written, or holds a run that was cut.
        AuthenticationError: if it is another user's, or others can read or write what is in it.
    """
    check_folder(open_folder(path), secret=True)
    if (path / PRUNED_FILE).exists():
        raise UsageError(
            f"the folder {path} holds a finished run that dadc prune has cut: its journal is gone, and nobody can take it "
            "up. What it learned is still there. Give another folder with --state-dir or --out."
        )
    return path


@contextmanager
def locked(folder: Path, party: str) -> Iterator[None]:
    """Hold the folder's lock, and sweep it; the kernel lets go of the lock when the process ends, however it ends.

    Raises:
        DuplicateAgentError: if another process holds it.
        TemporaryError: if the file system has no locks.
    """
    descriptor = os.open(folder / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DuplicateAgentError(
                f"the folder {folder} is in use by another process ({holder}), and {party} cannot share it. Nothing "
                "was touched. End that process, or give another folder with --state-dir or --out."
            ) from error
        except OSError as error:
            raise TemporaryError(
                f"the folder {folder} cannot be locked: {error.strerror}. {party[0].upper()}{party[1:]} was not "
                "started, because a second process could write there too. Use a folder on a local disk, or a network file "
                "system with locks."
            ) from error
        sweep(folder)
        with suppress(OSError):  # The name of the holder is for people; on a full disk there is none.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
