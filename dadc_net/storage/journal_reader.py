"""Reads a party's journal, as the checker and the replay do; the party may still be writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError
from dadc_net.node.record import Record
from dadc_net.node.rows import StepDigests, UpdateRow
from dadc_net.storage.agent_journal import unpack_tensors
from dadc_net.storage.journal_file import (
    JOURNAL_NAME,
    WAL_SUFFIX,
    Translated,
    read_facts,
    refuse_format,
    refuse_without,
    typed_rows,
)
from dadc_net.storage.run_folder import PRUNED_FILE
from dadc_net.storage.server_journal import tail_key
from dadc_net.storage.tail_entry import TailEntry, answers_of, observations_of
from dadc_net.storage.tail_file import TAIL_SUFFIX, Tail, read_tail, tail_path

CHECKED_COLUMNS = {
    "observations": "observation",
    "answers": "actions, step_digest, learner_digest",
    "worlds": "state",
    "private": "observation, actions",
    "steps": "parameters, ais, prescription, step_digest",
    "updates": "learner_digest, tensors",
}
"""Table, without the agent's number at its end -> the columns that its check covers."""
_LOOKS = 3
"""A server that cuts its tail while it is read looks like damage for a moment."""
Row = tuple[Any, ...]


class JournalReader:
    """One journal, read only, as it stood when it was opened. Rows come as they are: whoever reads compares their checks.

    A server puts rows into its database before it cuts them off the tail. The tail is therefore read first: what is no more
    in it then is in the database that is opened after it. A row that is in both is taken from the tail, the newer one.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal in ``folder``.

        Raises:
            CorruptStateError: if there is none, it is not a readable journal, or its -wal file or tail is missing.
        """
        self.path = folder / JOURNAL_NAME
        if (folder / PRUNED_FILE).is_file() and not self.path.is_file():
            raise CorruptStateError(
                f"{folder} holds a finished run that dadc prune has cut: its journal is gone. What the journals said was "
                f"compared before, and {PRUNED_FILE} says with what result. It can be evaluated, plotted and reported."
            )
        if not self.path.is_file():
            raise CorruptStateError(
                f"{folder} holds no {JOURNAL_NAME}. A party's folder has one from its first step on. "
                "Give the folder of a run, or the folders of its parties."
            )
        if self.path.stat().st_size == 0:
            raise CorruptStateError(f"{self.path} is empty. It was cut or copied while open. Copy the folder whole.")
        refuse_without(self.path, WAL_SUFFIX)
        self._database = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            self.facts: dict[str, Any] = self._read_facts()
            self.tail = self._read_tail()
            """The tail of a server's journal."""
            self._newer = _rows_by_table(self.tail, self.num_agents)
            self._database.execute("BEGIN")  # All that follows sees one state.
            self.facts = self._read_facts()
        except CorruptStateError:
            self._database.close()
            raise

    @property
    def agent(self) -> int:
        """Whose it is; 0: the server's."""
        return int(self.facts.get("agent", 0))

    @property
    def num_agents(self) -> int:
        """K, of a server's journal; 0 of an agent's, which has nothing of the others."""
        return 0 if self.agent else int(self.facts["num_agents"])

    def records(self, first: int = 0) -> Iterator[Record]:
        """The common log from record ``first`` on, in order."""
        rows = self._query("SELECT step, head, common FROM records WHERE step >= ? ORDER BY step", first)
        for row in self._with_newer("records", rows):
            if row[0] >= first:
                yield Record(*row)

    def steps(self) -> Iterator[Row]:
        """(step, chain head, columns of ``StepDigests``) in order; of the server's journal the first two."""
        if self.agent == 0:
            for step, head, _ in self.records():
                yield step, head, None, None, None, None
            return
        digests = ", ".join(StepDigests._fields)
        yield from self._query(f"SELECT step, head, {digests} FROM records JOIN steps USING (step) ORDER BY step")

    def checked_rows(self, table: str) -> Iterator[Row]:
        """(step, columns that the check covers ..., check) of ``table``, in order."""
        columns = CHECKED_COLUMNS[kind_of(table)]
        rows = self._query(f"SELECT step, {columns}, checked FROM {table} ORDER BY step")
        yield from self._with_newer(table, rows)

    def private(self) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """(step, own observation, own actions, check) in an agent's journal, in order."""
        yield from self._query("SELECT step, observation, actions, checked FROM private ORDER BY step")

    def observations(self, agent: int) -> Iterator[tuple[int, bytes]]:
        """(step, observation) of one agent in the server's journal, in order."""
        for step, observation, _ in self.checked_rows(observations_of(agent)):
            yield step, observation

    def answers(self, agent: int) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """(step, actions, step digest, learner digest) of one agent in the server's journal, in order."""
        for step, actions, step_digest, learner_digest, _ in self.checked_rows(answers_of(agent)):
            yield step, actions, step_digest, learner_digest

    def updates(self) -> Iterator[UpdateRow]:
        """An agent's updates in order."""
        for step, number, learner_digest, packed in self._query(
            "SELECT step, number, learner_digest, tensors FROM updates ORDER BY step"
        ):
            yield UpdateRow(step, number, learner_digest, unpack_tensors(self.facts, packed))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _read_facts(self) -> dict[str, Any]:
        try:
            facts = read_facts(self._database)
        except sqlite3.DatabaseError as error:
            raise CorruptStateError(
                f"{self.path} cannot be read: {error}. The file is damaged, or its -wal file was not copied with it. "
                "Copy the party's folder whole."
            ) from error
        refuse_format(self.path, facts)
        return facts

    def _read_tail(self) -> Tail:
        if self.agent:
            return Tail([], None)
        refuse_without(self.path, TAIL_SUFFIX)
        path = tail_path(self.path)
        with Translated(path):
            for _ in range(_LOOKS):
                found = read_tail(path, tail_key(self.facts))
                if found.damage is None:
                    break
        return found

    def _with_newer(self, table: str, rows: Iterator[Row]) -> Iterator[Row]:
        """``rows`` of the database, in order, with those of the tail in their places."""
        newer = iter(self._newer.get(table, ()))
        next_one = next(newer, None)
        for row in rows:
            while next_one is not None and next_one[0] < row[0]:
                yield next_one
                next_one = next(newer, None)
            if next_one is None or next_one[0] != row[0]:
                yield row
        if next_one is not None:
            yield next_one
        yield from newer

    def _query(self, statement: str, *values: Any) -> Iterator[Row]:
        try:
            # No "yield from": that would close the cursor of a reader who stopped early, after the file was closed.
            for row in typed_rows(self._database, statement, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise CorruptStateError(
                f"{self.path} is damaged: {error}. What was read before it is sound. Restore the party's folder "
                "from a copy."
            ) from error


def kind_of(table: str) -> str:
    """The name of ``table`` without the number of the agent that it belongs to."""
    return table.partition("_")[0]


def _rows_by_table(tail: Tail, num_agents: int) -> dict[str, list[Row]]:
    """Table -> the rows of the tail, in order, the last one written for each record."""
    found: dict[str, dict[int, Row]] = {}
    for body in tail.bodies:
        for table, row in TailEntry.unpack(body, num_agents).rows():
            found.setdefault(table, {})[int(row[0])] = row
    return {table: [rows[step] for step in sorted(rows)] for table, rows in found.items()}
