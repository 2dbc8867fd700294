"""What the files of every engine are made of: who takes part, in what, from which image.

Engines differ in whom they tell what. All of them get the same of every party: a key and a state folder of its own, the
shared seed as a file that only agents are given, no root, no capability, no other file to write to, limits on memory and
logs, and a rule for starting again that leaves final exit codes alone.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from dadc_net.errors import UsageError

PORT = 5555
USER_ID = 10001
"""Of the user ``dadc`` in the image."""
ALIVE_SECONDS = 60
"""A party writes its status every second; one that has not for so long hangs."""
START_SECONDS = 300
"""What a start may take on a slow host: the self-test, and catching up with a long run."""
STOP_SECONDS = 30
"""To tell the other parties, and to close the books."""
TMP_MIB = 64
LOG_MIB, LOG_FILES = 10, 3

_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
_STRUCTURE = re.compile(r"[\w.]+:[\w.]+")
_MEMORY = re.compile(r"[1-9][0-9]*[mg]")


@dataclass(frozen=True, kw_only=True)
class Team:
    """K agents and their environment server, as they are to be started."""

    agents: int
    """K"""
    task: str
    options: tuple[str, ...] = ()
    """Further arguments of ``dadc-env``."""
    structure: str = ""
    """``--structure`` of the agents; empty: a built-in one."""
    image: str = "dadc-net:local"
    memory: str = "1g"
    """Limit of each party: a whole number with m or g, for 2**20 and 2**30 bytes."""

    def __post_init__(self) -> None:
        if self.agents < 1:
            raise UsageError(f"-K is {self.agents}. A team has at least one agent. Give the number of agents.")
        for argument in (self.task, *self.options, self.structure):
            if not argument.isprintable():
                raise UsageError(
                    f"{argument!r} holds a line break or another sign that is not printed. It cannot stand in a command "
                    "line of these files. Leave it out."
                )
        if self.structure and not _STRUCTURE.fullmatch(self.structure):
            raise UsageError(
                f"the task's information structure is {self.structure}, which agents cannot load by this name. Nothing was "
                "written. Define it at the top of a module."
            )
        if not _IMAGE.fullmatch(self.image):
            raise UsageError(
                f"--image is {self.image!r}, which is no name of an image. It goes into the file as it is. Give one like "
                "registry.example.org/dadc-net:0.2."
            )
        if not _MEMORY.fullmatch(self.memory):
            raise UsageError(
                f"--memory is {self.memory!r}, which is no limit. Each party may use so much. Give a whole number and m or "
                "g, like 1g."
            )

    @property
    def ids(self) -> range:
        """1..K"""
        return range(1, self.agents + 1)

    @property
    def task_arguments(self) -> list[str]:
        """What ``dadc-env`` is told of the problem."""
        return ["--task", self.task, "--agents", str(self.agents), *self.options]

    def server_command(self, keys: str, state: str) -> list[str]:
        """``dadc-env`` with its folders, listening at every address of a container's own network."""
        bind = f"tcp://0.0.0.0:{PORT}"
        return ["dadc-env", *self.task_arguments, "--bind", bind, "--keys", keys, "--state-dir", state]

    def agent_command(self, server: str, keys: str, state: str) -> list[str]:
        """``dadc-agent`` with its folders; its id comes from the engine."""
        own = ["--structure", self.structure] if self.structure else []
        server = f"tcp://{server}:{PORT}"
        return [
            *("dadc-agent", "--server", server, "--keys", keys, "--seed-file", f"{keys}/team.seed", "--state-dir", state),
            *own,
        ]


def health_command(state: str) -> list[str]:
    """Exits with 0 while the party whose state folder this is lives."""
    return ["dadc", "status", state, "--alive", str(ALIVE_SECONDS)]


def shell_line(arguments: list[str]) -> str:
    """``arguments`` as a line that a shell, Compose or Slurm splits again in the same way."""
    return " ".join(shlex.quote(argument) for argument in arguments)


def mebibytes(memory: str) -> int:
    """The limit as a number of MiB."""
    return int(memory[:-1]) * (1024 if memory.endswith("g") else 1)
