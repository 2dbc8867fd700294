"""CurveZMQ keys: who may connect, and as which agent.

A folder as ``dadc keys`` makes it, mode 0700, every file 0600:

    server.key        the environment server's key pair; stays with the server
    server.pub        its public half; every agent needs it to know that it talks to the right server
    agent-<k>.key     agent k's key pair; belongs on agent k's host
    authorised.toml   public key -> agent id; the server admits these keys and no other
    team.seed         the agents' shared seed (``seed_files``), made with the first keys; belongs on every agent's host and
                      on no other, so it is to be moved from here, not copied

An agent's host needs only its own ``agent-<k>.key``, ``server.pub`` and ``team.seed``. Keys are never overwritten: making
keys again with more agents adds what is missing. To replace agent k's key, delete its file and its line in
``authorised.toml`` and make keys again. A running server reads the list again when it changes: an agent whose key is listed
no more is cut, a new key is admitted. An agent that is listed but whose file is not here keeps it on its own host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dadc_net import atomic_file
from dadc_net.errors import AuthenticationError, UsageError
from dadc_net.secret_files import check_folder, make_folder
from dadc_net.wire import key_files
from dadc_net.wire.key_files import SERVER_PUBLIC, KeyPair, new_pair

_SERVER_KEY = "server.key"
AUTHORISED = "authorised.toml"
_AGENT_FILE = re.compile(r"agent-([1-9][0-9]{0,8})\.key")


@dataclass(frozen=True)
class ServerKeys:
    """What the environment server needs: its own pair, and whom to admit."""

    pair: KeyPair
    authorised: Mapping[bytes, int]
    """public key -> agent id, when they were read"""
    folder: Path | None = None
    """Where they came from, so that the list can be read again; None: it never changes."""


@dataclass(frozen=True)
class AgentKeys:
    """What agent ``agent`` needs: its own pair, and the public key of the server."""

    agent: int
    pair: KeyPair
    server_public: bytes
    folder: Path = Path()
    """Where they came from, for error messages."""


def write_keys(directory: Path, num_agents: int) -> list[str]:
    """Make the keys of a server and of agents 1..``num_agents`` that ``directory`` lacks.

    Returns:
        The names of the files made or changed; empty when nothing was missing.

    Raises:
        UsageError: if the folder cannot be written or ``num_agents`` is not positive.
        AuthenticationError: if keys that are there cannot be used, others may write to the folder, or ZeroMQ knows no CURVE.
    """
    if num_agents < 1:
        raise UsageError(f"keys for {num_agents} agents were asked for. A team has at least one. Give a number from 1.")
    key_files.require_curve()  # Before a folder is made: one that is there is taken for one with keys.
    try:
        make_folder(directory)
        check_folder(directory, secret=False)
        made = _write_server(directory)
        made += _write_agents(directory, num_agents)
        atomic_file.sync_folder(directory)
    except OSError as error:
        raise UsageError(
            f"keys cannot be written to {directory}: {error.strerror}. Nothing was overwritten. Name a folder that "
            "this user can write to."
        ) from error
    return made


def load_server_keys(directory: Path) -> ServerKeys:
    """The server's keys from ``directory``.

    Raises:
        AuthenticationError: if a file is missing, unprotected or malformed.
    """
    _check_folder(directory)
    pair = key_files.read_pair(directory / _SERVER_KEY)
    authorised = key_files.read_authorised(directory / AUTHORISED)
    if not authorised:
        raise AuthenticationError(
            f"{directory / AUTHORISED} lists no key. The server would admit nobody. Run: dadc keys {directory}"
        )
    return ServerKeys(pair, authorised, directory)


def load_agent_keys(directory: Path, agent: int) -> AgentKeys:
    """Agent ``agent``'s keys from ``directory``.

    Raises:
        UsageError: if the folder holds keys of other agents only.
        AuthenticationError: if a file is missing, unprotected or malformed.
    """
    _check_folder(directory)
    path = directory / f"agent-{agent}.key"
    present = _agents_in(directory)
    if present and agent not in present:
        names = ", ".join(f"agent {other}" for other in present)
        raise UsageError(
            f"{directory} holds no key for agent {agent}, only for {names}. An agent is who its key says. Start with "
            f"another --id, or make the key where the server's keys are, with 'dadc keys FOLDER -K {max(agent, 1)}'."
        )
    pair = key_files.read_pair(path, agent)
    return AgentKeys(agent, pair, key_files.read_public(directory / SERVER_PUBLIC), directory)


def _check_folder(directory: Path) -> None:
    """Raises AuthenticationError if others may exchange the files in ``directory``; if it is missing, its files are."""
    if directory.is_dir():
        check_folder(directory, secret=False)


def _agents_in(directory: Path) -> list[int]:
    """Ids whose key file is in ``directory``, ascending."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []  # Reading the file itself will say what is wrong.
    matches = (_AGENT_FILE.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in matches if match)


def _write_server(directory: Path) -> list[str]:
    """The pair before its public half, so that a half that exists always belongs to a whole."""
    made = []
    if not (directory / _SERVER_KEY).exists():
        if (directory / SERVER_PUBLIC).exists():
            raise AuthenticationError(
                f"{directory} holds {SERVER_PUBLIC} but not {_SERVER_KEY}: the folder of an agent. A new server key "
                "would not fit that public key. Make keys where the server's keys are, or in an empty folder."
            )
        key_files.write_new(directory / _SERVER_KEY, key_files.format_pair(new_pair()))
        made.append(_SERVER_KEY)
    if not (directory / SERVER_PUBLIC).exists():
        public = key_files.read_pair(directory / _SERVER_KEY).public
        key_files.write_new(directory / SERVER_PUBLIC, key_files.format_public(public))
        made.append(SERVER_PUBLIC)
    return made


def _write_agents(directory: Path, num_agents: int) -> list[str]:
    """Key files first and the list last: after a crash in between, the next call lists what is here."""
    listing = directory / AUTHORISED
    before = key_files.read_authorised(listing) if listing.exists() else {}
    authorised = dict(before)
    made = []
    for agent in range(1, num_agents + 1):
        path = directory / f"agent-{agent}.key"
        if path.exists():
            authorised[key_files.read_pair(path, agent).public] = agent
        elif agent not in authorised.values():
            pair = new_pair()
            key_files.write_new(path, key_files.format_pair(pair, agent))
            authorised[pair.public] = agent
            made.append(path.name)
    if authorised != before:
        atomic_file.replace(listing, key_files.format_authorised(authorised).encode("ascii"))
        made.append(AUTHORISED)
    return made
