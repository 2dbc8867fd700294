"""Who may read and write a secret: the checks that ssh makes, for key files, key lists, seed files and folders.

A secret belongs to the user that runs this process, or to root, and nobody else can read or write it. What is no secret but
is trusted, as the list of admitted keys is, may be read by others, not written. Group access to read is tolerated where the
file is root's and we are not, because that is how orchestrators mount secrets.

Some file systems keep no modes (shared folders of other systems, some container mounts): there everything seems open, and
chmod changes nothing. That is said, with the name of the file system. The variable DADC_FILE_MODES=ignore switches the
checks off, for somebody who knows that nobody else gets at the files.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from dadc_net.errors import AuthenticationError, UsageError

SWITCH = "DADC_FILE_MODES"
_OTHERS_READ_OR_WRITE, _OTHERS_WRITE, _MOUNTED_SECRET = 0o077, 0o022, 0o027
_PARENT_MODE = 0o755


def check_file(path: Path, status: os.stat_result, *, secret: bool) -> None:
    """Refuse a file that others can read (if it is ``secret``) or write.

    Args:
        path: for the sentence.
        status: of the *open* file, so that nothing changes between looking and reading.

    Raises:
        AuthenticationError: naming owner or mode, and the command that mends it.
    """
    if _ignored():
        return
    _check_owner(path, status)
    mounted = status.st_uid != os.geteuid()
    forbidden = (_MOUNTED_SECRET if mounted else _OTHERS_READ_OR_WRITE) if secret else _OTHERS_WRITE
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & forbidden:
        doing = "use" if secret else "change"
        _refuse(path, path.parent, mode, f"{doing} what is in it", f"chmod {'600' if secret else 'go-w'} {path}")


def check_folder(path: Path, *, secret: bool) -> None:
    """Refuse a folder in which others can exchange files or, if it is ``secret``, read them.

    Raises:
        AuthenticationError: naming owner or mode, and the command that mends it.
        OSError: if it cannot be looked at.
    """
    if _ignored():
        return
    status = path.stat()
    _check_owner(path, status)
    mounted = status.st_uid != os.geteuid()
    forbidden = (0o007 if mounted else _OTHERS_READ_OR_WRITE) if secret else _OTHERS_WRITE
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        doing = "read or exchange" if secret else "exchange"
        _refuse(path, path, mode, f"{doing} the files in it", f"chmod {'700' if secret else 'go-w'} {path}")


def make_folder(path: Path) -> None:
    """Make ``path``, readable by its owner alone, where it is missing; whatever the umask, others write to no parent of it.

    Raises:
        OSError: if it cannot be made.
    """
    if path.is_dir():
        return
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(mode=0o700 if folder == path else _PARENT_MODE, exist_ok=True)


def _ignored() -> bool:
    switch = os.environ.get(SWITCH, "check")
    if switch not in ("check", "ignore"):
        raise UsageError(
            f"{SWITCH} is {switch!r}, but must be check or ignore. With ignore, secret files may be open to other users. "
            "Correct or unset it."
        )
    return switch == "ignore"


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid in (os.geteuid(), 0):
        return
    raise AuthenticationError(
        f"{path} belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}. Its owner can change it at "
        f"any time. It was not used. Run: chown {os.geteuid()} {path} (or set {SWITCH}=ignore, if nobody else gets at it)"
    )


def _refuse(path: Path, folder: Path, mode: int, doing: str, remedy: str) -> None:
    kind = modeless_file_system(folder)
    if kind:
        raise AuthenticationError(
            f"{path} lies on {kind}, which keeps no modes: it has {mode:04o} whatever is set, as if other users could "
            f"{doing}. It was not used. Put it on a file system with modes, or, if nobody else gets at this one, set "
            f"{SWITCH}=ignore."
        )
    raise AuthenticationError(f"{path} has mode {mode:04o}, so other users can {doing}. It was not used. Run: {remedy}")


def modeless_file_system(folder: Path) -> str:
    """What the file system of ``folder`` is, if a file made for its owner alone is open to others there; otherwise empty."""
    probe = folder / f".dadc-{secrets.token_hex(4)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return ""  # Nothing can be made here; chmod may still be the remedy.
    try:
        keeps = not os.fstat(descriptor).st_mode & _OTHERS_READ_OR_WRITE
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
    return "" if keeps else f"a file system of type {_type_of(folder)}"


def _type_of(folder: Path) -> str:
    """The type that the kernel gives the file system of ``folder``."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    for line in lines:  # id parent MAJOR:MINOR root mount options [optional ...] - TYPE source options
        before, separator, after = line.partition(" - ")
        if separator and before.split()[2] == wanted:
            return after.split()[0]
    return "unknown"
