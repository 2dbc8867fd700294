"""What a running party knows, once a second in a small file: the server of its agents, an agent of itself.

The server's answers "who is holding us up?", any of them "does it live?", which is what container engines ask. The file
is replaced, never appended to, and never synced: nothing reads it but ``dadc status``. It holds digests of steps, which say
nothing without the shared seed, and no private data. Its age is told by the monotonic clock, which all processes of a host
share until it boots anew.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dadc_net import atomic_file
from dadc_net.errors import NAME_MAX, TemporaryError, UsageError, foreign_words
from dadc_net.node.messages import Act, Message
from dadc_net.runtime.events import Event, require_types
from dadc_net.storage.run_folder import RunFolder

STATUS_NAME = "status.json"
STOPPED = "stopped"
"""Phase of a server that was asked to stop; the others are those of the server's node."""
_PATIENCE_SECONDS = 1.0
_HOST_WIDTH = 16
"""So that a line of the table fits 80 columns."""


@dataclass(frozen=True, kw_only=True)
class AgentStatus:
    """One agent, as the server sees it."""

    agent: int
    present: bool
    """Its connection has joined and is not known to be gone."""
    answered: int
    """Number of the last record it answered, -1 before the first."""
    lag: int
    """How many records the log is ahead of that."""
    silent_s: float | None
    """Seconds since anything came from it; null: nothing yet."""
    straggler: bool
    """The server has waited for it, and for nobody but stragglers, for more than a second."""
    step_digest: str
    """Of the last record that it answered, hex."""
    host: str


@dataclass(frozen=True, kw_only=True)
class TeamStatus(Event):
    """The run, as the server sees it, once a second."""

    phase: str
    run_id: str
    epoch: int
    step: int
    """Number of the newest record, -1 before the first."""
    last_step: int
    written: float
    """Monotonic seconds."""
    agents: list[AgentStatus]

    @property
    def age(self) -> float:
        """Seconds since it was written; negative when the host was booted in between."""
        return time.monotonic() - self.written

    @property
    def ended(self) -> bool:
        """The server wrote it as its last act."""
        return self.phase in ("finished", "failed", STOPPED)

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> TeamStatus:
        """The status with plain ``fields``, as they stand in the file. Raises TypeError or KeyError for what is none."""
        given = fields["agents"]
        agents = [require_types(AgentStatus(**agent)) for agent in (given if isinstance(given, list) else [given])]
        return require_types(cls(**{**fields, "agents": agents}))


@dataclass(frozen=True, kw_only=True)
class OwnStatus(Event):
    """An agent, as it sees itself, once a second."""

    agent: int
    phase: str
    run_id: str
    """Empty before it has joined."""
    step: int
    """Number of the record it waits for."""
    server_silent_s: float | None
    """Seconds since the server was heard; null: it has not joined, or has all records."""
    written: float
    """Monotonic seconds."""

    @property
    def age(self) -> float:
        """As of ``TeamStatus``."""
        return time.monotonic() - self.written

    @property
    def ended(self) -> bool:
        """It has all records; one that failed or was stopped leaves its last status behind, which grows old."""
        return self.phase == "finished"


