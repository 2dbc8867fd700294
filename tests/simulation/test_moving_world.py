"""A world that cannot be wound back: whatever is killed, agents stay equal and the log can be computed again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from dadc_net.audit.fresh_learner import FreshLearner
from dadc_net.config import RunConfig, resolve
from dadc_net.coordinator.algorithms.registry import ALGORITHMS
from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import CorruptStateError, ProtocolError, UserCodeError
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.node.record import CommonLayout, Record
from dadc_net.node.server.recovery import recover
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.conformance import check_task
from dadc_net.team.conformance.trial import try_out
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcast
from dadc_net.team.spaces import space_from_plain
from dadc_net.team.tasks import TASKS
from tests.moving_world import make_task
from tests.simulation.chaos import SHARED_SEED, Chaos
from tests.simulation.disk import Disk, DiskServerJournal
from tests.simulation.test_faults import OVERRIDES

PLANT = "tests.moving_world:make_task"
KINDS = ("kill", "pause", "cut", "partition", "one-way", "swizzle", "loss", "twice", "wipe", "terminate")


def plant(*overrides: str) -> RunConfig:
    return resolve(PLANT, (*OVERRIDES, *overrides), {"updates": 7})


def cuts_in(config: RunConfig, log: list[Record]) -> list[int]:
    """Records that mark copies as cut; such a copy begins, and was not ended."""
    layout = CommonLayout(space_from_plain(config.settings.common_space), config.settings.learner.num_envs)
    told = [layout.unpack(record) for record in log]
    for one, following in itertools.pairwise(told):
        unsaid = following.begin & (one.ended == 0)
        assert (np.zeros_like(unsaid) if following.cut is None else following.cut).tolist() == unsaid.tolist()
    return [one.step for one in told if one.cut is not None]


@pytest.mark.parametrize("kinds", [("kill",), KINDS], ids=["killed", "everything"])
def test_agents_stay_equal_and_the_log_gives_their_digest_again(kinds: tuple[str, ...]) -> None:
    config, cut = plant(), 0
    for seed in range(6 if len(kinds) == 1 else 3):
        chaos = Chaos(seed, config, kinds, 1.0)
        outcome = chaos.run()
        assert (outcome.code, len(outcome.digests)) == (0, 1), outcome.tell()
        log = _log_of(chaos)
        learner = FreshLearner(config.settings, seed_bytes(SHARED_SEED))
        *_, last = learner.follow(log)
        assert last.report is not None
        assert {last.report.learner_digest.hex()} == outcome.digests
        cut += len(cuts_in(config, log))
    assert cut > 0, "no episode was cut: nothing was tested"


def _log_of(chaos: Chaos) -> list[Record]:
    journal = DiskServerJournal(chaos.server.disk, 2)
    rows = [journal.row(step) for step in range(journal.tip + 1)]
    return [row.record for row in rows if row is not None]


def records(cut_after: int, said: str) -> Iterator[CommonRecord]:
    """Two copies; copy 1 begins anew after ``cut_after``: ``said`` is ``truncated`` there, or ``cut`` afterwards."""
    stream = Stream("test", seed_bytes(3))
    settings = plant().settings
    space = space_from_plain(settings.common_space)
    for step in range(settings.updates * settings.learner.batch_lock_steps + 1):
        draws = stream.uniforms(step, 2, 4)
        ended = np.array([0, said == "truncated" and step == cut_after], dtype=np.uint8)
        begin = np.array([step == 0, step in (0, cut_after + 1)])
        rewards = np.where(begin, 0.0, draws[:, 3])
        cut = np.array([False, True]) if said == "cut" and step == cut_after + 1 else None
        common = (draws[:, :3] * np.array(space.sizes)).astype(np.int64)  # type: ignore[attr-defined]
        yield CommonRecord(step, common, rewards, begin, ended, cut)


def digest_after(settings: CoordinatorSettings, log: Iterator[CommonRecord]) -> bytes:
    coordinator = Coordinator(settings, seed_bytes(7))
    for record in log:
        coordinator.receive(record)
    return coordinator.digest()


OF_ITS_OWN = {"naf-dqn": ("naf.first_steps=0", "naf.windows=2", "naf.window=4", "naf.warm_up=0")}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_copy_that_was_cut_is_learned_from_as_one_that_was_truncated_at_the_record_before(algorithm: str) -> None:
    settings = replace(plant(f"algorithm={algorithm}", *OF_ITS_OWN.get(algorithm, ())).settings, updates=3)
    for cut_after in (4, 7):  # Of batches of four: at the record that closes one, and right before such a one.
        cut, truncated, unsaid = (digest_after(settings, records(cut_after, said)) for said in ("cut", "truncated", ""))
        assert cut == truncated, cut_after
        assert cut != unsaid, cut_after


def test_a_record_carries_the_mark() -> None:
    config = plant()
    copies = config.settings.learner.num_envs
    layout = CommonLayout(space_from_plain(config.settings.common_space), copies)
    begin = np.arange(copies) < 2
    common = np.zeros((copies, 3), dtype=np.int64)
    plain = CommonRecord(3, common, np.zeros(copies), begin, np.zeros(copies, dtype=np.uint8))
    for cut in (None, np.arange(copies) == 1):
        raw = layout.pack(plain._replace(cut=cut))
        found = layout.unpack(Record(3, bytes(32), raw))
        assert found.begin.tolist() == begin.tolist()
        assert (found.cut is None) == (cut is None)
        assert cut is None or (found.cut is not None and found.cut.tolist() == cut.tolist())
        assert raw[8 * copies : 9 * copies] == bytes([1, 1 if cut is None else 2] + [0] * (copies - 2))
    wrong = raw[: 8 * copies] + b"\3" + raw[8 * copies + 1 :]
    with pytest.raises(ProtocolError, match="begin 3"):
        layout.unpack(Record(3, bytes(32), wrong))


def test_what_has_no_state_must_say_that_it_cannot_be_wound_back() -> None:
    class Stateless:
        def __init__(self, parameters: Any, num_envs: int) -> None:
            self._inner = MultiAccessBroadcast(parameters, num_envs)
            self.spec, self.num_envs, self.advance = self._inner.spec, num_envs, self._inner.advance

    class Plant(Stateless):
        def __init__(self, parameters: Any, num_envs: int) -> None:
            super().__init__(parameters, num_envs)
            self.spec = replace(self.spec, replayable=False)

    task = TASKS["mabc"]
    said, unsaid = (replace(task, make=make) for make in (Plant, Stateless))  # type: ignore[arg-type]
    assert check_task(said, copies=2, steps=8) == []
    (finding,) = check_task(unsaid, copies=2, steps=8)
    assert finding.rule == "state"
    assert "no state and no restore" in finding.message
    parameters = task.parameters_type()
    try_out(partial(said.make, parameters), task.structure, 2)
    with pytest.raises(UserCodeError, match="replayable=False"):
        try_out(partial(unsaid.make, parameters), task.structure, 2)


def test_nothing_moves_it_before_its_run() -> None:
    def never(*_: Any) -> None:
        raise AssertionError("moved")

    plant_task = make_task()
    made = plant_task.make(plant_task.parameters_type(), 2)
    made.advance = never  # type: ignore[method-assign,assignment]
    try_out(lambda _: made, plant_task.structure, 2)


def test_what_cannot_be_wound_back_is_not_asked_for_its_state_nor_checked_for_it() -> None:
    assert check_task(make_task(), copies=2, steps=8) == []
    assert plant().evaluation.trajectories == plant().evaluation.monte_carlo_trajectories == 0
    assert plant("evaluation.monte_carlo_trajectories=3").evaluation.monte_carlo_trajectories == 3


def test_a_record_that_an_agent_has_and_the_server_has_lost_ends_the_run() -> None:
    config = plant()
    journal = DiskServerJournal(Disk(), 2)
    first = ServerLog(World(make_problem(config), seed_bytes(1)), journal)
    first.begin()
    recovery = recover(World(make_problem(config), seed_bytes(1)), journal)
    assert recovery.anew
    recovery.log.witness(1, 1, bytes(32))
    with pytest.raises(CorruptStateError, match="cannot be wound back to make it again"):
        recovery.log._keep(None, recovery.log.world.first())
