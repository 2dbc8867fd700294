"""A record that a kernel writes into its row and acts on, in one call: the same state as in single steps, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dadc_net.coordinator.coordinator import Coordinator
from dadc_net.coordinator.prescription import Box, Corners
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import InvariantError, NumericError
from dadc_net.exact import compiled, elementary
from dadc_net.exact.acting import PreparedLinear, PreparedTower, Reading
from dadc_net.exact.entering import CodeTable, Entered, EnteringStep, EntryStep, PointStep, Rows
from dadc_net.exact.streams import seed_bytes
from dadc_net.team.common_record import CommonRecord
from tests.coordinator.test_learner import records, settings

LEARNERS = [
    ("actor-critic", "menu"),
    ("ppo", "menu"),
    ("trpo", "menu"),
    ("q-actor-critic", "menu"),
    ("actor-critic", "box"),
    ("ppo", "box"),
    ("trpo", "box"),
]


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """NumPy, until a test loads the kernels."""
    compiled.unload()
    yield
    compiled.unload()


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a kernel did it, of each record that one was asked to enter."""
    found: list[bool] = []
    single = EnteringStep.enter

    def watched(*arguments: Any) -> Any:
        result = single(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setattr(EnteringStep, "enter", watched)
    return found


def states(chosen: CoordinatorSettings, told: list[CommonRecord]) -> list[dict[str, bytes]]:
    """The whole state after each record, and what was decided."""
    learner, found = Coordinator(chosen, seed_bytes(7)), []
    for record in told:
        decision = learner.receive(record)
        drawn = b"" if decision.prescriptions is None else decision.prescriptions.tobytes()
        state = {name: array.tobytes() for name, array in learner.snapshot().items()}
        found.append({**state, "decided": drawn, "x_t": decision.ais.tobytes()})
    return found


@pytest.mark.parametrize(("algorithm", "theta"), LEARNERS)
@pytest.mark.parametrize(("copies", "layers", "encoder"), [(1, 1, "gru"), (4, 2, "gru"), (4, 1, "none"), (1, 3, "none")])
def test_every_state_is_that_of_numpy(
    algorithm: str, theta: str, copies: int, layers: int, encoder: str, entered: list[bool]
) -> None:
    shape: dict[str, Any] = {"algorithm": algorithm, "theta": theta, "learner": {"hidden_layers": layers}}
    chosen = settings(copies=copies, steps=6, encoder=encoder, feature_scale=3.0, **shape)
    told = list(records(chosen, restart=4))
    plain = states(chosen, told)
    assert not any(entered)
    entered.clear()
    assert compiled.load()
    assert states(chosen, told) == plain
    assert sum(entered) > 10  # Of fifteen that are within a batch.


@pytest.mark.parametrize("theta", ["menu", "box"])
def test_a_changed_code_would_show(theta: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the kernel reads the code of another value of z."""
    chosen = settings(theta=theta)
    told = list(records(chosen))
    plain = states(chosen, told)
    assert compiled.load()
    single = EnteringStep.enter

    def wrong(step: EnteringStep, row: int, record: Any, table: Any, *rest: Any) -> Any:
        return single(step, row, record, table._replace(codes=table.codes[::-1].copy()), *rest)

    monkeypatch.setattr(EnteringStep, "enter", wrong)
    assert states(chosen, told)[1] != plain[1]


@pytest.mark.parametrize("theta", ["menu", "box"])
def test_what_the_kernel_doubts_is_done_in_single_steps(
    theta: str, entered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(steps=12, theta=theta)
    told = list(records(chosen))
    plain = states(chosen, told)
    entered.clear()
    assert compiled.load()
    monkeypatch.setattr(elementary, "TOLERANCE", 0.4 * 2.0**-30)
    assert states(chosen, told) == plain
    assert len(entered) > sum(entered)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_is_refused_and_changes_nothing(bad: float) -> None:
    chosen = settings()
    told = list(records(chosen))
    plain = states(chosen, told)
    assert compiled.load()
    learner = Coordinator(chosen, seed_bytes(7))
    for record in told[:3]:
        learner.receive(record)
    before = learner.snapshot()
    with pytest.raises(NumericError, match="rewards of record 3 hold NaN or infinity"):
        learner.receive(told[3]._replace(rewards=np.array([0.5, 0.5, 0.5, bad])))
    assert all(array.tobytes() == before[name].tobytes() for name, array in learner.snapshot().items())
    for record in told[3:]:
        learner.receive(record)
    assert {name: array.tobytes() for name, array in learner.snapshot().items()}.items() <= plain[-1].items()


@pytest.mark.parametrize("value", [-1, 3])
def test_a_value_outside_its_space_is_never_looked_up(value: int) -> None:
    """The kernel has no bounds but its own; NumPy raises where it would read elsewhere."""
    chosen = settings()
    told = list(records(chosen))
    assert compiled.load()
    learner = Coordinator(chosen, seed_bytes(7))
    for record in told[:3]:
        learner.receive(record)
    step = learner._act
    assert isinstance(step, EntryStep)
    outside = told[3]._replace(common=np.array([[1, 1, 2]] * 3 + [[4 * value, 0, 0]]))
    assert learner._enter(3, outside) is None


def test_a_point_that_is_not_finite_is_left_to_single_steps() -> None:
    """A deviation beyond all numbers: NumPy says what is played then."""
    chosen = settings(theta="box")
    told = list(records(chosen))
    assert compiled.load()
    learner = Coordinator(chosen, seed_bytes(7))
    for record in told[:2]:
        learner.receive(record)
    step, box = learner._act, learner.theta
    assert isinstance(step, PointStep)
    assert isinstance(box, Box)
    assert learner._enter(2, told[2]) is not None
    ends = box.low, box.high, box.centre, box.half_width
    learner._act = PointStep(step._encoder, step._tower, np.full(2, np.inf), ends)
    assert learner._enter(3, told[3]) is None


def test_corners_are_placed_in_single_steps() -> None:
    """What is drawn for a corner is not what the network said."""
    space = Corners(np.array([-1.0, 0.0]), np.array([1.0, 5.0]))
    learner = Coordinator(settings(theta="box"), seed_bytes(7))
    scores = learner.algorithm.behaviour(0)
    assert isinstance(learner._act, PointStep)
    assert not isinstance(space.act(learner._encode, scores, learner.algorithm.own(0)), PointStep)


@pytest.mark.parametrize(("size", "many"), [(8, 96), (40, 94), (200, 4)])
def test_many_rows_and_wide_networks_are_left_to_numpy(size: int, many: int) -> None:
    """Where its products take less time: 150,000 of a layer, or 96 rows; of a batch that is played four times as many."""
    layer = PreparedLinear.of(SimpleNamespace(arrays={"a.weight": np.zeros((size, size)), "a.bias": np.zeros(size)}), "a")
    step = EntryStep(Reading(size, 1.0), PreparedTower((layer,), layer))
    assert compiled.load()

    def entered(copies: int) -> bool:
        nothing = np.zeros(copies)
        z = Entered(np.zeros((copies, 1), dtype=np.int64), nothing, nothing > 0.0, nothing.astype(np.uint8))
        shape = 2, copies
        kept = np.zeros((*shape, 2 * size)), np.ones((*shape, 1)), np.zeros(shape, dtype=np.int64)
        rows = Rows(*kept, np.zeros(shape), np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64))
        table, state = CodeTable(np.array([1]), np.ones((1, size))), np.zeros((copies, size))
        return step.enter(1, z, table, rows, state, state, np.zeros((copies, 1), dtype=np.uint64)) is not None

    assert entered(many - 1)
    assert not entered(many)
    assert step.suits_playing(4 * many - 1)
    assert not step.suits_playing(4 * many)


def test_a_scale_that_would_be_taken_for_an_encoder_is_refused() -> None:
    layer = PreparedLinear.of(SimpleNamespace(arrays={"a.weight": np.zeros((2, 2)), "a.bias": np.zeros(2)}), "a")
    with pytest.raises(InvariantError, match=r"scale 0\.0"):
        EntryStep(Reading(2, 0.0), PreparedTower((layer,), layer))


def test_any_layout_of_memory_will_do() -> None:
    chosen = settings()
    told = list(records(chosen))
    plain = states(chosen, told)
    assert compiled.load()

    def laid_out(array: np.ndarray) -> np.ndarray:
        doubled = np.repeat(np.asfortranarray(array), 2, axis=0)[::2]
        doubled.flags.writeable = False
        return doubled

    other = [record._replace(common=laid_out(record.common), rewards=laid_out(record.rewards)) for record in told]
    assert states(chosen, other) == plain