class StatusFile:
    """The observer that keeps the newest status in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on(self, event: Event) -> None:
        """Replace the file; a disk that refuses is no reason to stop, because nothing depends on it."""
        if isinstance(event, TeamStatus | OwnStatus):
            _, plain = event.to_plain()
            with contextlib.suppress(OSError):
                atomic_file.replace(self._folder / STATUS_NAME, json.dumps(plain).encode("utf-8"), durable=False)


def read(folder: Path) -> TeamStatus | OwnStatus:
    """The status in the folder of a run, of its server or of an agent.

    Raises:
        UsageError: if there is none.
    """
    for path in (folder / STATUS_NAME, RunFolder(folder).server / STATUS_NAME):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        try:
            return _status_of(found)
        except (TypeError, KeyError) as error:
            raise UsageError(
                f"{path} is no status of this version: {foreign_words(str(error))}. Nothing was read from it. A party that "
                "runs writes it anew every second; start it, or look at its log.txt."
            ) from error
    raise UsageError(
        f"{folder} holds no {STATUS_NAME}, nor does a server folder in it. A party writes one every second while it runs. "
        "Give the folder of a run, or a party's state folder."
    )


def _status_of(found: object) -> TeamStatus | OwnStatus:
    """The status in a file, which may say anything. Raises TypeError or KeyError for what is none."""
    if not isinstance(found, dict):
        raise TypeError(f"it holds {type(found).__name__}")
    if "agents" not in found:
        return OwnStatus.of_fields(found)
    return TeamStatus.of_fields(found)


def require_alive(status: TeamStatus | OwnStatus, folder: Path, seconds: float) -> None:
    """Raises TemporaryError unless the party has ended its run, or has written its status lately."""
    if not status.ended and not 0 <= status.age <= seconds:
        age = f"{status.age:.0f} s ago" if status.age >= 0 else "before this host was booted"
        raise TemporaryError(
            f"the status in {folder} was written {age}, and {seconds:g} s were allowed. A party writes it every second: "
            "this one has gone, or hangs. Look at its log.txt, or start it again."
        )


def table(status: TeamStatus | OwnStatus) -> str:
    """Lines for people."""
    if isinstance(status, OwnStatus):
        joined = f"run {foreign_words(status.run_id[:8], 8)}" if status.run_id else "no run yet"
        written = f"written {status.age:.0f} s ago" if status.age >= 0 else "an old file"
        heard = "" if status.server_silent_s is None else f"; server heard {status.server_silent_s:.1f} s before that"
        phase = foreign_words(status.phase, NAME_MAX)
        return f"agent {status.agent}, {joined}, {phase}, at record {status.step}; {written}{heard}"
    name, phase = foreign_words(status.run_id[:8], 8), foreign_words(status.phase, NAME_MAX)
    head = f"run {name}, epoch {status.epoch}, {phase}, record {status.step} of {status.last_step}"
    if status.ended:
        head += f"; ended {status.age:.0f} s ago" if status.age >= 0 else "; an old file"
    elif not 0 <= status.age < 5:
        head += f"; written {status.age:.0f} s ago: the server has ended or hangs" if status.age > 0 else "; an old file"
    lines = [head, f"{'agent':>5}  {'state':9} {'answered':>10} {'lag':>4} {'last heard':>11}  {'step digest':16}  host"]
    lines += [_line(agent, status.ended) for agent in status.agents]
    return "\n".join(lines)


def _line(agent: AgentStatus, ended: bool) -> str:
    state = "-" if ended else "absent" if not agent.present else "straggler" if agent.straggler else "ready"
    heard = "never" if agent.silent_s is None else f"{agent.silent_s:.1f} s ago"
    digest, host = foreign_words(agent.step_digest[:16], 16) or "-", foreign_words(agent.host, _HOST_WIDTH)
    return f"{agent.agent:5}  {state:9} {agent.answered:10} {agent.lag:4} {heard:>11}  {digest:16}  {host}"


class Watchkeeper:
    """Remembers what came from whom, for the status."""

    def __init__(self, num_agents: int) -> None:
        self._agents = range(1, num_agents + 1)
        self._heard: dict[int, float] = {}
        self._answered: dict[int, tuple[int, bytes]] = {}
        self._step = -1
        self._since = 0.0

    def heard(self, agent: int | None, message: Message, now: float) -> None:
        """``message`` came from ``agent``; None: from somebody who has not joined."""
        if agent is None:
            return
        self._heard[agent] = now
        if isinstance(message, Act):
            self._answered[agent] = message.step, message.step_digest

    def status(self, step: int, present: Mapping[int, str], waiting_for: Sequence[int], now: float) -> list[AgentStatus]:
        """One line per agent; ``present``: agent -> host name, ``waiting_for``: who has not answered record ``step``."""
        if step != self._step:
            self._step, self._since = step, now
        late = now - self._since > _PATIENCE_SECONDS
        found = []
        for agent in self._agents:
            last, digest = self._answered.get(agent, (-1, b""))
            silent = now - self._heard[agent] if agent in self._heard else None
            straggler = late and agent in present and agent in waiting_for
            host = present.get(agent, "")
            one = AgentStatus(
                agent=agent,
                present=agent in present,
                answered=last,
                lag=step - last,
                silent_s=silent,
                straggler=straggler,
                step_digest=digest.hex(),
                host=host,
            )
            found.append(one)
        return found
