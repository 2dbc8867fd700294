"""CurveZMQ keys on disk: who may connect, and as which agent.

A folder as ``dadc keys`` makes it, mode 0700, every file 0600:

    server.key        the environment server's key pair; stays with the server
    server.pub        its public half; every agent needs it to know that it talks to the right server
    agent-<k>.key     agent k's key pair; belongs on agent k's host
    authorised.toml   public key -> agent id; the server admits these keys and no other

An agent's host needs only its own ``agent-<k>.key`` and ``server.pub``. Keys are never overwritten: making keys again
with more agents adds what is missing. To replace agent k's key, delete its file and its line and make keys again. An
agent that is listed in ``authorised.toml`` but whose file is not here is taken to keep it on its own host.

A secret that others on this host can read is refused, as ssh does. Group access is tolerated where the file belongs to
another user, because that is how orchestrators mount secrets.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from dadc_net.errors import AuthenticationError, UsageError

KEY_TEXT_BYTES = 40
"""A Curve key is 32 bytes, written as 40 characters of Z85."""

_SERVER_KEY = "server.key"
_SERVER_PUBLIC = "server.pub"
_AUTHORISED = "authorised.toml"
_FILE_BYTES_MAX = 2**20
_AGENT_FILE = re.compile(r"agent-([1-9][0-9]{0,8})\.key")


@dataclass(frozen=True)
class KeyPair:
    """A Curve key pair, both halves as 40 characters of Z85. Printing it does not show the secret."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class ServerKeys:
    """What the environment server needs: its own pair, and whom to admit."""

    pair: KeyPair
    authorised: Mapping[bytes, int]
    """public key -> agent id"""


@dataclass(frozen=True)
class AgentKeys:
    """What agent ``agent`` needs: its own pair, and the public key of the server."""

    agent: int
    pair: KeyPair
    server_public: bytes
    folder: Path = Path()
    """Where they came from, for error messages."""


def new_pair() -> KeyPair:
    """A fresh random key pair."""
    return KeyPair(*zmq.curve_keypair())


def write_keys(directory: Path, num_agents: int) -> list[str]:
    """Make the keys of a server and of agents 1..``num_agents`` that ``directory`` lacks.

    Returns:
        The names of the files made; empty when nothing was missing.

    Raises:
        UsageError: if the folder cannot be written or ``num_agents`` is not positive.
        AuthenticationError: if keys that are there cannot be used, or if others may write to the folder.
    """
    if num_agents < 1:
        raise UsageError(f"keys for {num_agents} agents were asked for. A team has at least one. Give a number from 1.")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_writable_by_others(directory)
        made = _write_server(directory)
        made += _write_agents(directory, num_agents)
        _sync_folder(directory)
    except OSError as error:
        raise UsageError(
            f"keys cannot be written to {directory}: {error.strerror}. Nothing was overwritten. Name a folder that this "
            "user can write to."
        ) from error
    return made


def load_server_keys(directory: Path) -> ServerKeys:
    """The server's keys from ``directory``.

    Raises:
        AuthenticationError: if a file is missing, unprotected or malformed.
    """
    pair = _read_pair(directory / _SERVER_KEY)
    authorised = _read_authorised(directory / _AUTHORISED)
    if not authorised:
        raise AuthenticationError(
            f"{directory / _AUTHORISED} lists no key. The server would admit nobody. Run: dadc keys {directory}"
        )
    return ServerKeys(pair, authorised)


def load_agent_keys(directory: Path, agent: int) -> AgentKeys:
    """Agent ``agent``'s keys from ``directory``.

    Raises:
        UsageError: if the folder holds keys of other agents only.
        AuthenticationError: if a file is missing, unprotected or malformed.
    """
    path = directory / f"agent-{agent}.key"
    present = _agents_in(directory)
    if agent not in present and present:
        names = ", ".join(map(str, present))
        raise UsageError(
            f"{directory} holds no key for agent {agent}, only for {names}. An agent is who its key says. Start with one "
            f"of those ids, or copy {path.name} there from the folder in which keys are made."
        )
    pair = _read_pair(path, agent)
    server_public = _public_key(_read(directory / _SERVER_PUBLIC, secret=False), directory / _SERVER_PUBLIC)
    return AgentKeys(agent, pair, server_public, directory)


def _agents_in(directory: Path) -> list[int]:
    """Ids whose key file is in ``directory``, ascending."""
    if not directory.is_dir():
        return []
    matches = (_AGENT_FILE.fullmatch(name) for name in os.listdir(directory))
    return sorted(int(match[1]) for match in matches if match)


def _write_server(directory: Path) -> list[str]:
    """The server's pair before its public half, so that a half that exists always belongs to a whole."""
    made = []
    if not (directory / _SERVER_KEY).exists():
        _write_new(directory / _SERVER_KEY, _pair_text(new_pair(), "the environment server", ""))
        made.append(_SERVER_KEY)
    if not (directory / _SERVER_PUBLIC).exists():
        public = _read_pair(directory / _SERVER_KEY).public.decode()
        _write_new(directory / _SERVER_PUBLIC, f'# Public key of the environment server.\npublic_key = "{public}"\n')
        made.append(_SERVER_PUBLIC)
    return made


