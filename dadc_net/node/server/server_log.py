"""The end of the log at the environment server: where records are made, written down and looked up again.

A record is written down before anybody is sent it, in one piece with the answers that led to it; so a server that is
killed at any instant comes back with every record that an agent can have seen. Should its disk have lost some of them all
the same, the agents remember: each says at joining how far it has come and what the chain head was there. The records
are then made again from the agents' own answers, and every head that somebody witnessed is compared. A witness is an agent
that takes part: what others say, who ask to take part or are refused, is compared and forgotten.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import CorruptStateError
from dadc_net.node.messages import Act
from dadc_net.node.rows import Answers, ServerJournal, ServerRow
from dadc_net.node.server.world import World

WORLD_EVERY = 1000
"""Records between kept states of the environment: what a restarted server has to step through at most."""


class Answer(NamedTuple):
    """One agent's answer to the newest record, unpacked once."""

    act: Act
    actions: NDArray[np.int64]
    """[E]; empty at the last record"""


NO_ACTIONS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
"""Of the last record."""


class ServerLog:
    """The newest record and the journal behind it."""

    def __init__(
        self,
        world: World,
        journal: ServerJournal,
        newest: ServerRow | None = None,
        witnessed: Mapping[int, bytes] | None = None,
        world_every: int = WORLD_EVERY,
    ) -> None:
        """``newest``: the newest record, None before the first; ``world`` stands right after it."""
        self.world = world
        self.journal = journal
        self.newest = newest
        self.witnessed: dict[int, bytes] = dict(witnessed or {})
        """Record beyond the tip -> the chain head that it once had, according to the journal itself."""
        self._witnesses: dict[int, tuple[int, bytes]] = {}
        """Agent -> the last record that it holds, which is beyond the tip, and its chain head: one of each agent."""
        self._world_every = world_every

    @property
    def step(self) -> int:
        """Number of the newest record, -1 before the first."""
        return -1 if self.newest is None else self.newest.step

    def begin(self) -> ServerRow:
        """Make and keep record 0. Raises like ``advance``."""
        return self._keep(None, self.world.first())

    def advance(self, answers: Answers, actions: Sequence[NDArray[np.int64]]) -> ServerRow:
        """Make and keep the record after the newest, with the answers to the newest; ``actions`` are in them, [K] x [E].

        Raises:
            CorruptStateError: if the record is not the one that was witnessed.
            TemporaryError: if it could not be written down; nobody may be sent it.
        """
        return self._keep(answers, self.world.advance(np.ascontiguousarray(np.array(actions).T)))

    def close(self, answers: Answers) -> None:
        """Keep answers that no record follows: the last ones of the run, or ones that differ."""
        self.journal.commit(answers, None, None)

    def _keep(self, answers: Answers | None, row: ServerRow) -> ServerRow:
        step, head, _ = row.record
        if self.witnessed or self._witnesses:
            self._compare_with_witnesses(step, head)
        due = self.world.replayable and step % self._world_every == 0
        self.journal.commit(answers, row, self.world.state() if due else None)
        self.newest = row
        return row

    def _compare_with_witnesses(self, step: int, head: bytes) -> None:
        """Refuse a record that others have seen otherwise. Raises CorruptStateError."""
        expected = self.witnessed.pop(step, head)
        if not self.world.replayable and any(seen >= step for seen, _ in self._witnesses.values()):
            raise lost_for_good(step)
        if expected != head:
            raise not_repeatable(step, expected, head)
        for agent, (seen, witnessed) in sorted(self._witnesses.items()):
            if seen == step and witnessed != head:
                raise not_repeatable(step, witnessed, head, agent)
        self._witnesses = {agent: seen for agent, seen in self._witnesses.items() if seen[0] > step}

    def row(self, step: int) -> ServerRow:
        """A record up to the newest. Raises CorruptStateError if it is rotten or missing."""
        newest = self.newest
        row = newest if newest is not None and step == newest.step else self.journal.row(step)
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

    def contradicted(self, agent: int, step: int, head: bytes) -> str | None:
        """An agent says what the head was after record ``step``: who says otherwise, or None. Nothing is remembered.

        Raises CorruptStateError like ``row``.
        """
        if step < 0:
            return None
        if step <= self.step:
            return "this server" if self.row(step).record.head != head else None
        if self.witnessed.get(step, head) != head:
            return "this server once had"
        others = [other for other, seen in sorted(self._witnesses.items()) if other != agent and seen[0] == step]
        return next((f"agent {other}" for other in others if self._witnesses[other][1] != head), None)

    def witness(self, agent: int, step: int, head: bytes) -> None:
        """Remember what an agent taking part says of the log beyond the newest record, and forget what it said before."""
        self._witnesses.pop(agent, None)
        if step > self.step:
            self._witnesses[agent] = step, head


_ACT, _KEPT = operator.attrgetter("act"), operator.attrgetter("actions", "step_digest", "learner_digest")


def answers_of(step: int, answers: Iterable[Answer]) -> Answers:
    """The answers of all agents to record ``step``, from agent 1 on."""
    return Answers(step, *zip(*map(_KEPT, map(_ACT, answers)), strict=True))


def lost_for_good(step: int) -> CorruptStateError:
    """The error of a record that an agent has, and the server of a world that cannot be wound back has not."""
    return CorruptStateError(
        f"an agent holds record {step}, which this server's journal has lost, and the environment cannot be wound back to "
        "make it again. The run cannot go on. Restore the server's folder from a copy, or start anew; runtime.journal=host "
        "keeps records also where the power fails."
    )


def not_repeatable(step: int, before: bytes, now: bytes, witness: int | None = None) -> CorruptStateError:
    """The error of a record that came out otherwise than it did before: its chain hash, or else what is private in it.

    ``witness``: the agent on whose word alone it did; None: the journal has it.
    """
    if witness is not None:
        return CorruptStateError(
            f"record {step} was made again from the same joint actions, and its chain hash is now {now.hex()[:16]}; agent "
            f"{witness} says that it was {before.hex()[:16]}, and no other evidence is left. Either agent {witness}'s word "
            "is false or its folder damaged: start it on an empty folder. Or the environment, its seed, version or state is "
            "another than before: restore what was changed; see dadc conform --help."
        )
    hashes = f"its chain hash is now {now.hex()[:16]}, it was {before.hex()[:16]}"
    found = hashes if now != before else "a private observation in it is another than before"
    return CorruptStateError(
        f"record {step} was made again from the same joint actions, and {found}. Either the environment does not repeat "
        "itself, or its seed, version or state is another. Use only the random numbers that the environment is given, or "
        "restore what was changed; see dadc conform --help."
    )
