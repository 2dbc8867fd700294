"""The benchmark of pauses measures every pause that it is given."""

from __future__ import annotations

from tests.bench.pauses import seconds_after


def test_records_are_measured_after_every_pause() -> None:
    found = seconds_after(2, [0.0, 0.0005], 40)
    assert list(found) == [0.0, 0.0005]
    assert all(0.0 < own < 1.0 for own in found.values())
