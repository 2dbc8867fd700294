"""Seeds as files: the agents' shared one (``team.seed``) and the environment's own (``environment.seed``).

A seed file's bytes are the seed, all of them, whatever they are. One that is made here holds 32 random bytes as 64
hexadecimal digits and a line end, so that it survives being copied as text. Files are protected like keys; a short one is
refused, because whoever sees what follows from a seed finds a short one by trying.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dadc_net.atomic_file import sync_folder
from dadc_net.errors import UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.secret_files import check_file
from dadc_net.wire.key_files import write_new

TEAM_SEED = "team.seed"
ENVIRONMENT_SEED = "environment.seed"
SEED_BYTES_MIN = 16
"""2^128 possibilities, if they are random; what is needed so that nobody finds it by trying."""
_DRAWN_BYTES = 32
_FILE_BYTES_MAX = 2**20


def read_seed(path: Path, option: str) -> bytes:
    """The seed in ``path``, as ``exact.streams`` takes it; ``option`` is where the file was named. Raises as below."""
    return seed_bytes(read_raw_seed(path, option))


def read_raw_seed(path: Path, option: str) -> bytes:
    """The bytes of ``path``, which are a seed; ``option`` is where the file was named, for the sentence.

    Raises:
        UsageError: if it cannot be read, or is too short or too long.
        AuthenticationError: if others can read or write it.
    """
    try:
        with open(path, "rb") as file:
            check_file(path, os.fstat(file.fileno()), secret=True)
            raw = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"the seed file {path} of {option} cannot be read: {error.strerror}. It holds a seed as bytes. Check the path; "
            f"all agents of a team have the same {TEAM_SEED}, made by 'dadc keys' once for all."
        ) from error
    if not SEED_BYTES_MIN <= len(raw) <= _FILE_BYTES_MAX:
        raise UsageError(
            f"the seed file {path} of {option} holds {len(raw)} bytes; {SEED_BYTES_MIN} to {_FILE_BYTES_MAX} are needed: "
            "a shorter seed can be found by trying. Nothing was started with it. Make one with 'dadc keys', or with: "
            f"(umask 077; head -c {_DRAWN_BYTES} /dev/urandom > {path.name})"
        )
    return raw


def fresh_seed() -> str:
    """The text of a new seed file."""
    return secrets.token_hex(_DRAWN_BYTES) + "\n"


def draw_seed(path: Path) -> bool:
    """Draw a seed into ``path``, for its owner alone, unless a file is there; whether one was drawn.

    Raises:
        UsageError: if another process made it in this instant.
        OSError: if it cannot be written.
    """
    if path.exists():
        return False
    write_new(path, fresh_seed())
    sync_folder(path.parent)
    return True


def drawn_seed(folder: Path, begun: bool) -> bytes:
    """The environment seed that is kept in a server's state ``folder``, drawn at the first start.

    Args:
        begun: whether a run was begun in the folder already; then its seed is not drawn anew.

    Raises:
        AuthenticationError: if others can read or write it.
        UsageError: if a run was begun without it, or it cannot be written.
    """
    path = folder / ENVIRONMENT_SEED
    if begun and not path.exists():
        raise UsageError(
            f"the run in {folder} was begun with an environment seed that is not in it: {ENVIRONMENT_SEED} is missing. "
            "Nothing was changed. Give the --env-seed or --env-seed-file that it was begun with, or put the file back."
        )
    try:
        draw_seed(path)
    except OSError as error:
        raise UsageError(
            f"the environment seed cannot be written to {path}: {error.strerror}. Nothing was started. Make room, or give "
            "another folder with --state-dir."
        ) from error
    return read_seed(path, "this state folder")


