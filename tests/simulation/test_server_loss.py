"""A server that comes back with less than it had, or with another environment: it finds its history again, or it stops."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import CorruptStateError, MismatchError, TemporaryError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import EPOCH_MAX, Act, Fault, Join, Probe
from dadc_net.node.rows import ServerRow
from dadc_net.node.server.recovery import recover, take_up
from dadc_net.node.server.server_log import Answer, answers_of
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import ServerPhase
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem, make_terms
from dadc_net.wire.framing import decode, encode
from tests.simulation.chaos import Chaos
from tests.simulation.disk import Disk, DiskServerJournal
from tests.simulation.test_faults import make_config, undisturbed  # noqa: F401 - a fixture

STEP = 15


def _team_at(step: int = STEP) -> Chaos:
    chaos = Chaos(3, make_config(), ())
    chaos.run_until(step)
    return chaos


def _roll_back(disk: Disk, step: int) -> None:
    """As if an older copy had been restored: nothing after record ``step``."""
    for name, table in disk.tables.items():
        for key in [key for key in table if key > (step - 1 if name == "answers" else step)]:
            del table[key]


def _rot(disk: Disk, table: str, step: int) -> None:
    row = disk.tables[table][step]
    disk.tables[table][step] = (bytes([row[0][0] ^ 1]) + row[0][1:], *row[1:])


@pytest.mark.parametrize("step", [0, 1, 7, 14])
def test_an_older_journal_is_brought_forward_by_the_agents(step: int, undisturbed: set[str], recalled: None) -> None:  # noqa: F811
    chaos = _team_at()
    chaos.server.die(-9)
    _roll_back(chaos.server.disk, step)
    outcome = chaos.run()
    assert (outcome.code, outcome.digests) == (0, undisturbed), outcome.tell()


def test_an_older_journal_with_another_environment_stops(recalled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    chaos = _team_at()
    chaos.server.die(-9)
    _roll_back(chaos.server.disk, 0)
    other = World(make_problem(chaos.config), seed_bytes(99))
    first = World(make_problem(chaos.config), seed_bytes(1))
    monkeypatch.setattr(chaos.server, "make_world", lambda: _Turned(first, other))
    with pytest.raises(AssertionError, match="were sent with two contents") as stopped:  # the checks of every simulation
        chaos.run()
    assert "exit 13" in str(stopped.value)
    assert "the server sent another record" in str(stopped.value)


class _Turned:
    """Record 0 of one environment, and then another one's: as a changed installation might."""

    def __init__(self, first: World, other: World) -> None:
        self._first, self._other = first, other
        self.problem, self.copies, self.num_agents = first.problem, first.copies, first.num_agents
        self.actions = first.actions
        self.replayable = first.replayable
        other.first()

    def first(self) -> ServerRow:
        row = self._first.first()
        self._other.head = self._first.head
        return row

    def advance(self, joint_action: NDArray[np.int64]) -> ServerRow:
        return self._other.advance(joint_action)

    def state(self) -> dict[str, NDArray[np.int64]]:
        return {}


@pytest.mark.parametrize("table", ["records", "observations", "worlds"])
def test_a_rotten_record_is_made_again(table: str, undisturbed: set[str], recalled: None) -> None:  # noqa: F811
    chaos = _team_at()
    chaos.server.die(-9)
    disk = chaos.server.disk
    newest = max(disk.tables["worlds"])
    _rot(disk, table, newest if table == "worlds" else disk.tip)
    outcome = chaos.run()
    assert (outcome.code, outcome.digests) == (0, undisturbed), outcome.tell()
    assert disk.record(STEP) is not None


