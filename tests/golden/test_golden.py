"""Committed digests. A failure here means that teams which mix this version with an older one diverge."""

from __future__ import annotations

import pytest

from dadc_net.coordinator.settings import ALGORITHMS
from tests.golden.learners import LOAD_ALGORITHMS, LONG_MARKS, MARKS, committed, learner_digests, load_digests, long_digests
from tests.golden.trace import TRACE, make_trace


def test_trace() -> None:
    assert make_trace() == TRACE.read_text(encoding="utf-8")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("updates", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_learner_digests(algorithm: str, updates: int) -> None:
    expected = {mark: value for mark, value in committed()[algorithm].items() if int(mark) <= updates}
    assert len(expected) == sum(mark <= updates for mark in MARKS)
    assert learner_digests(algorithm, updates) == expected


@pytest.mark.parametrize("algorithm", LOAD_ALGORITHMS)
@pytest.mark.parametrize("updates", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_learner_digests_on_demand_response(algorithm: str, updates: int) -> None:
    stored = committed()[f"demand-response {algorithm}"]
    expected = {mark: value for mark, value in stored.items() if int(mark) <= updates}
    assert len(expected) == sum(mark <= updates for mark in MARKS)
    assert load_digests(algorithm, updates) == expected


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_updates() -> None:
    assert set(committed()["long"]) == {str(mark) for mark in LONG_MARKS}
    assert long_digests() == committed()["long"]


def test_algorithms_and_updates_give_different_digests() -> None:
    values = [value for digests in committed().values() for value in digests.values()]
    assert len(set(values)) == (len(ALGORITHMS) + len(LOAD_ALGORITHMS)) * len(MARKS) + len(LONG_MARKS)
