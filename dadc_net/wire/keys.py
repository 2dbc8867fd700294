"""CurveZMQ keys: one pair for the server, one per agent, and the list of who is who.

    server.key        the server's pair; stays on its host
    server.pub        the server's public key; every agent needs it
    agent-N.key       agent N's pair; only on its host
    authorised.json   public key -> agent id; on the server's host

Files are made with mode 0600 in a folder of mode 0700, and never overwritten. A secret that others can read is refused,
as ssh does. An agent's host needs only its own pair and ``server.pub``.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from dadc_net.errors import AuthenticationError, UsageError

_Z85_BYTES = 40
_SERVER, _SERVER_PUBLIC, _AUTHORISED = "server.key", "server.pub", "authorised.json"


@dataclass(frozen=True)
class KeyPair:
    """One party's keys, in Z85."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class ServerKeys:
    """What the environment server needs."""

    pair: KeyPair
    agents: dict[bytes, int]
    """Public key of each authorised agent -> its id."""


@dataclass(frozen=True)
class AgentKeys:
    """What agent ``agent`` needs."""

    agent: int
    pair: KeyPair
    server: bytes
    """The server's public key."""


def _agent_file(agent: int) -> str:
    return f"agent-{agent}.key"


def write_keys(folder: Path, num_agents: int) -> list[str]:
    """Make what is missing of the keys of a server and agents 1..K; the names of the files made.

    Raises:
        UsageError: if the folder cannot be written.
    """
    made: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (_SERVER, *(_agent_file(agent) for agent in range(1, num_agents + 1))):
            if not (folder / name).exists():
                public, secret = zmq.curve_keypair()
                pair = {"public": public.decode("ascii"), "secret": secret.decode("ascii")}
                _write(folder / name, json.dumps(pair))
                made.append(name)
        server = _read_pair(folder / _SERVER)
        authorised = {_read_pair(folder / _agent_file(agent)).public.decode("ascii"): agent for agent in key_ids(folder)}
        _write(folder / _SERVER_PUBLIC, server.public.decode("ascii"), replace=True)
        _write(folder / _AUTHORISED, json.dumps(authorised, indent=1), replace=True)
    except OSError as error:
        raise UsageError(
            f"keys cannot be written to {folder}: {error.strerror}. They need a folder of their own. Give another one."
        ) from error
    return made


def _write(path: Path, text: str, replace: bool = False) -> None:
    """Write a file of mode 0600 that is whole or not there; an existing one stays unless ``replace``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    if replace:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # Unlike a rename, a link never replaces a key that appeared meanwhile.
    finally:
        temporary.unlink()


def key_ids(folder: Path) -> list[int]:
    """Ids of the agents whose keys lie in ``folder``, in order."""
    matches = (re.fullmatch(r"agent-([1-9]\d*)\.key", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def load_server_keys(folder: Path) -> ServerKeys:
    """The server's keys and its list of agents.

    Raises:
        AuthenticationError: if something is missing, malformed or readable by others.
    """
    pair = _read_pair(_existing(folder, _SERVER))
    path = _existing(folder, _AUTHORISED)
    try:
        entries = json.loads(path.read_text(encoding="ascii"))
        agents = {_z85(key, path): int(agent) for key, agent in entries.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise AuthenticationError(f"{path} is not a list of agents: {error}. Make it again with dadc keys.") from error
    return ServerKeys(pair, agents)


def load_agent_keys(folder: Path, agent: int) -> AgentKeys:
    """Agent ``agent``'s keys and the server's public key.

    Raises:
        UsageError: if the folder holds keys of other agents only: the id is out of range.
        AuthenticationError: if something is missing, malformed or readable by others.
    """
    if not (folder / _agent_file(agent)).exists() and folder.is_dir() and key_ids(folder):
        ids = ", ".join(map(str, key_ids(folder)))
        raise UsageError(
            f"agent id {agent} is out of range: {folder} holds keys for agents {ids}. Ids count from 1. "
            "Give one of these with --id, or make more keys with dadc keys -K."
        )
    pair = _read_pair(_existing(folder, _agent_file(agent)))
    path = _existing(folder, _SERVER_PUBLIC)
    return AgentKeys(agent, pair, _z85(path.read_text(encoding="ascii").strip(), path))


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise AuthenticationError(
            f"{path} does not exist. Server and agents authenticate with keys. Make them with dadc keys {folder}, start "
            "dadc-env on this machine first, or copy them from the server's host."
        )
    return path


def _read_pair(path: Path) -> KeyPair:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise AuthenticationError(
            f"{path} has mode {mode:04o}: others can read this secret key. It is refused, as ssh would. "
            f"Run chmod 600 {path}, or make new keys."
        )
    try:
        entry = json.loads(path.read_text(encoding="ascii"))
        return KeyPair(_z85(entry["public"], path), _z85(entry["secret"], path))
    except (ValueError, KeyError, TypeError) as error:
        raise AuthenticationError(f"{path} is not a key pair: {error}. Restore it, or make new keys.") from error
    except PermissionError as error:
        raise AuthenticationError(f"{path} cannot be read: {error.strerror}. Run as its owner.") from error


def _z85(text: str, path: Path) -> bytes:
    if not isinstance(text, str) or len(text) != _Z85_BYTES or not text.isascii():
        raise AuthenticationError(f"{path} does not hold a key of {_Z85_BYTES} characters. Restore it, or make new keys.")
    return text.encode("ascii")