def test_rotten_answers_are_asked_of_the_agents_and_what_is_beyond_is_a_witness(recalled: None) -> None:
    chaos = _team_at()
    disk = chaos.server.disk
    kept = {step: row[0] for step, row in disk.tables["records"].items()}
    newest = max(disk.tables["worlds"])
    _roll_back_worlds(disk, newest)
    step = min(newest + 1, STEP - 1) if disk.tables["worlds"] else 4
    _rot(disk, "answers", step)
    world = World(make_problem(chaos.config), seed_bytes(1))
    recovery = recover(world, DiskServerJournal(disk, 2))
    assert recovery.log.step == step
    assert recovery.lost == disk.tip - step
    assert recovery.log.witnessed == {beyond: kept[beyond] for beyond in range(step + 1, disk.tip + 1)}
    assert recovery.log.contradicted(1, disk.tip, b"x" * 32) == "this server once had"
    assert recovery.log.contradicted(1, disk.tip, kept[disk.tip]) is None


def _roll_back_worlds(disk: Disk, newest: int) -> None:
    """Keep only states of the environment from before the rot."""
    for key in [key for key in disk.tables["worlds"] if key >= newest]:
        del disk.tables["worlds"][key]


def test_rotten_answers_to_the_last_record_are_asked_of_the_agents_too(recalled: None) -> None:
    chaos = _team_at()
    assert chaos.run().code == 0
    disk, terms = chaos.server.disk, make_terms(chaos.config)
    disk.facts = {**disk.facts, "state": "running"}  # Killed between the last answers and the end.
    sound, _ = take_up(World(make_problem(chaos.config), seed_bytes(1)), DiskServerJournal(disk, 2), terms)
    assert sound.phase is ServerPhase.FINISHED
    disk.facts = {**disk.facts, "state": "running"}
    disk.tables["answers"][terms.last_step] = (*disk.tables["answers"][terms.last_step][:-1], b"rotten")
    node, _ = take_up(World(make_problem(chaos.config), seed_bytes(1)), DiskServerJournal(disk, 2), terms)
    assert (node.phase, node.log.step) == (ServerPhase.JOINING, terms.last_step)


def test_an_environment_that_does_not_repeat_itself_stops_the_server(recalled: None) -> None:
    chaos = _team_at()
    disk = chaos.server.disk
    disk.tables["worlds"].clear()
    noise = random.Random(5)

    class Noisy(World):
        def advance(self, joint_action: NDArray[np.int64]) -> ServerRow:
            return super().advance(joint_action ^ (self._step == 9) * noise.choice((1,)))

    with pytest.raises(CorruptStateError, match="does not repeat itself") as error:
        recover(Noisy(make_problem(chaos.config), seed_bytes(1)), DiskServerJournal(disk, 2))
    assert error.value.exit_code == 15


def test_a_loss_of_power_takes_no_epoch_back(recalled: None) -> None:
    """Agents refuse an epoch below the one that they have met, so a server that fell behind them could not go on."""
    chaos = _team_at()
    chaos.server.die(-9)
    disk = chaos.server.disk
    for epoch in (2, 3):
        world = World(make_problem(chaos.config), seed_bytes(1))
        node, _ = take_up(world, DiskServerJournal(disk, 2), make_terms(chaos.config))
        assert node.epoch == epoch
    for seed in range(20):  # Each takes back what it can.
        disk.lose_power(random.Random(seed))
    assert DiskServerJournal(disk, 2).facts["epoch"] == 3


def test_a_stale_server_and_another_run_are_refused(recalled: None) -> None:
    chaos = _team_at()
    node = chaos.server.node
    assert node is not None
    own = chaos.agents[1].node
    assert own is not None
    join = own.join()
    later = _changed(join, epoch=node.epoch + 1)
    never = _changed(join, epoch=2**32 - 1)
    stranger = _changed(join, run_id=b"z" * 16)
    liar = _changed(join, head=b"h" * 32)
    before = remembered(node)
    for wrong, code, words in (
        (later, TemporaryError.exit_code, f"with --epoch {node.epoch + 2} besides"),
        (never, CorruptStateError.exit_code, "says that it has met epoch 4294967295"),
        (stranger, MismatchError.exit_code, "holds"),
        (liar, CorruptStateError.exit_code, "logs parted"),
    ):
        (refusal,) = node.receive(b"someone", 1, wrong, chaos.clock.now)
        assert isinstance(refusal.message, Fault)
        assert refusal.message.exit_code == code
        assert words in refusal.message.text
        assert remembered(node) == before


