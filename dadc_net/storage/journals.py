"""Which journals the processes of a run are given: a server and its agents open them, and do not know what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dadc_net.node.rows import AgentJournal, ServerJournal
from dadc_net.storage.agent_journal import AgentJournalFile
from dadc_net.storage.server_journal import ServerJournalFile


class OpenableServerJournal(ServerJournal, Protocol):
    """A server's journal as its process holds it."""

    def open_or_create(self, facts: Mapping[str, Any]) -> bool:
        """Open the journal, or begin one with ``facts``; whether it was there."""
        ...

    def settle(self) -> None:
        """Do what may wait until everything is sent."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class OpenableAgentJournal(AgentJournal, Protocol):
    """An agent's journal as its process holds it."""

    def close(self) -> None:
        """Let go of it."""
        ...


class Journals(NamedTuple):
    """How the journals of a run are made. Both are classes or functions of a module, so that a child can be sent them."""

    server: Callable[[Path, int, str], OpenableServerJournal]
    """(state folder, number of agents, what it survives: ``process`` or ``host``) -> journal"""
    agent: Callable[[Path, str], OpenableAgentJournal]
    """(state folder, what it survives) -> journal"""


ON_DISK = Journals(ServerJournalFile, AgentJournalFile)
