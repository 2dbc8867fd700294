"""Which folders hold what of one run: the folder of a run that one command made, or state folders of its parties, wherever
their hosts kept them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dadc_net.errors import UsageError
from dadc_net.storage.agent_journal import checkpoint_steps
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.run_folder import PRUNED_FILE, SERVER, config_file

_AGENT = re.compile(r"agent-([1-9]\d*)")
_SERVER = 0


@dataclass(frozen=True)
class KeptRun:
    """What there is of one run; parts that lie on other hosts are missing."""

    path: Path
    """What it is called by: the first folder that was given."""
    config: Path | None
    """The resolved configuration."""
    server: Path | None
    """The server's state folder."""
    agents: Mapping[int, Path]
    """Agent -> its state folder, in order."""

    @property
    def parties(self) -> dict[str, Path]:
        """Name of a party -> its folder, the server first."""
        server = {} if self.server is None else {SERVER: self.server}
        return {**server, **{f"agent {agent}": folder for agent, folder in self.agents.items()}}

    @property
    def folders(self) -> list[Path]:
        """Every folder with something of the run, the one that it is called by first; none lies in another."""
        own = [*self.parties.values()]
        outer = [] if self.path in own else [self.path]
        return [*outer, *(folder for folder in own if self.path not in folder.parents)]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(size_of(folder) for folder in self.folders)

    def require_config(self) -> Path:
        """The configuration. Raises UsageError if it is not there."""
        if self.config is None:
            raise UsageError(
                f"{self.path} holds no config.toml. The folder of a run has one, and the state folder of a server; an agent "
                "is not told the environment's parameters. Give the server's folder as well."
            )
        return self.config

    def require_agent(self, agent: int) -> Path:
        """The folder of ``agent``. Raises UsageError if it is not there."""
        if agent not in self.agents:
            raise UsageError(
                f"{self.path} holds no folder of agent {agent}. What was learned is in the agents' folders; a simulation of "
                "a shared learner keeps that of agent 1 alone. Give --agent one of those that are there, or its folder as "
                "well."
            )
        return self.agents[agent]


def find_run(places: Sequence[Path]) -> KeptRun:
    """The run in ``places``: the folder of one, or folders of parties, or folders that hold such folders.

    Raises:
        UsageError: if nothing of a run is there, or two folders of one party.
    """
    config: Path | None = None
    parties: dict[int, Path] = {}
    for place in places:
        own = _party(place) if _holds_state(place) else None
        found = {own: place} if own is not None else _parties_in(place)
        for party, folder in found.items():
            if party in parties:
                name = f"agent {party}" if party else "the server"
                raise UsageError(
                    f"{parties[party]} and {folder} are both folders of {name}. A run has one of each party. Give the "
                    "folders of one run."
                )
            parties[party] = folder
        candidates = [config_file(place), *(config_file(folder) for party, folder in found.items() if party == _SERVER)]
        config = config or next((file for file in candidates if file.is_file()), None)
    if config is None and not parties:
        raise UsageError(
            f"{', '.join(map(str, places))} holds nothing of a run: neither config.toml nor a party's journal or "
            "checkpoints. It is not the folder of a run. Give the folder of a run, or the state folders of its parties."
        )
    agents = {party: parties[party] for party in sorted(parties) if party != _SERVER}
    return KeptRun(places[0], config, parties.get(_SERVER), agents)


def is_pruned(folder: Path) -> bool:
    """Whether a finished run in ``folder`` was cut to what is needed later."""
    return (folder / PRUNED_FILE).is_file()


def size_of(folder: Path) -> int:
    """Bytes of all files in ``folder``; what goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += 0 if path.is_dir() or path.is_symlink() else path.stat().st_size
        except OSError:
            continue
    return total


def _holds_state(folder: Path) -> bool:
    return (folder / JOURNAL_NAME).is_file() or is_pruned(folder) or bool(checkpoint_steps(folder))


def _named(folder: Path) -> int | None:
    match = _AGENT.fullmatch(folder.name)
    return int(match[1]) if match is not None else _SERVER if folder.name == SERVER else None


def _party(folder: Path) -> int | None:
    """Whose state folder this is; its journal knows, whatever it is called."""
    if not (folder / JOURNAL_NAME).is_file():
        return _named(folder)
    reader = JournalReader(folder)
    reader.close()
    return reader.agent


def _parties_in(place: Path) -> dict[int, Path]:
    """Folders of keys have the same names, and are none."""
    folders = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
    held = [folder for folder in folders if _holds_state(folder)]
    begun = [folder for folder in folders if _holds_state(folder) or config_file(folder).is_file()]
    named = {party: folder for folder in begun if (party := _named(folder)) is not None}
    others = {party: folder for folder in held if _named(folder) is None and (party := _party(folder)) is not None}
    return {**others, **named}