def remembered(node: EnvironmentServerNode) -> object:
    """All that a message could leave behind at a server: in its journal, at the end of its log, in the roster."""
    journal, tip, roster = node.log.journal, node.log, node.roster
    facts = dict(journal.facts)
    return facts, tip.step, dict(tip.witnessed), dict(tip._witnesses), dict(roster.members), roster.known, node.phase


def _changed(join: Join, **changes: object) -> Join:
    from dataclasses import replace

    return replace(join, **changes)  # type: ignore[arg-type]


def _join_of(chaos: Chaos, agent: int) -> Join:
    node = chaos.agents[agent].node
    assert node is not None
    return node.join()


def _again(chaos: Chaos, least_epoch: int = 0) -> EnvironmentServerNode:
    world = World(make_problem(chaos.config), seed_bytes(1))
    terms = make_terms(chaos.config)
    return take_up(world, DiskServerJournal(chaos.server.disk, 2), terms, least_epoch=least_epoch)[0]


LIES = {
    "an epoch that the wire cannot count beyond": {"epoch": 2**32 - 1},
    "the highest epoch that is counted": {"epoch": EPOCH_MAX},
    "an epoch ahead": {"epoch": 999},
    "a later record": {"next_step": STEP + 9, "head": b"h" * 32},
    "an endless log": {"next_step": 2**64 - 1, "head": b"h" * 32},
    "another head": {"head": b"h" * 32},
    "another run": {"run_id": b"z" * 16},
    "another seed": {"commitment": b"c" * 32},
    "other arithmetic": {"selftest": b"s" * 32},
    "other settings": {"settings_digest": b"d" * 32},
    "an id beyond the team": {"agent": 3},
    "another agent's id": {"agent": 2},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_refused_or_waits_for_a_place_leaves_nothing_behind(lie: str, alone: bool, recalled: None) -> None:
    """Where its place is free, a lie about a later record is a member's word: that is another test."""
    chaos = _team_at()
    node = chaos.server.node
    assert node is not None
    join = _join_of(chaos, 1)
    if alone:
        node.peer_gone(node.roster.members[1].peer, chaos.clock.now)
    before = remembered(node)
    answers = node.receive(b"rogue", 1, _changed(join, **LIES[lie]), chaos.clock.now)
    seated = alone and "next_step" in LIES[lie]
    assert all(isinstance(answer.message, Fault | Probe) for answer in answers) is not seated
    assert (remembered(node) == before) is not seated
    chaos.server.die(-9)
    assert _again(chaos).epoch == node.epoch + 1


def test_a_claim_that_is_never_seated_stops_no_run(undisturbed: set[str], recalled: None) -> None:  # noqa: F811
    chaos = _team_at()
    node = chaos.server.node
    assert node is not None
    lie = _changed(_join_of(chaos, 1), next_step=node.log.step + 2, head=b"x" * 32)
    questions = node.receive(b"rogue", 1, lie, chaos.clock.now)  # None where the holder was asked a moment ago.
    assert all(isinstance(question.message, Probe) for question in questions)
    assert 1 in node.roster.claims
    outcome = chaos.run()
    assert (outcome.code, outcome.digests) == (0, undisturbed), outcome.tell()


def test_a_member_that_says_what_a_later_record_was_is_named_when_it_was_not(recalled: None) -> None:
    chaos = _team_at()
    node = chaos.server.node
    assert node is not None
    honest, now = _join_of(chaos, 1), chaos.clock.now
    answers = {agent: chaos.agents[agent].node for agent in (1, 2)}
    node.peer_gone(node.roster.members[1].peer, now)
    step = node.log.step + 1
    node.receive(b"rogue", 1, _changed(honest, next_step=step + 1, head=b"x" * 32), now)
    for further in range(2, 50):  # One word of each agent is kept, however many it says.
        node.receive(b"rogue", 1, _changed(honest, next_step=step + further, head=b"x" * 32), now)
    assert len(node.log._witnesses) == 1
    # The honest one comes back: its word replaces the false one, and the run is not hurt.
    node.peer_gone(b"rogue", now)
    node.receive(b"honest", 1, honest, now)
    assert node.log._witnesses == {}
    node.receive(b"honest", 1, _changed(honest, next_step=step + 1, head=b"x" * 32), now)
    # Two members cannot witness different heads of one record: the second is told whose word is against it.
    other = _changed(_join_of(chaos, 2), next_step=step + 1, head=b"y" * 32)
    node.peer_gone(node.roster.members[2].peer, now)
    (refusal,) = node.receive(b"second", 2, other, now)
    assert isinstance(refusal.message, Fault)
    assert "than agent 1: its chain hash is 7979797979797979" in refusal.message.text
    acts = {agent: _act(chaos, agent, step - 1) for agent in answers}
    layouts = node.log.world.actions
    read = [layouts[agent - 1].read(act.actions, act.step, agent) for agent, act in sorted(acts.items())]
    acted = [act for _, act in sorted(acts.items())]
    given = answers_of(node.log.step, map(Answer, acted, read))
    with pytest.raises(CorruptStateError, match="agent 1 says that it was 7878787878787878") as error:
        node.log.advance(given, read)
    assert "start it on an empty folder" in str(error.value)


def _act(chaos: Chaos, agent: int, step: int) -> Act:
    node = chaos.server.node
    assert node is not None
    size = len(node.log.answers(step - 1).actions[agent - 1])
    return Act(
        run_id=node.run_id,
        epoch=node.epoch,
        agent=agent,
        step=step,
        actions=bytes(size),
        step_digest=b"d" * 32,
        learner_digest=b"",
    )


def test_an_older_copy_of_the_servers_folder_goes_on_above_what_the_agents_have_met(recalled: None) -> None:
    chaos = _team_at()
    chaos.server.die(-9)
    disk = chaos.server.disk
    join = _changed(_join_of(chaos, 1), epoch=40)
    (refusal,) = _again(chaos).receive(b"someone", 1, join, 0.0)
    assert isinstance(refusal.message, Fault)
    assert "with --epoch 41 besides" in refusal.message.text
    assert disk.facts["epoch"] == 2
    node = _again(chaos, least_epoch=41)
    assert (node.epoch, disk.facts["epoch"]) == (41, 41)
    assert not any(isinstance(answer.message, Fault) for answer in node.receive(b"someone", 1, join, 0.0))
    assert _again(chaos, least_epoch=41).epoch == 42  # A command that is given again counts on.


@pytest.mark.parametrize("damaged", [2**32 - 1, 2**32, 2**40, EPOCH_MAX, -1])
def test_a_journal_with_an_epoch_that_nobody_counted_has_a_way_out(
    damaged: int,
    undisturbed: set[str],  # noqa: F811
    recalled: None,
) -> None:
    chaos = _team_at()
    chaos.server.die(-9)
    disk = chaos.server.disk
    disk.transact([], {"epoch": damaged})
    with pytest.raises(CorruptStateError, match=f"its last start was epoch {damaged}.*--epoch N"):
        _again(chaos)
    assert disk.facts["epoch"] == damaged
    assert _again(chaos, least_epoch=2).epoch == 2
    outcome = chaos.run()
    assert (outcome.code, outcome.digests) == (0, undisturbed), outcome.tell()


def test_an_epoch_that_is_counted_goes_through_the_wire() -> None:
    join = Join(agent=1, commitment=bytes(32), selftest=bytes(32), settings_digest=b"", run_id=b"r" * 16, epoch=EPOCH_MAX)
    for message in (
        join,
        Act(run_id=b"r" * 16, epoch=EPOCH_MAX, agent=1, step=3, actions=b"", step_digest=bytes(32), learner_digest=b""),
    ):
        assert decode(encode(message)) == message
