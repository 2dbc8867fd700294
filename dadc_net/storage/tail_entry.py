"""One lock-step of the server's journal: an entry of its tail, and the rows that it becomes in the database.

    body     two step numbers (8 bytes each, -1: not there), seven lengths (4 bytes each), seven byte strings
    first    record t: actions, step digests, learner digests of all K agents, each joined (``parts``)
    second   record t + 1: chain head, common bytes, observations of all K agents, joined;
             state of the environment after it, empty where it was not kept

Checks of rows are not in the entry, which has its own; they are made when the rows are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from dadc_net.errors import CorruptStateError
from dadc_net.node.record import Record
from dadc_net.node.rows import Answers, ServerRow, row_check
from dadc_net.storage.parts import join, split

_HEADER = struct.Struct(">qq7I")
_NO_RECORD = Record(-1, b"", b"")


class TailEntry(NamedTuple):
    """What one ``commit`` writes down."""

    answers: Answers | None
    row: ServerRow | None
    """The record that was made; None: none."""
    world: bytes
    """State of the environment after it; empty where it is not kept."""

    @property
    def number(self) -> int:
        """The record that it is about: the one that was made, or the one after the last answers."""
        if self.row is not None:
            return self.row.step
        return 0 if self.answers is None else self.answers.step + 1

    def pack(self) -> bytes:
        """The body of the entry."""
        answers = self.answers
        answered, columns = -1, [b"", b"", b""]
        if answers is not None:
            answered, columns = answers.step, [join(column) for column in answers[1:]]
        (step, head, common), observations = self.row or (_NO_RECORD, ())
        parts: list[bytes] = [*columns, head, common, join(observations), self.world]
        return b"".join((_HEADER.pack(answered, step, *map(len, parts)), *parts))

    @staticmethod
    def unpack(body: bytes, num_agents: int) -> TailEntry:
        """The inverse of ``pack``.

        Raises:
            CorruptStateError: if the lengths do not add up, or what is concatenated is not ``num_agents`` parts.
        """
        if len(body) < _HEADER.size:
            raise _misshapen(len(body))
        answered, step, *lengths = _HEADER.unpack_from(body)
        if _HEADER.size + sum(lengths) != len(body):
            raise _misshapen(len(body))
        columns, at = [], _HEADER.size
        for length in lengths:
            columns.append(body[at : at + length])
            at += length
        *given, head, common, observations, world = columns
        answers = None if answered < 0 else Answers(answered, *(split(column, num_agents) for column in given))
        row = None if step < 0 else ServerRow(Record(step, head, common), split(observations, num_agents))
        return TailEntry(answers, row, world)

    def rows(self) -> Iterator[tuple[str, tuple[int | bytes, ...]]]:
        """Table, and the row that it becomes there, check included."""
        answers, row, world = self
        if answers is not None:
            step = answers.step
            for agent, answer in enumerate(zip(*answers[1:], strict=True), start=1):
                yield answers_of(agent), (step, *answer, row_check(step, *answer))
        if row is not None:
            record, observations = row
            step = record.step
            yield "records", record
            for agent, observation in enumerate(observations, start=1):
                yield observations_of(agent), (step, observation, row_check(step, observation))
            if world:
                yield "worlds", (step, world, row_check(step, world))


def observations_of(agent: int) -> str:
    """The table of what ``agent`` alone was told: apart, so that no question about one agent reaches another."""
    return f"observations_{agent}"


def answers_of(agent: int) -> str:
    """The table of what ``agent`` answered."""
    return f"answers_{agent}"


def _misshapen(size: int) -> CorruptStateError:
    return CorruptStateError(
        f"an entry of {size} bytes in the tail of the server's journal is not what this version writes. It was not used. "
        "Restore the party's folder from a copy."
    )
