"""Names in the folder of a run and in the folders of its parties."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STOPPED_FILE = "stopped.arrays"
"""What an agent leaves beside its journal when a divergence stops the run: its learner, for whoever wants to see why."""
PRUNED_FILE = "pruned.json"
"""What is left of the journal of a finished run that was cut to what is needed later."""
START_FILE = "start.rule"
"""The learned rule that an agent began with, beside its journal."""
SERVER = "server"
"""Name of the party that serves the environment, and of its folder."""
_CONFIG = "config.toml"


def agent_name(agent: int) -> str:
    """Name of an agent as a party, and of its folder."""
    return f"agent-{agent}"


def config_file(folder: Path) -> Path:
    """The resolved configuration in the folder of a run or of its server."""
    return folder / _CONFIG


@dataclass(frozen=True)
class RunFolder:
    """Where a run that was started by one command keeps everything."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return config_file(self.path)

    @property
    def server(self) -> Path:
        """The server's state folder."""
        return self.path / SERVER

    @property
    def keys(self) -> Path:
        """Keys of server and agents; a simulation has none."""
        return self.path / "keys"

    @property
    def start(self) -> Path:
        """The learned rule that its agents began with, if they did with one."""
        return self.path / START_FILE

    def agent(self, agent: int) -> Path:
        """State folder of ``agent``."""
        return self.path / agent_name(agent)
