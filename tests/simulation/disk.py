"""A disk in memory with the promises of SQLite in WAL mode, and no more.

Transactions are whole and in order; a loss of power may take the ones since the last sync; a row may rot; the disk may be
full. Both storages of ``node.rows`` stand on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dadc_net.errors import CorruptStateError, TemporaryError
from dadc_net.exact.digest import GENESIS, chain
from dadc_net.node.record import Record
from dadc_net.node.rows import AgentRow, Answers, Arrays, CommonRow, ServerRow, UpdateRow, row_check

Row = tuple[bytes, ...]
Change = tuple[str, int, Row | None]
"""(table, key, columns); None deletes."""


class Disk:
    """Tables of byte columns, transactions, and what can happen to them."""

    def __init__(self, synced: bool = False) -> None:
        """``synced``: every transaction is synced, as in mode ``host``."""
        self.tables: dict[str, dict[int, Row]] = {}
        self.facts: dict[str, Any] = {}
        self.full = False
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None
        self._synced = synced
        self._names = 0
        self._undo: list[tuple[list[Change], dict[str, Any]]] = []
        """What would take back each transaction since the last sync, oldest first."""

    def name(self) -> bytes:
        """A name for content that is kept beside the tables; never used before."""
        self._names += 1
        return self._names.to_bytes(8, "big")

    def table(self, name: str) -> dict[int, Row]:
        return self.tables.setdefault(name, {})

    def transact(self, changes: Sequence[Change], facts: Mapping[str, Any] | None = None) -> None:
        self.before_commit()
        if self.full:
            raise TemporaryError("the simulated disk cannot be written: it is full. Nothing was sent. Make room.")
        undo: list[Change] = []
        for name, key, row in changes:
            table = self.table(name)
            undo.append((name, key, table.get(key)))
            if row is None:
                table.pop(key, None)
            else:
                table[key] = row
        self._undo.append((undo[::-1], dict(self.facts)))
        self.facts.update(facts or {})
        if self._synced:
            self.sync()
        self.after_commit()

    def sync(self) -> None:
        self._undo.clear()

    def wipe(self) -> None:
        """An empty folder."""
        self.tables.clear()
        self.facts = {}
        self.sync()

    def lose_power(self, chance: random.Random) -> int:
        """Take back some of the transactions that were not synced, newest first; how many."""
        count = chance.randint(0, len(self._undo))
        for _ in range(count):
            changes, self.facts = self._undo.pop()
            for name, key, row in changes:
                if row is None:
                    self.table(name).pop(key, None)
                else:
                    self.table(name)[key] = row
        self.sync()
        return count

    def rot(self, chance: random.Random) -> str:
        """Flip one bit of one row; where."""
        places = [(name, key) for name, table in sorted(self.tables.items()) for key in sorted(table)]
        if not places:
            return ""
        name, key = chance.choice(places)
        row = list(self.tables[name][key])
        columns = [index for index, value in enumerate(row) if isinstance(value, bytes) and value]
        index = chance.choice(columns)
        place = chance.randrange(len(row[index]))
        row[index] = row[index][:place] + bytes([row[index][place] ^ (1 << chance.randrange(8))]) + row[index][place + 1 :]
        self.tables[name][key] = tuple(row)
        return f"{name} {key} column {index}"

    # --- the checks that the files make ---------------------------------------------------------------------------

    def common(self, step: int) -> CommonRow | None:
        table = self.table("common")
        if step not in table:
            return None
        head, common = table[step]
        previous = GENESIS if step == 0 else table.get(step - 1, (b"",))[0]
        if chain(previous, common) != head:
            raise CorruptStateError(f"the row of record {step} in table records is rotten")
        return CommonRow(step, head, record)

    def checked(self, name: str, step: int) -> Row | None:
        row = self.table(name).get(step)
        if row is not None and row_check(step, *row[:-1]) != row[-1]:
            raise CorruptStateError(f"the row of record {step} in table {name} is rotten")
        return None if row is None else row[:-1]

    @property
    def tip(self) -> int:
        return max(self.table("records"), default=-1)


def sealed(step: int, *columns: bytes) -> Row:
    return (*columns, row_check(step, *columns))


class DiskServerJournal:
    """Satisfies ``node.rows.ServerJournal``."""

    def __init__(self, disk: Disk, num_agents: int) -> None:
        self.disk = disk
        self._agents = num_agents
        self._arrays: dict[bytes, Arrays] = getattr(disk, "arrays", {})
        disk.arrays = self._arrays  # type: ignore[attr-defined]

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.disk.facts

    @property
    def tip(self) -> int:
        return self.disk.tip

    def row(self, step: int) -> ServerRow | None:
        record, observations = self.disk.record(step), self.disk.checked("observations", step)
        return None if record is None or observations is None else ServerRow(record, observations)

    def answers(self, step: int) -> Answers | None:
        row, agents = self.disk.checked("answers", step), self._agents
        return None if row is None else Answers(step, row[:agents], row[agents : 2 * agents], row[2 * agents :])

    def commit(self, answers: Answers | None, row: ServerRow | None, world: Arrays | None) -> None:
        changes: list[Change] = []
        if answers is not None:
            columns = (*answers.actions, *answers.step_digests, *answers.learner_digests)
            changes.append(("answers", answers.step, sealed(answers.step, *columns)))
        if row is not None:
            step = row.step
            changes += [("records", step, row.record[1:]), ("observations", step, sealed(step, *row.observations))]
            if world is not None:
                key = self.disk.name()
                self._arrays[key] = {name: value.copy() for name, value in world.items()}
                changes.append(("worlds", step, sealed(step, key)))
                changes += [("worlds", old, None) for old in sorted(self.disk.table("worlds"))[:-1]]
        self.disk.transact(changes)

    def worlds(self) -> Sequence[int]:
        return sorted(self.disk.table("worlds"), reverse=True)

    def world(self, step: int) -> Arrays:
        row = self.disk.checked("worlds", step)
        if row is None:
            raise CorruptStateError(f"there is no world {step}")
        return self._arrays[row[0]]

    def note(self, name: str, value: Any) -> None:
        self.disk.transact([], {name: value})

    def sync(self) -> None:
        self.disk.sync()


class DiskAgentStore:
    """Satisfies ``node.rows.AgentJournal``."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._arrays: dict[bytes, tuple[Arrays, Mapping[str, Any]]] = getattr(disk, "arrays", {})
        disk.arrays = self._arrays  # type: ignore[attr-defined]

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.disk.facts

    @property
    def tip(self) -> int:
        return self.disk.tip

    def create(self, facts: Mapping[str, Any]) -> None:
        self.disk.transact([], facts)

    def row(self, step: int) -> AgentRow | None:
        record, private = self.disk.record(step), self.disk.checked("private", step)
        digests, update = self.disk.checked("steps", step), self.disk.checked("updates", step)
        if record is None or private is None or digests is None:
            return None
        found = None
        if update is not None:
            number, learner_digest, *tensors = update
            named = dict(zip(self.facts["tensors"], tensors, strict=True))
            found = UpdateRow(step, int.from_bytes(number, "big"), learner_digest, named)
        return AgentRow(record, private[0], private[1], StepDigests(*digests), found)

    def write(self, rows: Sequence[AgentRow]) -> None:
        changes: list[Change] = []
        facts: dict[str, Any] = {}
        for row in rows:
            step = row.step
            changes += [
                ("records", step, row.record[1:]),
                ("private", step, sealed(step, row.observation, row.actions)),
                ("steps", step, sealed(step, *row.digests)),
            ]
            if row.update is not None:
                facts["tensors"] = list(row.update.tensors)
                number = row.update.update.to_bytes(8, "big")
                changes.append(("updates", step, sealed(step, number, row.update.learner_digest, *row.update.tensors.values())))
        if changes:
            self.disk.transact(changes, facts)

    def note(self, name: str, value: Any) -> None:
        self.disk.transact([], {name: value})

    def sync(self) -> None:
        self.disk.sync()

    def checkpoints(self) -> Sequence[int]:
        return sorted(self.disk.table("checkpoints"), reverse=True)

    def load(self, step: int) -> tuple[Arrays, Mapping[str, Any]]:
        row = self.disk.checked("checkpoints", step)
        if row is None:
            raise CorruptStateError(f"there is no checkpoint {step}")
        return self._arrays[row[0]]

    def save(self, step: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Two transactions, as with files: write the new one and sync it, then delete the old."""
        key = self.disk.name()
        self._arrays[key] = {name: value.copy() for name, value in arrays.items()}, dict(meta)
        self.disk.transact([("checkpoints", step, sealed(step, key))])
        old = sorted(self.disk.table("checkpoints"))[:-2]
        if old:
            self.disk.transact([("checkpoints", step, None) for step in old])
