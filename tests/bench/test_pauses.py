"""The benchmark of pauses measures every pause that it is given."""

from __future__ import annotations

import time

from tests.bench.pauses import seconds_after


def test_records_are_measured_after_every_pause() -> None:
    begun = time.perf_counter()
    found = seconds_after(2, [0.0, 0.0005], 40)
    assert time.perf_counter() - begun >= 20 * 0.0005
    assert list(found) == [0.0, 0.0005]
    assert all(0.0 < own < 1.0 for own in found.values())
