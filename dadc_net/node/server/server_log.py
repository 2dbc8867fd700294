"""The end of the log at the environment server: where records are made, written down and looked up again.

A record is written down before anybody is sent it, in one piece with the answers that led to it; so a server that is
killed at any instant comes back with every record that an agent can have seen. Should its disk have lost some of them all
the same, the agents remember: each says at joining how far it has come and what the chain head was there. The records
are then made again from the agents' own answers, and every head that somebody witnessed is compared.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dadc_net.errors import CorruptStateError
from dadc_net.node.messages import Act
from dadc_net.node.record import unpack_actions
from dadc_net.node.rows import Answers, CommonRow, ServerJournal, ServerRow
from dadc_net.node.server.world import LogEntry, World

WORLD_EVERY = 1000
"""Records between kept states of the environment: what a restarted server has to step through at most."""


class ServerLog:
    """The newest record and the journal behind it."""

    def __init__(
        self,
        world: World,
        journal: ServerJournal,
        entry: LogEntry | None = None,
        witnessed: Mapping[int, bytes] | None = None,
        world_every: int = WORLD_EVERY,
    ) -> None:
        """``entry``: the newest record, None before the first; ``world`` stands right after it."""
        self.world = world
        self.journal = journal
        self.entry = entry
        self.witnessed: dict[int, bytes] = dict(witnessed or {})
        """Record beyond the tip -> the chain head that it once had, according to an agent or to the journal itself."""
        self._world_every = world_every

    @property
    def step(self) -> int:
        """Number of the newest record, -1 before the first."""
        return -1 if self.entry is None else self.entry.step

    def begin(self) -> LogEntry:
        """Make and keep record 0. Raises like ``advance``."""
        return self._keep(None, self.world.first())

    def advance(self, answers: Mapping[int, Act]) -> LogEntry:
        """Make and keep the record after the newest, with the answers to the newest.

        Raises:
            ProtocolError: if an action does not fit the action space.
            CorruptStateError: if the record is not the one that was witnessed.
            TemporaryError: if it could not be written down; nobody may be sent it.
        """
        world, step = self.world, self.step
        space = world.problem.environment.spec.action_space
        columns = [
            unpack_actions(answers[agent].actions, step, world.copies, agent, space)
            for agent in range(1, world.num_agents + 1)
        ]
        return self._keep(answers_of(step, answers), world.advance(np.stack(columns, axis=1)))

    def close(self, answers: Mapping[int, Act]) -> None:
        """Keep answers that no record follows: the last ones of the run, or ones that differ."""
        self.journal.commit(answers_of(self.step, answers), None, None)

    def _keep(self, answers: Answers | None, entry: LogEntry) -> LogEntry:
        expected = self.witnessed.pop(entry.step, entry.head)
        if expected != entry.head:
            raise not_repeatable(entry.step, expected, entry.head)
        row = ServerRow(CommonRow(entry.step, entry.head, entry.common), tuple(entry.private))
        due = entry.step % self._world_every == 0
        self.journal.commit(answers, row, self.world.state() if due else None)
        self.entry = entry
        return entry

    def row(self, step: int) -> ServerRow:
        """A record up to the newest. Raises CorruptStateError if it is rotten or missing."""
        entry = self.entry
        if entry is not None and step == entry.step:
            return ServerRow(CommonRow(step, entry.head, entry.common), tuple(entry.private))
        row = self.journal.row(step)
        if row is None:
            raise CorruptStateError(
                f"record {step} is missing in the server's journal, which ends at record {self.step}. An agent needs it. "
                "Restore the server's folder from a copy."
            )
        return row

    def answers(self, step: int) -> Answers:
        """What was answered to a record before the newest. Raises CorruptStateError like ``row``."""
        answers = self.journal.answers(step)
        if answers is None:
            raise CorruptStateError(
                f"the answers to record {step} are missing in the server's journal, which ends at record {self.step}. They "
                "are needed to check an agent that comes back. Restore the server's folder from a copy."
            )
        return answers

    def witness(self, step: int, head: bytes) -> bool:
        """An agent says what the head was after record ``step``; False if ours is another.

        Beyond the newest record it is remembered and compared when the record is made again.
        """
        if step < 0:
            return True
        if step <= self.step:
            return self.row(step).common.head == head
        return self.witnessed.setdefault(step, head) == head


def answers_of(step: int, answers: Mapping[int, Act]) -> Answers:
    """The answers of all agents, sorted by agent."""
    acts = [act for _, act in sorted(answers.items())]
    return Answers(
        step,
        tuple(act.actions for act in acts),
        tuple(act.digest for act in acts),
        tuple(act.update_digest for act in acts),
    )


def not_repeatable(step: int, before: bytes, now: bytes) -> CorruptStateError:
    """The error of a record that came out otherwise than it did before: its chain hash, or else what is private in it."""
    hashes = f"its chain hash is now {now.hex()[:16]}, it was {before.hex()[:16]}"
    found = hashes if now != before else "a private observation in it is another than before"
    return CorruptStateError(
        f"record {step} was made again from the same joint actions, and {found}. Either the environment does not repeat "
        "itself, or its seed, version or state is another. Use only the random numbers that the environment is given, or "
        "restore what was changed; see conform in the README."
    )