def _write_agents(directory: Path, num_agents: int) -> list[str]:
    """Key files first and the list last: after a crash in between, the next call lists what is here."""
    listing = directory / _AUTHORISED
    authorised = dict(_read_authorised(listing)) if listing.exists() else {}
    before = dict(authorised)
    made = []
    for agent in range(1, num_agents + 1):
        path = directory / f"agent-{agent}.key"
        if path.exists():
            authorised[_read_pair(path, agent).public] = agent
        elif agent not in authorised.values():
            pair = new_pair()
            _write_new(path, _pair_text(pair, f"agent {agent}", f"agent = {agent}\n"))
            authorised[pair.public] = agent
            made.append(path.name)
    if authorised != before:
        _replace(listing, _authorised_text(authorised))
        made.append(_AUTHORISED)
    return made


def _pair_text(pair: KeyPair, owner: str, extra: str) -> str:
    return (
        f"# Secret key of {owner}. Keep it readable by its owner only, and on the owner's host only.\n"
        f'{extra}public_key = "{pair.public.decode()}"\nsecret_key = "{pair.secret.decode()}"\n'
    )


def _authorised_text(authorised: Mapping[bytes, int]) -> str:
    lines = [f'"{public.decode()}" = {agent}' for public, agent in sorted(authorised.items(), key=lambda item: item[1])]
    return "# The keys that the environment server admits, and the agent that each belongs to.\n[agents]\n" + "\n".join(
        [*lines, ""]
    )


def _write_temporary(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not exist: whole or not at all, and never over another."""
    temporary = _write_temporary(path, text)
    try:
        os.link(temporary, path)  # Unlike a rename, a link fails where the name is taken.
    except FileExistsError as error:
        raise UsageError(
            f"{path} appeared while keys were being made. Keys are never overwritten. Make keys from one process only."
        ) from error
    except OSError:
        os.rename(temporary, path)  # A file system without hard links.
        return
    os.unlink(temporary)


def _replace(path: Path, text: str) -> None:
    os.replace(_write_temporary(path, text), path)


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, *, secret: bool) -> dict[str, object]:
    """Parse a key file after checking on the open file that others can neither write nor, if secret, read it."""
    try:
        with open(path, "rb") as file:
            _check_mode(path, os.fstat(file.fileno()), secret=secret)
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise AuthenticationError(
            f"the key file {path} is missing. Encryption is on, and nobody connects without a key. Make keys with "
            f"'dadc keys {path.parent}', or name the folder that holds them with --keys."
        ) from error
    except OSError as error:
        raise AuthenticationError(
            f"the key file {path} cannot be read: {error.strerror}. Nobody connects without a key. Correct its owner or "
            "mode, or name another folder with --keys."
        ) from error
    if len(raw) > _FILE_BYTES_MAX:
        raise _malformed(path, f"it is larger than {_FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise _malformed(path, str(error)) from error


def _check_mode(path: Path, status: os.stat_result, *, secret: bool) -> None:
    forbidden = 0o022
    if secret:
        forbidden = 0o077 if status.st_uid == os.geteuid() else 0o027
    mode = status.st_mode & 0o777
    if mode & forbidden:
        raise AuthenticationError(
            f"{path} has mode {mode:04o}, so other users can {'use' if secret else 'change'} this key. It was not used. "
            f"Run: chmod {'600' if secret else 'go-w'} {path}"
        )


def _refuse_writable_by_others(directory: Path) -> None:
    mode = directory.stat().st_mode & 0o777
    if mode & 0o022:
        raise AuthenticationError(
            f"{directory} has mode {mode:04o}, so other users could exchange the keys in it. No key was made. "
            f"Run: chmod go-w {directory}"
        )


def _read_pair(path: Path, agent: int | None = None) -> KeyPair:
    content = _read(path, secret=True)
    public = _public_key(content, path)
    secret = _key(content.get("secret_key"), path, "secret_key")
    if zmq.curve_public(secret) != public:
        raise _malformed(path, "its secret key does not belong to its public key")
    if agent is not None and content.get("agent") != agent:
        raise _malformed(path, f"it says that it belongs to agent {content.get('agent')}")
    return KeyPair(public, secret)


def _read_authorised(path: Path) -> dict[bytes, int]:
    agents = _read(path, secret=False).get("agents")
    if not isinstance(agents, dict):
        raise _malformed(path, "it has no table [agents]")
    authorised = {}
    for text, agent in agents.items():
        if not isinstance(agent, int) or isinstance(agent, bool) or agent < 1:
            raise _malformed(path, f"it gives a key to agent {agent!r}, and agents are numbered from 1")
        authorised[_key(text, path, "a key of [agents]")] = agent
    return authorised


def _public_key(content: Mapping[str, object], path: Path) -> bytes:
    return _key(content.get("public_key"), path, "public_key")


def _key(value: object, path: Path, name: str) -> bytes:
    if isinstance(value, str) and len(value) == KEY_TEXT_BYTES and value.isascii():
        try:
            z85.decode(value)
        except (ValueError, KeyError):
            pass
        else:
            return value.encode("ascii")
    raise _malformed(path, f"{name} is not {KEY_TEXT_BYTES} characters of Z85")


def _malformed(path: Path, problem: str) -> AuthenticationError:
    return AuthenticationError(
        f"the key file {path} cannot be used: {problem}. Nobody connects without a key. Restore it, or delete it and run "
        f"'dadc keys {path.parent}'."
    )
