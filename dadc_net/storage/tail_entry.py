"""One lock-step of the server's journal: an entry of its tail, and the rows that it becomes in the database.

    body     two step numbers (8 bytes each, -1: not there), seven lengths (4 bytes each), seven byte strings
    first    record t: actions, digests sent, learner digests of all K agents, each concatenated
    second   record t + 1: chain head, common record, private parts of all K agents, concatenated;
             state of the environment after it, empty where it was not kept

Checks of rows are not in the entry, which has its own; they are made when the rows are.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dadc_net.errors import CorruptStateError
from dadc_net.node.rows import Answers, ServerRow, row_check

_HEADER = struct.Struct(">qq7I")


class TailEntry(NamedTuple):
    """What one ``commit`` wrote down, read again."""

    answered: int
    """The record that was answered, -1: none."""
    actions: bytes
    sent: bytes
    learner: bytes
    step: int
    """The record that was made, -1: none."""
    head: bytes
    record: bytes
    parts: bytes
    world: bytes

    @property
    def number(self) -> int:
        """The record that it is about: the one that was made, or the one after the last answers."""
        return self.step if self.step >= 0 else self.answered + 1

    @staticmethod
    def unpack(body: bytes) -> TailEntry:
        """The inverse of ``pack_entry``.

        Raises:
            CorruptStateError: if the lengths do not add up.
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
        actions, sent, learner, head, record, parts, world = columns
        return TailEntry(answered, actions, sent, learner, step, head, record, parts, world)

    def rows(self) -> dict[str, tuple[int | bytes, ...]]:
        """Table -> the row that it becomes there, check included."""
        found: dict[str, tuple[int | bytes, ...]] = {}
        if self.answered >= 0:
            columns = (self.actions, self.sent, self.learner)
            found["answers"] = (self.answered, *columns, row_check(self.answered, *columns))
        if self.step >= 0:
            found["common"] = (self.step, self.head, self.record)
            found["observations"] = (self.step, self.parts, row_check(self.step, self.parts))
            if self.world:
                found["worlds"] = (self.step, self.world, row_check(self.step, self.world))
        return found


def pack_entry(answers: Answers | None, row: ServerRow | None, world: bytes) -> bytes:
    """The body of the entry of a ``commit``; ``world`` is empty where the state is not kept."""
    answered, actions, sent, learner = -1, b"", b"", b""
    if answers is not None:
        answered = answers.step
        actions, sent, learner = map(b"".join, answers[1:])
    step, head, record, parts = -1, b"", b"", b""
    if row is not None:
        (step, head, record), observations = row
        parts = b"".join(observations)
    lengths = (len(actions), len(sent), len(learner), len(head), len(record), len(parts), len(world))
    header = _HEADER.pack(answered, step, *lengths)
    return b"".join((header, actions, sent, learner, head, record, parts, world))


def _misshapen(size: int) -> CorruptStateError:
    return CorruptStateError(
        f"an entry of {size} bytes in the tail of the server's journal is not what this version writes. It was not used. "
        "Restore the party's folder from a copy."
    )
