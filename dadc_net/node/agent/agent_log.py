"""What an agent remembers of a run: rows that wait to be written, rows that are, and checkpoints.

Rows are written in groups, after their answers were sent, because the server can send any record again; only what is
answered must be answered again in the same way, and that follows from determinism even where a row was lost.

A checkpoint counts only if the record after it has arrived: the server sends that one once all replicas agreed on the
state, so no state that was never agreed on can come back from a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError, MismatchError, TemporaryError
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.starting_rule import named
from dadc_net.node.messages import Begin
from dadc_net.node.rows import AgentJournal, AgentRow, Arrays

GROUP_ROWS = 256
_GROUP_BYTES = 4 * 2**20
PENDING_ROWS_MAX = 10_000
"""How many rows an agent whose disk is full holds in memory before it gives up."""
CHECKPOINT_SECONDS = 10.0
"""Between checkpoints; times the size of a larger one, so that a replay memory of a gigabyte is not written all the time."""
_USUAL_BYTES = 8 * 2**20


class AgentLog:
    """The agent's side of the log."""

    def __init__(self, store: AgentJournal) -> None:
        self.store = store
        self._pending: dict[int, AgentRow] = {}
        self._bytes = 0
        """Of rows that came since the last attempt to write them."""
        self.full = False
        """Whether what waits is a group that is worth writing."""
        self._saved: float | None = None
        self._size = 0
        self.trouble = ""
        """What the disk refuses at present; for people."""

    def add(self, row: AgentRow) -> None:
        """Remember one record; ``settle`` writes it."""
        self._pending[row.record.step] = row
        self._bytes += len(row.record.common) + len(row.observation) + len(row.actions)
        self.full = len(self._pending) % GROUP_ROWS == 0 or self._bytes >= _GROUP_BYTES

    def row(self, step: int) -> AgentRow:
        """A record that was answered.

        Raises:
            CorruptStateError: if its row is rotten or was lost.
        """
        row = self._pending.get(step) or self.store.row(step)
        if row is None:
            raise CorruptStateError(
                f"the server asks again for the answer to record {step}, which this agent's journal does not hold. A part "
                "of its state folder is missing. Move the folder away and start the agent again: it goes through the log "
                "anew."
            )
        return row

    def settle(self, due: bool) -> None:
        """Write what is pending, if ``due`` or the group is full. A full disk is put up with for a while.

        Raises:
            TemporaryError: if it has been full for too long.
        """
        if not self._pending or not (due or self.full):
            return
        self._bytes = 0
        try:
            self.store.write(list(self._pending.values()))
        except TemporaryError as error:
            self.trouble = str(error)
            if len(self._pending) >= PENDING_ROWS_MAX:
                raise
            return
        self._pending.clear()
        self.full, self.trouble = False, ""

    def checkpoint_due(self, now: float) -> bool:
        """Whether it is time to keep the whole state; called after an update."""
        if self._saved is None:
            self._saved = now
        return now - self._saved >= CHECKPOINT_SECONDS * max(1.0, self._size / _USUAL_BYTES)

    def save(self, step: int, arrays: Arrays, meta: Mapping[str, Any], now: float) -> bool:
        """Keep the whole state after record ``step``; False where the disk refuses."""
        self.settle(True)
        if self._pending:
            return False
        try:
            self.store.save(step, arrays, meta)
        except TemporaryError as error:
            self.trouble = str(error)
            return False
        self._saved, self._size = now, sum(array.nbytes for array in arrays.values())
        return True

    def checkpoints(self) -> Iterator[tuple[int, Arrays, Mapping[str, Any]]]:
        """Whole, agreed-on checkpoints of this run, newest first: record, state, meta data."""
        tip = self.store.tip
        for step in self.store.checkpoints():
            if step >= tip:
                continue
            try:
                row = self.store.row(step)
                arrays, meta = self.store.load(step)
            except CorruptStateError as error:
                self.trouble = str(error)
                continue
            ours = (self.store.facts.get("run_id"), "" if row is None else row.record.head.hex())
            if (meta.get("run_id"), meta.get("head")) == ours:
                yield step, arrays, meta

    def tail(self, first: int) -> Iterator[AgentRow]:
        """Rows from ``first`` on, up to the first one that is missing or rotten; the server sends those again."""
        step = first
        while True:
            try:
                row = self.store.row(step)
            except CorruptStateError as error:
                self.trouble = str(error)
                return
            if row is None:
                return
            yield row
            step += 1


def facts_of(identity: AgentIdentity, begin: Begin, settings: CoordinatorSettings) -> dict[str, Any]:
    """The facts of a new journal (JSON data): all that is needed to take part again without the server."""
    return {
        "agent": identity.agent,
        "run_id": begin.run_id.hex(),
        "epoch": begin.epoch,
        "settings": begin.settings,
        "settings_digest": settings.digest().hex(),
        "commitment": identity.commitment.hex(),
        "private_commitment": identity.private_commitment.hex(),
        "structure": begin.structure,
        "family": begin.family,
        "observation_space": begin.observation_space,
        "action_space": begin.action_space,
        "last_step": settings.updates * settings.learner.batch_lock_steps,
        "host": identity.host,
        "state": "running",
    }


def refuse_another(identity: AgentIdentity, facts: Mapping[str, Any], settings: CoordinatorSettings, tip: int) -> None:
    """Compare the journal's ``facts`` with what the agent was started with; ``tip``: the newest record it holds.

    Raises:
        MismatchError: naming what differs, and both values.
    """
    wanted, own = identity.settings_digest, identity.structure
    for what, held, given in (
        ("agent id", facts["agent"], identity.agent),
        ("seed commitment", facts["commitment"][:16], identity.commitment.hex()[:16]),
        ("private seed commitment", facts["private_commitment"][:16], identity.private_commitment.hex()[:16]),
        ("settings digest", settings.digest().hex()[:16], (wanted or settings.digest()).hex()[:16]),
        ("starting rule", named(settings.start.rule), named(identity.rule_digest.hex())),
        ("information structure", facts["structure"]["name"], facts["structure"]["name"] if own is None else own.name),
    ):
        if held != given:
            raise MismatchError(
                f"the state folder holds a run with the {what} {held}, this agent was started with {given}. Nothing was "
                f"changed; the run stands at record {tip}. Start it as before, or give another folder."
            )
