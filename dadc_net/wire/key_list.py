"""The list of admitted keys as it stands now: read again when its file changes, while the server runs.

Rotation needs no restart. A key that is added is admitted at the next handshake. A key that is taken out is refused there,
and connections that were made with it are cut: what still comes over them is dropped unread. A list that cannot be used, as
while somebody writes it, changes nothing and is complained of once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from zmq.utils import z85

from dadc_net.errors import AuthenticationError, InvariantError
from dadc_net.wire import key_files
from dadc_net.wire.key_files import KEY_TEXT_BYTES
from dadc_net.wire.keys import AUTHORISED, ServerKeys

_log = logging.getLogger(__name__)


class KeyList:
    """Whom to admit. Asked by the transport's thread and by the socket's owner; the list is exchanged in one step."""

    def __init__(self, keys: ServerKeys) -> None:
        self._path = None if keys.folder is None else keys.folder / AUTHORISED
        self._agents = _decoded(keys.authorised)
        self._seen = _state_of(self._path)

    def agent_of(self, public: bytes) -> int | None:
        """The agent that the key ``public`` (32 bytes) belongs to; None if it is not admitted."""
        return self._agents.get(public)

    def read_again(self, asked: bool = False) -> bool:
        """Read the list again if its file has changed, or if somebody ``asked`` for it; whether it is another one now."""
        state = _state_of(self._path)
        if self._path is None or (state == self._seen and not asked):
            return False
        self._seen = state
        try:
            agents = _decoded(key_files.read_authorised(self._path))
        except AuthenticationError as error:
            _log.error("the list of keys has changed and cannot be used, so the former one stays in force: %s", error)
            return False
        before, self._agents = self._agents, agents
        for what, keys in (("admitted", agents.keys() - before.keys()), ("revoked", before.keys() - agents.keys())):
            owners = sorted({(agents if what == "admitted" else before)[key] for key in keys})
            if owners:
                _log.warning("the list of keys has changed: %s keys of agents %s", what, owners)
        return agents != before


def decoded(public: bytes) -> bytes:
    """The 32 bytes of a key: the transport asks with these, files hold their text."""
    if len(public) != KEY_TEXT_BYTES:
        raise InvariantError(f"a public key has {len(public)} characters, not {KEY_TEXT_BYTES}")
    return z85.decode(public)


def _decoded(authorised: Mapping[bytes, int]) -> dict[bytes, int]:
    return {decoded(public): agent for public, agent in authorised.items()}


def _state_of(path: Path | None) -> tuple[int, ...]:
    """What changes whenever a file is written or replaced; empty where there is none."""
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return ()
    return () if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
