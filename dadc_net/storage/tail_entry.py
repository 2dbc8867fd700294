"""One lock-step of the server's journal: an entry of its tail, and the rows that it becomes in the database.

    body     two step numbers (8 bytes each, -1: not there), seven lengths (4 bytes each), seven byte strings
    first    record t: actions, step digests, learner digests of all K agents, each joined (``parts``)
    second   record t + 1: chain head, common bytes, observations of all K agents, joined;
             state of the environment after it, empty where it was not kept

Checks of rows are not in the entry, which has its own; they are made when the rows are.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dadc_net.errors import CorruptStateError
from dadc_net.node.record import Record
from dadc_net.node.rows import Answers, ServerRow, row_check
from dadc_net.storage.parts import join, split

_HEADER = struct.Struct(">qq7I")
_NO_RECORD = Record(-1, b"", b"")


class TailEntry(NamedTuple):
    """What one ``commit`` wrote down, read again."""

    answered: int
    """The record that was answered, -1: none."""
    answers: tuple[bytes, bytes, bytes]
    """Actions, step digests and learner digests, each of all agents, concatenated."""
    record: Record
    """The record that was made; step -1: none."""
    observations: bytes
    world: bytes

    @property
    def number(self) -> int:
        """The record that it is about: the one that was made, or the one after the last answers."""
        return self.record.step if self.record.step >= 0 else self.answered + 1

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
        actions, step_digests, learner_digests, head, common, observations, world = columns
        answers = (actions, step_digests, learner_digests)
        return TailEntry(answered, answers, Record(step, head, common), observations, world)

    def rows(self, num_agents: int) -> dict[str, tuple[int | bytes, ...]]:
        """Table -> the row that it becomes there, check included.

        Raises:
            CorruptStateError: if what is concatenated here is not ``num_agents`` equal parts.
        """
        found: dict[str, tuple[int | bytes, ...]] = {}
        if self.answered >= 0:
            columns = [split(column, num_agents) for column in self.answers]
            for agent, answer in enumerate(zip(*columns, strict=True), start=1):
                found[answers_of(agent)] = (self.answered, *answer, row_check(self.answered, *answer))
        step = self.record.step
        if step >= 0:
            found["records"] = self.record
            for agent, observation in enumerate(split(self.observations, num_agents), start=1):
                found[observations_of(agent)] = (step, observation, row_check(step, observation))
            if self.world:
                found["worlds"] = (step, self.world, row_check(step, self.world))
        return found


def observations_of(agent: int) -> str:
    """The table of what ``agent`` alone was told: apart, so that no question about one agent reaches another."""
    return f"observations_{agent}"


def answers_of(agent: int) -> str:
    """The table of what ``agent`` answered."""
    return f"answers_{agent}"


def pack_entry(answers: Answers | None, row: ServerRow | None, world: bytes) -> bytes:
    """The body of the entry of a ``commit``; ``world`` is empty where the state is not kept."""
    answered, columns = -1, [b"", b"", b""]
    if answers is not None:
        answered, columns = answers.step, [join(column) for column in answers[1:]]
    (step, head, common), observations = (_NO_RECORD, ()) if row is None else row
    parts: list[bytes] = [*columns, head, common, join(observations), world]
    return b"".join((_HEADER.pack(answered, step, *map(len, parts)), *parts))


def _misshapen(size: int) -> CorruptStateError:
    return CorruptStateError(
        f"an entry of {size} bytes in the tail of the server's journal is not what this version writes. It was not used. "
        "Restore the party's folder from a copy."
    )
