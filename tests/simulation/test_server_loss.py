"""A server that comes back with less than it had, or with another environment: it finds its history again, or it stops."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.errors import CorruptStateError, MismatchError, TemporaryError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.messages import Fault, Join
from dadc_net.node.server.recovery import recover, take_up
from dadc_net.node.server.terms import ServerPhase
from dadc_net.node.rows import ServerRow
from dadc_net.node.server.world import LogEntry, World
from dadc_net.runtime.problem import make_problem, make_terms
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
        other.first()

    def first(self) -> LogEntry:
        row = self._first.first()
        self._other.head = self._first.head
        return row

    def advance(self, joint_action: NDArray[np.int64]) -> LogEntry:
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
    assert not recovery.log.witness(disk.tip, b"x" * 32)
    assert recovery.log.witness(disk.tip, kept[disk.tip])


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
        def advance(self, joint_action: NDArray[np.int64]) -> LogEntry:
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
    stranger = _changed(join, run_id=b"z" * 16)
    liar = _changed(join, head=b"h" * 32)
    for wrong, code, words in (
        (later, TemporaryError.exit_code, "another server has taken over"),
        (stranger, MismatchError.exit_code, "holds"),
        (liar, CorruptStateError.exit_code, "logs parted"),
    ):
        (refusal,) = node.receive(b"someone", 1, wrong, chaos.clock.now)
        assert isinstance(refusal.message, Fault)
        assert refusal.message.exit_code == code
        assert words in refusal.message.text
    assert node.log.journal.facts["epoch"] == node.epoch + 1
    assert chaos.server.disk.facts["epoch"] == node.epoch + 1  # So the next start is above what the agent has met.


def _changed(join: Join, **changes: object) -> Join:
    from dataclasses import replace

    return replace(join, **changes)  # type: ignore[arg-type]
