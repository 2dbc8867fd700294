"""One folder per party, to be carried to its host or mounted into its container as it is.

    FOLDER/server     server.key, server.pub, authorised.toml
    FOLDER/agent-N    agent-N.key, server.pub, team.seed

An agent's secret key and the shared seed leave the server's folder, where they were made: the server can neither compute
what the agents compute nor pass for one of them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dadc_net.errors import UsageError
from dadc_net.runtime.seed_files import TEAM_SEED, fresh_seed, read_raw_seed
from dadc_net.secret_files import check_folder, make_folder
from dadc_net.wire import key_files
from dadc_net.wire.keys import write_keys


def write_folders(root: Path, num_agents: int, seed: bytes = b"") -> list[str]:
    """Make what the folders of a server and of agents 1..``num_agents`` lack; what is there stays.

    Args:
        root: where the folders are; they may be mount points.
        num_agents: K.
        seed: the shared seed; empty: a random one.

    Returns:
        Names of what was made, relative to ``root``.

    Raises:
        UsageError: if a folder cannot be written, or holds another seed.
        AuthenticationError: if keys that are there cannot be used, or if others can read or write what is in a folder.
    """
    server = root / "server"
    made = [name for name in write_keys(server, num_agents) if not name.startswith("agent-")]
    made = [f"server/{name}" for name in made]
    agents = range(1, num_agents + 1)
    folders = {agent: root / f"agent-{agent}" for agent in agents}
    try:
        for folder in folders.values():
            make_folder(folder)
            check_folder(folder, secret=True)
        seed = _agreed_seed(list(folders.values()), seed)
        for agent, folder in folders.items():
            key = f"agent-{agent}.key"
            made += _copy(server / key, folder / key)
            made += _copy(server / "server.pub", folder / "server.pub")
            made += _write(folder / TEAM_SEED, seed)
            key_files.sync_folder(folder)
            (server / key).unlink(missing_ok=True)  # After its copy is on the disk.
    except OSError as error:
        raise UsageError(
            f"{error.filename or root} cannot be written: {error.strerror}. Nothing was overwritten. Name a folder that "
            "this user can write to."
        ) from error
    return made


def _agreed_seed(folders: list[Path], given: bytes) -> bytes:
    """The seed that the folders hold, or else the given one, or else a random one."""
    paths = [path for folder in folders if (path := folder / TEAM_SEED).exists()]
    found = {path: read_raw_seed(path, "this agent") for path in paths}
    seed = given or next(iter(found.values()), b"") or fresh_seed().encode("ascii")
    others = [path for path, held in found.items() if held != seed]
    if others:
        raise UsageError(
            f"{others[0]} holds another shared seed than {'the given file' if given else next(iter(found))}. A team has "
            "one, and no seed is overwritten. Delete the wrong files, or give no seed."
        )
    return seed


def _copy(source: Path, target: Path) -> list[str]:
    return _write(target, source.read_bytes()) if source.exists() else []


def _write(path: Path, content: bytes) -> list[str]:
    """Write a file whole or not at all, for its owner only, unless it is there."""
    if path.exists():
        return []
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return [f"{path.parent.name}/{path.name}"]
