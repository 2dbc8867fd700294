"""Records as bytes: every kind of space there and back, and what does not belong is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.errors import ProtocolError
from dadc_net.node.record import ActionLayout, CommonLayout, ObservationLayout, Record, ValueLayout
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import BoxSpace, FiniteSpace, Space, product
from tests.team.test_spaces import MIXED, SPACES, samples

WIDE = product(
    FiniteSpace((256, 257, 65536)), BoxSpace((0.0,), (1.0,)), FiniteSpace((70000, 2)), FiniteSpace((3,), ordered=True)
)


@pytest.mark.parametrize("space", [*SPACES, WIDE], ids=str)
def test_values_come_back_bit_by_bit(space: Space) -> None:
    layout, values = ValueLayout(space, 7), samples(space, 7)
    raw = layout.pack(values)
    assert len(raw) == layout.size == 7 * sum(np.dtype(kind).itemsize for kind in space.column_types)
    back = layout.find(raw)
    assert back is not None
    assert back.dtype == space.dtype
    assert back.tobytes() == values.tobytes()


def test_the_layout_is_what_the_protocol_says() -> None:
    layout = ValueLayout(product(FiniteSpace((2, 300)), BoxSpace((0.0,), (8.0,))), 2)
    raw = layout.pack(np.array([[1.0, 258.0, 0.5], [0.0, 1.0, 8.0]]))
    assert raw == b"\x01\x00" + b"\x02\x01\x01\x00" + np.array([0.5, 8.0], dtype="<f8").tobytes()
    assert layout.only_type is None
    assert ValueLayout(FiniteSpace((2, 3)), 2).pack(np.array([[1, 2], [0, 1]])) == b"\x01\x02\x00\x01"


def common_record(space: Space, copies: int) -> CommonRecord:
    begin = np.arange(copies) % 2 == 0
    ended = (np.arange(copies) % 3).astype(np.uint8)
    return CommonRecord(5, samples(space, copies), np.linspace(-1.0, 1.0, copies), begin, ended)


@pytest.mark.parametrize("space", [*SPACES, WIDE], ids=str)
def test_a_common_record_comes_back(space: Space) -> None:
    layout, told = CommonLayout(space, 6), common_record(space, 6)
    raw = layout.pack(told)
    assert len(raw) == layout.size
    back = layout.unpack(Record(5, bytes(32), raw))
    assert all(np.array_equal(a, b) for a, b in zip(told, back, strict=True))
    reward = BatchReward(6)
    reward.add(raw)
    assert reward.close() == pytest.approx(told.rewards.sum() / 3)
    assert reward.close() == 0.0


@pytest.mark.parametrize("copies", [1, 3, 64, 300])
def test_rewards_are_summed_record_by_record_to_the_last_bit(copies: int) -> None:
    layout, reward, total = CommonLayout(FiniteSpace((3,)), copies), BatchReward(copies), 0.0
    draw = np.random.Generator(np.random.PCG64(copies))
    for step in range(300):
        rewards = draw.normal(size=copies) * 10.0 ** draw.integers(-9, 9)
        begins, nobody = np.zeros(copies, dtype=bool), np.zeros(copies, dtype=np.uint8)
        reward.add(layout.pack(CommonRecord(step, np.zeros((copies, 1), dtype=np.int64), rewards, begins, nobody)))
        total += float(rewards.sum())
    assert reward.close() == total / (300 * copies)


def test_values_that_are_remembered_are_nobody_elses() -> None:
    layout = ValueLayout(FiniteSpace((2, 3)), 2)
    for _ in range(3):
        found = layout.find(b"?\1\2\0\1", 1)
        assert found is not None
        assert found.tolist() == [[1, 2], [0, 1]]
        found[:] = 7
        assert layout.find(b"\1\3\0\1") is None, "it is refused each time"


def test_what_no_server_says_is_refused() -> None:
    layout, told = CommonLayout(MIXED, 2), common_record(MIXED, 2)
    raw = layout.pack(told)
    nan, inf = (np.array([value]).tobytes() for value in (np.nan, np.inf))
    box = len(raw) - 2 - 2 * 16
    for wrong, words in {
        raw[:-1]: f"has {len(raw) - 1} bytes where {len(raw)} belong",
        raw + b"x": "bytes where",
        nan + raw[8:]: "rewards",
        inf + raw[8:]: "rewards",
        raw[:16] + b"\3" + raw[17:]: "begin 3",
        raw[:18] + b"\3" + raw[19:]: "ended 3",
        raw[:20] + b"\7" + raw[21:]: "outside its space",
        raw[:box] + nan + raw[box + 8 :]: "outside its space",
        raw[:-1] + b"\5": "outside its space",
    }.items():
        with pytest.raises(ProtocolError, match=f"record 5.*{words}") as raised:
            layout.unpack(Record(5, bytes(32), wrong))
        assert str(raised.value).count(". ") == 2


def test_an_observation_and_an_action_out_of_place_are_refused_without_saying_them() -> None:
    layout = ObservationLayout(BoxSpace((0.0,), (1.0,)), 1)
    assert layout.read(np.array([0.25]).tobytes(), 3).tolist() == [[0.25]]
    with pytest.raises(ProtocolError, match="observation of record 3"):
        layout.read(np.array([0.123456789 + 1.0]).tobytes(), 3)
    actions = ActionLayout(FiniteSpace((3,)), 2)
    assert actions.read(b"\2\0", 4, 1).tolist() == [2, 0]
    with pytest.raises(ProtocolError, match="agent 2's answer to record 4 holds a value outside its space") as raised:
        actions.read(b"\2\3", 4, 2)
    assert "[2, 3]" not in str(raised.value)
