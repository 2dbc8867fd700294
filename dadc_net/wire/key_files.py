"""Single key files: their text, how they are written, and what is checked when they are read.

A key file is TOML. A key is 32 bytes, written as 40 characters of Z85, whose alphabet needs no quoting.

Files are written whole or not at all, readable by their owner from the first byte on, and never over another key. What
others on this host can use is refused, as ``secret_files`` says.
"""

from __future__ import annotations

import os
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from dadc_net import atomic_file
from dadc_net.errors import AuthenticationError, UsageError
from dadc_net.secret_files import check_file

KEY_TEXT_BYTES = 40
SERVER_PUBLIC = "server.pub"
_FILE_BYTES_MAX = 2**20


@dataclass(frozen=True)
class KeyPair:
    """A Curve key pair, both halves as 40 characters of Z85. Printing it does not show the secret."""

    public: bytes
    secret: bytes = field(repr=False)


def require_curve() -> None:
    """Raises AuthenticationError where the ZeroMQ library was built without encryption."""
    if not zmq.has("curve"):
        raise AuthenticationError(
            f"the ZeroMQ library {zmq.zmq_version()} of this host was built without CURVE, and cannot encrypt. No key was "
            "made or used, and nobody was connected to. Install pyzmq from its own wheel, with 'pip install "
            "--force-reinstall pyzmq', or use --insecure on loopback, which needs no keys."
        )


def new_pair() -> KeyPair:
    """A fresh random key pair. Raises AuthenticationError where the library knows none."""
    require_curve()
    return KeyPair(*zmq.curve_keypair())


def format_pair(pair: KeyPair, agent: int | None = None) -> str:
    """Text of a file with a secret: the server's, or that of ``agent``."""
    owner = "the environment server" if agent is None else f"agent {agent}"
    return (
        f"# Secret key of {owner}. Keep it readable by its owner only, and on the owner's host only.\n"
        + ("" if agent is None else f"agent = {agent}\n")
        + f'public_key = "{pair.public.decode()}"\nsecret_key = "{pair.secret.decode()}"\n'
    )


def format_public(public: bytes) -> str:
    """Text of a file with the server's public key."""
    return f'# Public key of the environment server.\npublic_key = "{public.decode()}"\n'


def format_authorised(authorised: Mapping[bytes, int]) -> str:
    """Text of the list of keys that are admitted."""
    by_agent = sorted(authorised.items(), key=lambda item: item[1])
    lines = [f'"{public.decode()}" = {agent}\n' for public, agent in by_agent]
    return "# The keys that the server admits, and the agent that each belongs to.\n[agents]\n" + "".join(lines)


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist. Raises UsageError if it does, OSError if it cannot be written."""
    try:
        atomic_file.create(path, text.encode("ascii"))
    except FileExistsError as error:
        raise UsageError(
            f"{path} appeared while keys were being made. Keys are never overwritten. Make keys from one process only."
        ) from error


def read_pair(path: Path, agent: int | None = None) -> KeyPair:
    """The pair in ``path``, which must say that it belongs to ``agent`` if one is given. Raises AuthenticationError."""
    require_curve()
    content = _read(path, secret=True)
    public = _key(content.get("public_key"), path, "public_key")
    secret = _key(content.get("secret_key"), path, "secret_key")
    if zmq.curve_public(secret) != public:
        raise _malformed(path, "its secret key does not belong to its public key")
    if agent is not None and content.get("agent") != agent:
        raise _malformed(path, f"it says that it belongs to agent {content.get('agent')}")
    return KeyPair(public, secret)


def read_public(path: Path) -> bytes:
    """The public key in ``path``. Raises AuthenticationError."""
    return _key(_read(path, secret=False).get("public_key"), path, "public_key")


def read_authorised(path: Path) -> dict[bytes, int]:
    """public key -> agent id. Raises AuthenticationError."""
    agents = _read(path, secret=False).get("agents")
    if not isinstance(agents, dict):
        raise _malformed(path, "it has no table [agents]")
    authorised = {}
    for text, agent in agents.items():
        if not isinstance(agent, int) or isinstance(agent, bool) or agent < 1:
            raise _malformed(path, f"it gives a key to agent {agent!r}, and agents are numbered from 1")
        authorised[_key(text, path, "a key in [agents]")] = agent
    return authorised


def _read(path: Path, *, secret: bool) -> dict[str, object]:
    """Parse a key file; the mode is checked on the open file, so it cannot change in between."""
    try:
        with open(path, "rb") as file:
            check_file(path, os.fstat(file.fileno()), secret=secret)
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise AuthenticationError(
            f"the key file {path} is missing. Encryption is on, and nobody connects without a key. {_remedy(path)}, or "
            "name the folder that holds it with --keys."
        ) from error
    except OSError as error:
        raise AuthenticationError(
            f"the key file {path} cannot be read: {error.strerror}. Nobody connects without a key. Correct its owner "
            "or mode, or name another folder with --keys."
        ) from error
    if len(raw) > _FILE_BYTES_MAX:
        raise _malformed(path, f"it is larger than {_FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise _malformed(path, str(error)) from error


def _key(value: object, path: Path, name: str) -> bytes:
    if isinstance(value, str) and len(value) == KEY_TEXT_BYTES and value.isascii():
        try:
            z85.decode(value)
        except (ValueError, KeyError, struct.error):
            pass
        else:
            return value.encode("ascii")
    raise _malformed(path, f"{name} is not {KEY_TEXT_BYTES} characters of Z85")


def _remedy(path: Path) -> str:
    """What to do about a missing file: the server's keys may be made where it runs, an agent's come from there."""
    if path.name == SERVER_PUBLIC or path.name.startswith("agent-"):
        return (
            "Keys made here would be another team's: copy it from where the server's were made ('dadc keys FOLDER -K N "
            "--folders' makes a folder for each host). If all run on this machine, start dadc-env first, which makes them"
        )
    return f"Make keys with 'dadc keys {path.parent} -K N' for N agents"


def _malformed(path: Path, problem: str) -> AuthenticationError:
    return AuthenticationError(
        f"the key file {path} cannot be used: {problem}. Nobody connects without a key. Restore it, or delete it where "
        "the server's keys are and run 'dadc keys FOLDER -K N' there."
    )
