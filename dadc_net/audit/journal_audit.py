"""Is one journal sound? Every row against its check, every record against the chain, no hole, nothing dropped in silence.

Parties check the rows that they use; the harness checks all of them. A journal that merely ends early is sound: its party
was killed, and the others' journals show how far the run had come. One that says it is finished must be whole.
"""

from __future__ import annotations

from pathlib import Path

from dadc_net.errors import CorruptStateError
from dadc_net.exact.digest import GENESIS
from dadc_net.node.rows import row_check
from dadc_net.storage.journal_file import continues, rotten
from dadc_net.storage.journal_reader import JournalReader, kind_of
from dadc_net.storage.server_journal import describe_damage
from dadc_net.storage.tail_entry import answers_of, observations_of
from dadc_net.storage.tail_file import tail_path
from dadc_net.storage.wal_file import find_damage

_AGENT_TABLES = ("private", "steps", "updates")
_DENSE = {"observations", "private", "steps"}
"""Tables with one row for every record, without an agent's number."""


def audit(reader: JournalReader) -> int:
    """Number of the journal's last record, -1 when it has none.

    Raises:
        CorruptStateError: naming the file, the table and the record of the first damage.
    """
    _refuse_rotten_wal(reader.path)
    if reader.tail.damage is not None:
        damage = describe_damage(tail_path(reader.path), reader.tail, reader.num_agents)
        raise CorruptStateError(
            f"{damage}. The journal cannot be used as it is. Restore the server's folder from a copy, or start the server: "
            "the agents have what is missing."
        )
    tip = _audit_chain(reader)
    for table in _AGENT_TABLES if reader.agent else _server_tables(reader.num_agents):
        _audit_table(reader, table, tip)
    last = int(reader.facts.get("last_step", tip))
    if reader.facts.get("state") == "finished" and tip != last:
        raise CorruptStateError(
            f"{reader.path} says that its run is finished, but its last record is {tip} and the run's is {last}. Rows were "
            "lost. Restore the party's folder from a copy."
        )
    return tip


def _server_tables(num_agents: int) -> list[str]:
    own = [table(agent) for agent in range(1, num_agents + 1) for table in (observations_of, answers_of)]
    return [*own, "worlds"]


def _refuse_rotten_wal(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    found = find_damage(log)
    if found is not None:
        raise CorruptStateError(
            f"{log} is damaged in frame {found.frame}, and {found.dropped} whole frames behind it can no longer be reached: "
            "SQLite would drop their records in silence. Restore the party's folder from a copy."
        )


def _audit_chain(reader: JournalReader) -> int:
    head, tip = GENESIS, -1
    for step, now, common in reader.records():
        if step != tip + 1:
            raise _hole(reader.path, "records", tip + 1)
        if not continues(head, common, now):
            raise rotten(reader.path, "records", step)
        head, tip = now, step
    return tip


def _audit_table(reader: JournalReader, table: str, tip: int) -> None:
    expected = 0
    for step, *columns, check in reader.checked_rows(table):
        if row_check(step, *columns) != check:
            raise rotten(reader.path, table, step)
        if kind_of(table) in _DENSE and step != expected:
            raise _hole(reader.path, table, expected)
        expected += 1
    if kind_of(table) in _DENSE and expected != tip + 1:
        raise _hole(reader.path, table, expected)


def _hole(path: Path, table: str, step: int) -> CorruptStateError:
    return CorruptStateError(
        f"{path} is damaged: table {table} has no row of record {step} where one belongs. The journal cannot be used. "
        "Restore the party's folder from a copy."
    )
