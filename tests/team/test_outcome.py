"""What environments return is taken into the types of their spaces where that is exact, and otherwise refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadc_net.errors import NumericError
from dadc_net.team.agent_spec import AgentSpec, equal_agents
from dadc_net.team.environment import EnvironmentSpec, Outcome
from dadc_net.team.lockstep import LockStep
from dadc_net.team.outcome import Gate, admitted, exactly
from dadc_net.team.spaces import BoxSpace, FiniteSpace
from tests.measuring_team import Parameters, Quantised, Room

BIT = FiniteSpace((2,))
SPEC = EnvironmentSpec(
    name="lab",
    agents=(AgentSpec(BoxSpace((0.0, 0.0), (1.0, 1.0)), BIT), AgentSpec(FiniteSpace((300, 2)), BIT)),
    public_space=FiniteSpace((3,)),
    draws_per_step=0,
)
COPIES = 2


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "observations": [np.full((COPIES, 2), 0.25), np.array([[299, 1], [0, 0]])],
        "public": np.array([[2], [0]]),
        "rewards": np.array([1.0, -1.0]),
        "ended": np.zeros(COPIES, dtype=np.uint8),
    }
    return Outcome(**{**fields, **changes})


@pytest.mark.parametrize("kind", ["f4", "f2", "f8"])
@pytest.mark.parametrize("whole", ["i1", "i4", "u8", "?", "f4"])
def test_other_types_are_taken_where_they_are_exact(kind: str, whole: str) -> None:
    seen = [np.full((COPIES, 2), 0.25).astype(kind), np.ones((COPIES, 2)).astype(whole)]
    given = outcome(observations=seen, public=np.ones((COPIES, 1)).astype(whole), rewards=np.ones(COPIES).astype(whole))
    found = admitted(given, SPEC, COPIES, 0)
    assert found.observations.tolist() == [[0.25, 0.25, 1.0, 1.0]] * 2
    assert (found.observations.dtype, found.public.dtype, found.rewards.dtype) == (np.float64, np.int64, np.float64)
    assert found.public.tolist() == [[1], [1]]


def test_equal_agents_may_give_one_array() -> None:
    spec = EnvironmentSpec(name="pair", agents=equal_agents(2, FiniteSpace((4, 4)), BIT), public_space=BIT, draws_per_step=0)
    seen = np.arange(8).reshape(2, 2, 2) % 4
    found = admitted(outcome(observations=seen, public=np.zeros((2, 1), dtype=bool)), spec, COPIES, 0)
    assert found.observations.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    split = admitted(outcome(observations=[seen[:, 0], seen[:, 1]], public=np.zeros((2, 1))), spec, COPIES, 0)
    assert np.array_equal(split.observations, found.observations)


def test_no_number_is_changed() -> None:
    whole, real = np.dtype(np.int64), np.dtype(np.float64)
    assert exactly(np.array([2**53 + 1]), real) is None
    assert exactly(np.array([2.0**60]), whole) is None
    assert exactly(np.array([0.5]), whole) is None
    assert exactly(np.array([np.nan]), whole) is None
    assert exactly(np.array([1j]), real) is None
    assert exactly(np.array(["1"]), real) is None
    assert exactly(np.array([2**64 - 1], dtype=np.uint64), whole) is not None  # and no space contains what it became
    assert not FiniteSpace((5,)).contains(np.array([[2**64 - 1]], dtype=np.uint64).astype(np.int64))
    kept = exactly(np.array([np.nan, 0.1], dtype=np.float32), real)
    assert kept is not None
    assert np.isnan(kept[0])


SECOND = np.array([[299, 1], [0, 0]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": [np.array([[0.0, 0.0], [np.nan, 0.0]]), SECOND]}, "agent 1 in copy 1 is something else"),
        ({"observations": [np.array([[0.0, np.inf], [0.0, 0.0]]), SECOND]}, "agent 1 in copy 0 is something else"),
        ({"observations": [np.full((2, 2), 1.5), SECOND]}, r"where finite numbers in the box \{'kind': 'box'"),
        ({"observations": [np.full((2, 2), 0.5), SECOND + 1]}, "agent 2 in copy 0 is something else"),
        ({"observations": [np.full((2, 2), 0.5), SECOND * 0.5]}, "agent 2 in copy 0"),
        ({"observations": [np.full((2, 2), 0.5)]}, r"observations of shape \[\(2, 2\)\]"),
        ({"observations": np.zeros((2, 2, 3))}, r"observations of shape \(2, 2, 3\)"),
        ({"public": np.array([[3], [0]])}, r"public is an array of shape \(2, 1\) \(int64\) that does not fit in copy 0"),
        ({"public": np.zeros((2, 2))}, r"public is an array of shape \(2, 2\) \(float64\), whose values may be private"),
        ({"rewards": np.array([0.0, np.nan])}, r"the reward is \[0\.0, nan\]"),
        ({"rewards": np.array([0.0, np.inf])}, r"the reward is \[0\.0, inf\]"),
        ({"rewards": np.zeros(3)}, r"the reward is \[0\.0, 0\.0, 0\.0\]"),
        ({"ended": np.array([0, 3])}, r"ended is \[0, 3\]"),
    ],
)
def test_what_does_not_belong_is_told_with_value_place_and_remedy(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NumericError, match=words) as raised:
        admitted(outcome(**changes), SPEC, COPIES, 17)
    text = str(raised.value)
    assert "lock-step 17" in text
    assert "the environment lab" in text
    assert text.count(". ") >= 2
    assert text.endswith(".")


def test_a_broken_sensor_stops_the_lock_step_that_it_breaks_at() -> None:
    lockstep = LockStep(Room(Parameters(nan_at=3), 2), Quantised())
    action, draws = np.zeros((2, 3), dtype=np.int64), np.full((2, 1), 0.5)
    for step in range(3):
        lockstep.advance(step, action, draws)
    with pytest.raises(NumericError, match=r"the observation of agent 1 in copy 0 is something else.*room at lock-step 3"):
        lockstep.advance(3, action, draws)


def test_narrow_types_change_nothing_that_is_exact() -> None:
    plain, narrow = (LockStep(Room(Parameters(narrow=narrow), 4), Quantised(), 3) for narrow in (False, True))
    rng = np.random.Generator(np.random.Philox(1))
    for step in range(12):
        action, draws = rng.integers(0, [2, 2, 3], (4, 3)), np.round(rng.random((4, 1)) * 64) / 128
        one, other = (each.advance(step, action, draws) for each in (plain, narrow))
        assert all(a.dtype == b.dtype for a, b in zip(one, other, strict=True))
        assert np.array_equal(one.common, other.common)
        assert np.array_equal(one.step_in_episode, other.step_in_episode)
        assert one.begin.tolist() == [step % 4 == 0] * 4


@pytest.mark.parametrize("copies", [1, 64])
def test_a_value_that_was_refused_is_refused_again_and_one_that_fits_fits(copies: int) -> None:
    gate = Gate(FiniteSpace((2, 3)), copies)
    good, bad, negative = (np.tile(np.array([pair]), (copies, 1)) for pair in ((1, 2), (1, 3), (-1, 0)))
    for _ in range(3):
        assert [gate(good), gate(bad), gate(negative), gate(good.astype(np.int32))] == [True, False, False, False]
