"""Bringing the environment server back: the last sound state of the environment, then the recorded joint actions.

Every record that is stepped through again must come out as it stands in the journal; that also finds an environment that
does not repeat itself. A rotten record is simply made again. Rotten answers end the recovery there: the agents, who keep
their own answers, are asked for them, and the heads of the records beyond are kept as witnesses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import CorruptStateError
from dadc_net.node.record import unpack_actions, unpack_rewards
from dadc_net.node.rows import Answers, CommonRow, ServerJournal, ServerRow
from dadc_net.node.server.roster import Credentials
from dadc_net.node.server.server_log import WORLD_EVERY, ServerLog, not_repeatable
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import RunTerms
from dadc_net.node.server.world import LogEntry, World


def take_up(
    world: World, journal: ServerJournal, terms: RunTerms, world_every: int = WORLD_EVERY
) -> tuple[EnvironmentServerNode, Recovery]:
    """The server of the run in ``journal``, under an epoch higher than any before; ``world`` is new.

    Raises:
        CorruptStateError: if a record comes out otherwise than it was.
    """
    facts = journal.facts
    epoch = int(facts["epoch"]) + 1
    journal.note("epoch", epoch)
    journal.sync()  # Agents refuse a server whose epoch is below the one that they have met.
    recovery = recover(world, journal, world_every)
    team = facts.get("team")
    known = None if team is None else Credentials.from_plain(team)
    node = EnvironmentServerNode(recovery.log, terms, bytes.fromhex(facts["run_id"]), epoch, known)
    node.resume()
    return node, recovery


class Recovery(NamedTuple):
    """How a server came back."""

    log: ServerLog
    restored: int
    """Record of the environment's state that it started from; -1: from the beginning."""
    mended: list[int]
    """Records that were rotten and were made again."""
    lost: int
    """Records that the journal once had beyond the tip; agents supply their answers."""


def recover(world: World, journal: ServerJournal, world_every: int = WORLD_EVERY) -> Recovery:
    """Bring ``world``, which is new, to the end of ``journal``.

    Raises:
        CorruptStateError: if a record comes out otherwise than it was.
    """
    end = journal.tip
    entry = _restore(world, journal)
    restored = -1 if entry is None else entry.step
    mended: list[int] = []
    while (step := -1 if entry is None else entry.step) < end:
        answers = _sound_answers(journal, step) if step >= 0 else None
        if step >= 0 and (answers is None or not all(answers.actions)):
            break
        entry = world.first() if answers is None else world.advance(_joint_action(world, answers))
        row = _sound_row(journal, entry.step)
        if row is None:
            mended.append(entry.step)
            fresh = ServerRow(CommonRow(entry.step, entry.head, entry.common), tuple(entry.private))
            journal.commit(None, fresh, None)
        elif row.common.head != entry.head or row.observations != tuple(entry.private):
            raise not_repeatable(entry.step, row.common.head, entry.head)
    reached = -1 if entry is None else entry.step
    witnessed = {}
    for step in range(reached + 1, end + 1):
        row = _sound_row(journal, step)
        if row is not None:
            witnessed[step] = row.common.head
    return Recovery(ServerLog(world, journal, entry, witnessed, world_every), restored, mended, end - reached)


def _restore(world: World, journal: ServerJournal) -> LogEntry | None:
    """Put ``world`` after the newest record whose state and row are both sound; None: leave it at the beginning."""
    for step in journal.worlds():
        row = _sound_row(journal, step)
        if row is None:
            continue
        try:
            state = journal.world(step)
        except CorruptStateError:
            continue
        world.restore(state)
        if world.head == row.common.head:
            return _entry(world, row)
        raise not_repeatable(step, row.common.head, world.head)
    return None


def _entry(world: World, row: ServerRow) -> LogEntry:
    common = row.common
    rewards, begin = unpack_rewards(common.record, world.copies)
    return LogEntry(common.step, common.head, common.record, row.observations, rewards, begin)


def _joint_action(world: World, answers: Answers) -> NDArray[np.int64]:
    space = world.problem.environment.spec.action_space
    columns = [
        unpack_actions(raw, answers.step, world.copies, agent, space)
        for agent, raw in enumerate(answers.actions, start=1)
    ]
    return np.stack(columns, axis=1)


def _sound_row(journal: ServerJournal, step: int) -> ServerRow | None:
    try:
        return journal.row(step)
    except CorruptStateError:
        return None


def _sound_answers(journal: ServerJournal, step: int) -> Answers | None:
    try:
        return journal.answers(step)
    except CorruptStateError:
        return None
