"""Reads a party's journal, as the checker and the replay do; the party may still be writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dadc_net.errors import CorruptStateError
from dadc_net.node.journal import CommonRow, UpdateRow
from dadc_net.runtime.agent_store import unpack_tensors
from dadc_net.runtime.journal_file import JOURNAL_NAME, read_facts, refuse_without_wal
from dadc_net.runtime.server_journal import split

CHECKED_COLUMNS = {
    "observations": "parts",
    "answers": "actions, sent, learner",
    "worlds": "state",
    "private": "observation, actions",
    "steps": "parameters, ais, prescription, sent",
    "updates": "learner, tensors",
}
"""Table -> the columns that its check covers."""


class JournalReader:
    """One journal, read only. Rows come as they are: whoever reads compares their checks."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in ``folder``.

        Raises:
            CorruptStateError: if there is none, it is not a readable journal, or its -wal file is missing.
        """
        self.path = folder / JOURNAL_NAME
        if not self.path.is_file():
            raise CorruptStateError(
                f"{folder} holds no {JOURNAL_NAME}. A party's folder has one from its first step on. "
                "Give the folder of a run, or the folders of its parties."
            )
        if self.path.stat().st_size == 0:
            raise CorruptStateError(f"{self.path} is empty. It was cut or copied while open. Copy the folder whole.")
        refuse_without_wal(self.path)
        self._database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            self.facts: dict[str, Any] = read_facts(self._database)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise CorruptStateError(
                f"{self.path} cannot be read: {error}. The file is damaged, or its -wal file was not copied with it. "
                "Copy the party's folder whole."
            ) from error

    @property
    def agent(self) -> int:
        """Whose it is; 0: the server's."""
        return int(self.facts.get("agent", 0))

    def common(self, first: int = 0) -> Iterator[CommonRow]:
        """The common log from record ``first`` on, in order."""
        for row in self._query("SELECT step, head, record FROM common WHERE step >= ? ORDER BY step", first):
            yield CommonRow(*row)

    def steps(self) -> Iterator[tuple[Any, ...]]:
        """(step, chain head, digests of parameters, AIS and prescription, digest sent) in order; server: the first two."""
        if self.agent == 0:
            query = "SELECT step, head, NULL, NULL, NULL, NULL FROM common ORDER BY step"
        else:
            query = (
                "SELECT step, head, parameters, ais, prescription, sent FROM common JOIN steps USING (step) ORDER BY step"
            )
        yield from self._query(query)

    def checked_rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """(step, columns that the check covers ..., check) of ``table``, in order."""
        yield from self._query(f"SELECT step, {CHECKED_COLUMNS[table]}, checked FROM {table} ORDER BY step")

    def private(self) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """(step, own observation, own actions, check) in an agent's journal, in order."""
        yield from self._query("SELECT step, observation, actions, checked FROM private ORDER BY step")

    def observations(self, agent: int) -> Iterator[tuple[int, bytes]]:
        """(step, observation) of one agent in the server's journal, in order."""
        for step, parts in self._query("SELECT step, parts FROM observations ORDER BY step"):
            yield step, split(parts, int(self.facts["num_agents"]))[agent - 1]

    def answers(self, agent: int) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """(step, actions, sent digest, learner digest) of one agent in the server's journal, in order."""
        agents = int(self.facts["num_agents"])
        for step, *columns in self._query("SELECT step, actions, sent, learner FROM answers ORDER BY step"):
            actions, sent, learner = (split(column, agents)[agent - 1] for column in columns)
            yield step, actions, sent, learner

    def updates(self) -> Iterator[UpdateRow]:
        """An agent's updates in order."""
        for step, number, learner, packed in self._query(
            "SELECT step, number, learner, tensors FROM updates ORDER BY step"
        ):
            yield UpdateRow(number, step, learner, unpack_tensors(self.facts, packed))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _query(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            # No "yield from": that would close the cursor of a reader who stopped early, after the file was closed.
            for row in self._database.execute(statement, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise CorruptStateError(
                f"{self.path} is damaged: {error}. What was read before it is sound. Restore the party's folder from a copy."
            ) from error
