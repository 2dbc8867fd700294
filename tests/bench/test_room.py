"""The benchmark of a lock-step's room makes parties compute as long as it says."""

from __future__ import annotations

import time

import pytest

from tests.bench.room import Busy, compute, rate


def test_computing_uses_the_processor_time_that_it_says() -> None:
    begun = time.thread_time()
    compute(3000.0)
    assert time.thread_time() - begun >= 0.003


@pytest.mark.timeout(120)
@pytest.mark.parametrize("busy", [Busy(agent=4000.0, server=0.0), Busy(agent=0.0, server=4000.0)])
def test_a_party_that_computes_holds_every_lock_step_up(busy: Busy) -> None:
    """It cannot take less than the time that one of its parties computes, whatever the machine does."""
    assert 0.0 < rate(2, busy, 50) <= 260.0  # 250, but clocks of processors and of the wall may differ a little.
