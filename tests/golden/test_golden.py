"""Committed digests. A failure here means that teams which mix this version with an older one diverge."""

from __future__ import annotations

import pytest

from tests.golden.learners import LONG_MARKS, MARKS, RUNS, committed, learner_digests, long_digests
from tests.golden.trace import TRACE, make_trace


def test_trace() -> None:
    assert make_trace() == TRACE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("updates", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_learner_digests(name: str, updates: int) -> None:
    expected = {mark: value for mark, value in committed()[name].items() if int(mark) <= updates}
    assert len(expected) == sum(mark <= updates for mark in MARKS)
    assert learner_digests(name, updates) == expected


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_updates() -> None:
    assert set(committed()["long"]) == {str(mark) for mark in LONG_MARKS}
    assert long_digests() == committed()["long"]


def test_algorithms_and_updates_give_different_digests() -> None:
    values = [value for digests in committed().values() for value in digests.values()]
    assert len(set(values)) == len(RUNS) * len(MARKS) + len(LONG_MARKS)
