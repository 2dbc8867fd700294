"""What each party writes down so that a run survives it: rows and storage interfaces, without a file or a clock.

The common log is one thing and private things another: common records may be shown to anybody who takes part, an
observation or an action only to its owner and the environment. Rows, tables and interfaces keep them apart for that
reason, so that whoever answers a question about the common log cannot touch the rest by mistake.

    environment server   common records with their chain heads; observations of all agents; answers of all agents;
                         now and then the state of the environment
    agent k              common records with their chain heads; its own observations and actions; its account of each
                         step and each update; checkpoints of its whole state

A row is trusted when its check fits: the chain head for a common record, a short hash for every other row. The storage
behind the interfaces is SQLite (``runtime``) or, under test, a simulated disk that tears, forgets and rots.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
CHECK_BYTES = 8
_NO_ROW = b"no row!!"


def row_check(step: int, *parts: bytes) -> bytes:
    """The short hash that is stored beside a row of private data: finds a rotten byte, needs no other row.

    Every row of every party is hashed, at every step: step and lengths are packed at once, which takes half the time of
    ``exact.digest.digest``. A byte can rot into another type; what is not bytes any more gets a check that no row has.
    """
    try:
        framed = b"".join((_frame(len(parts)).pack(step, *map(len, parts)), *parts))
    except (TypeError, struct.error):
        return _NO_ROW
    return hashlib.sha256(framed).digest()[:CHECK_BYTES]


@cache
def _frame(count: int) -> struct.Struct:
    """Step, and the length of each of ``count`` parts."""
    return struct.Struct(f">q{count}Q")


class CommonRow(NamedTuple):
    """Record ``step`` of the common log."""

    step: int
    head: bytes
    """Chain hash after this record."""
    record: bytes


class Answers(NamedTuple):
    """What all K agents answered to record ``step``; entry k-1 is agent k's."""

    step: int
    actions: tuple[bytes, ...]
    digests: tuple[bytes, ...]
    """Keyed step digests."""
    update_digests: tuple[bytes, ...]
    """Learner digests after the update that the record closed; empty bytes where it closed none."""


class ServerRow(NamedTuple):
    """Record ``step`` with what it holds for each agent; entry k-1 of ``observations`` is for agent k only."""

    common: CommonRow
    observations: tuple[bytes, ...]


class ServerJournal(Protocol):
    """Storage of the environment server. Every method raises CorruptStateError for a row that fails its check."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run."""
        ...

    @property
    def tip(self) -> int:
        """Number of the last record that was written, -1 before the first."""
        ...

    def row(self, step: int) -> ServerRow | None:
        """Record ``step``; None where there is none."""
        ...

    def answers(self, step: int) -> Answers | None:
        """The answers to record ``step``; None where there are none."""
        ...

    def commit(self, answers: Answers | None, row: ServerRow | None, world: Arrays | None) -> None:
        """In one piece: answers to record t, record t+1, and the state of the environment after it.

        When it returns, a killed process can no longer lose them. Rows replace what has their place.

        Raises:
            TemporaryError: if nothing could be written: the disk is full.
        """
        ...

    def worlds(self) -> Sequence[int]:
        """Records after which a state of the environment was kept, newest first."""
        ...

    def world(self, step: int) -> Arrays:
        """The state of the environment after record ``step``."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Write one fact (JSON data), in a transaction of its own."""
        ...

    def sync(self) -> None:
        """Make everything so far survive a loss of power, whatever the mode."""
        ...


class UpdateRow(NamedTuple):
    """One update in an agent's journal."""

    number: int
    step: int
    learner: bytes
    tensors: dict[str, bytes]


class AgentRow(NamedTuple):
    """Record ``step`` at agent k: what came, what was made of it, what was answered."""

    common: CommonRow
    observation: bytes
    actions: bytes
    parameters: bytes
    """Digest of all parameters."""
    ais: bytes
    """Digest of x_t."""
    prescription: bytes
    """Digest of theta_t."""
    sent: bytes
    """Keyed digest of the step, as it was sent."""
    update: UpdateRow | None

    @property
    def step(self) -> int:
        """Number of the record."""
        return self.common.step


class AgentJournal(Protocol):
    """Storage of one agent: its journal and its checkpoints."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run; empty before ``create``."""
        ...

    @property
    def tip(self) -> int:
        """Number of the last record that was written, -1 before the first."""
        ...

    def create(self, facts: Mapping[str, Any]) -> None:
        """Begin a journal."""
        ...

    def row(self, step: int) -> AgentRow | None:
        """Record ``step``; None where there is none. Raises CorruptStateError if it fails its check."""
        ...

    def write(self, rows: Sequence[AgentRow]) -> None:
        """One transaction. Rows replace what has their place. Raises TemporaryError when the disk is full."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Write one fact (JSON data)."""
        ...

    def sync(self) -> None:
        """Make everything so far survive a loss of power, whatever the mode."""
        ...

    def checkpoints(self) -> Sequence[int]:
        """Records after which the state was kept, newest first."""
        ...

    def load(self, step: int) -> tuple[Arrays, Mapping[str, Any]]:
        """State and meta data of the checkpoint after record ``step``. Raises CorruptStateError if it is damaged."""
        ...

    def save(self, step: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Keep the state after record ``step``, in one piece or not at all; the last two are kept."""
        ...
