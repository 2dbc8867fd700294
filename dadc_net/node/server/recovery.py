"""Bringing the environment server back: the last sound state of the environment, then the recorded joint actions.

Every record that is stepped through again must come out as it stands in the journal; that also finds an environment that
does not repeat itself. A rotten record is simply made again. Rotten answers end the recovery there: the agents, who keep
their own answers, are asked for them, and the heads of the records beyond are kept as witnesses.

A world that cannot be wound back is not stepped again. Whatever it brought was written down before anybody was sent it, so
the log stands as it is; at the record after it every copy begins a new episode. That record says of each copy whether its
episode was cut, and all learners take such an episode for truncated at the record before, and leave the step between out.
"""

from __future__ import annotations

from typing import NamedTuple

from dadc_net.errors import CorruptStateError
from dadc_net.node.rows import Answers, ServerJournal, ServerRow
from dadc_net.node.server.admission import next_epoch
from dadc_net.node.server.roster import Credentials
from dadc_net.node.server.server_log import WORLD_EVERY, ServerLog, not_repeatable
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import RunTerms
from dadc_net.node.server.world import World


def take_up(
    world: World, journal: ServerJournal, terms: RunTerms, world_every: int = WORLD_EVERY, least_epoch: int = 0
) -> tuple[EnvironmentServerNode, Recovery]:
    """The server of the run in ``journal``, under an epoch higher than any before; ``world`` is new.

    Args:
        least_epoch: what its epoch is at least, where the journal is an older copy or its epoch damaged; 0: nothing asked.

    Raises:
        CorruptStateError: if a record comes out otherwise than it was, or the journal's epoch is implausible.
    """
    facts = journal.facts
    epoch = next_epoch(int(facts["epoch"]), least_epoch)
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
    anew: bool = False
    """Whether every copy begins a new episode at the next record: the world cannot be wound back."""


def recover(world: World, journal: ServerJournal, world_every: int = WORLD_EVERY) -> Recovery:
    """Bring ``world``, which is new, to the end of ``journal``.

    Raises:
        CorruptStateError: if a record comes out otherwise than it was, or is damaged where none can be made again.
    """
    end = journal.tip
    if not world.replayable:
        return _begin_anew(world, journal, world_every)
    newest = _restore(world, journal)
    restored = -1 if newest is None else newest.step
    mended: list[int] = []
    while (step := -1 if newest is None else newest.step) < end:
        answers = _sound_answers(journal, step) if step >= 0 else None
        if step >= 0 and (answers is None or not all(answers.actions)):
            break
        newest = world.first() if answers is None else world.advance(world.joint_action(answers.step, answers.actions))
        row = _sound_row(journal, newest.step)
        if row is None:
            mended.append(newest.step)
            journal.commit(None, newest, None)
        elif row.record.head != newest.record.head or row.observations != newest.observations:
            raise not_repeatable(newest.step, row.record.head, newest.record.head)
    reached = -1 if newest is None else newest.step
    witnessed = {}
    for step in range(reached + 1, end + 1):
        row = _sound_row(journal, step)
        if row is not None:
            witnessed[step] = row.record.head
    return Recovery(ServerLog(world, journal, newest, witnessed, world_every), restored, mended, end - reached)


def _begin_anew(world: World, journal: ServerJournal, world_every: int) -> Recovery:
    tip = journal.tip
    newest = journal.row(tip) if tip >= 0 else None
    if newest is not None:
        world.begin_anew(newest.record)
    goes_on = newest is not None and tip != journal.facts.get("last_step")
    return Recovery(ServerLog(world, journal, newest, world_every=world_every), tip, [], 0, anew=goes_on)


def _restore(world: World, journal: ServerJournal) -> ServerRow | None:
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
        if world.head == row.record.head:
            return row
        raise not_repeatable(step, row.record.head, world.head)
    return None


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
