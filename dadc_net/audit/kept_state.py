"""The learner state of one agent after any record, as far as its folder tells: what it kept, replayed from there.

A fresh learner gives the state that an agent *should* have. This gives the one that it *had*: the state that it wrote
down when a divergence stopped it, or its newest checkpoint before the record with the common log replayed behind it, so
that a wrong bit in either is still there to be seen. Without one of these the two are the same by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dadc_net.audit.state_difference import TensorDifference
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError
from dadc_net.node.agent.replica import Replica
from dadc_net.node.agent.starting_rule import start_of
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path, checkpoint_steps
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.rule_file import kept_rule
from dadc_net.storage.run_folder import STOPPED_FILE

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class KeptState:
    """A state and where it comes from."""

    arrays: Arrays
    origin: str


@dataclass(frozen=True)
class Side:
    """One of two states that were compared, and whether the fresh learner has the same."""

    agent: int
    origin: str
    right: bool


@dataclass(frozen=True)
class Compared:
    """Two agents' states after one record."""

    step: int
    left: Side
    right: Side
    differences: list[TensorDifference]

    def to_plain(self) -> dict[str, Any]:
        """Plain data for --json."""
        return asdict(self)

    def text(self) -> str:
        """Lines for people."""
        lines = [
            f"agent {side.agent}: {side.origin}; {'equal to' if side.right else 'differs from'} the fresh learner"
            for side in (self.left, self.right)
        ]
        found = [difference.text() for difference in self.differences] or ["no value differs"]
        head = f"after record {self.step}, agent {self.left.agent} against agent {self.right.agent}:"
        return "\n".join([*lines, head, *(f"  {line}" for line in found)])


def stopped_step(folder: Path) -> int | None:
    """The record at which an agent was stopped by a divergence; None: it was not."""
    if not (folder / STOPPED_FILE).exists():
        return None
    return int(arrays_file.load(folder / STOPPED_FILE)[1]["step"])


def kept_state(reader: JournalReader, shared_seed: bytes, step: int) -> KeptState:
    """The state of the agent whose journal ``reader`` is, after record ``step``.

    Raises:
        CorruptStateError: if a record up to ``step`` is missing.
    """
    folder = reader.path.parent
    if stopped_step(folder) == step:
        return KeptState(arrays_file.load(folder / STOPPED_FILE)[0], "as it wrote it down when it was stopped")
    settings = CoordinatorSettings.from_plain(reader.facts["settings"])
    replica = Replica(settings, shared_seed, start_of(settings, kept_rule(folder), reader.agent))
    first, origin = _begin(replica, reader, folder, step)
    done = first - 1
    for record in islice(reader.records(first), step + 1 - first):
        replica.receive(record)
        done = record.step
    if done != step:
        raise CorruptStateError(
            f"{reader.path} ends at record {done}, record {step} was asked for. There is no state to compare. Give an "
            "earlier one."
        )
    return KeptState(replica.coordinator.snapshot(), origin)


def _begin(replica: Replica, reader: JournalReader, folder: Path, step: int) -> tuple[int, str]:
    """Restore the newest whole checkpoint of this run; the record to go on with, and a description."""
    for kept in (kept for kept in checkpoint_steps(folder) if kept <= step):
        try:
            arrays, meta = arrays_file.load(checkpoint_path(folder, kept))
        except CorruptStateError:
            continue
        if meta.get("run_id") == reader.facts.get("run_id") and "head" in meta:
            replica.restore(arrays, bytes.fromhex(meta["head"]))
            return kept + 1, f"its checkpoint after record {kept}, replayed from there"
    return 0, "no checkpoint so early; replayed from record 0"
