"""The benchmark of simulations moves the two teams that it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dadc_net.exact import compiled
from dadc_net.experiment.simulated_team import ValueTeam
from dadc_net.experiment.table_team import TableTeam
from tests.bench.simulations import rate, team


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    """As it was found."""
    yield
    compiled.unload()


def test_both_teams_go_on_from_where_they_are() -> None:
    pytest.importorskip("numba")
    assert compiled.load()
    by_tables, by_records = team(2, True), team(2, False)
    assert isinstance(by_tables, TableTeam)
    assert isinstance(by_records, ValueTeam)
    for moved in (by_tables, by_records):
        found, reached = rate(moved, moved.first().step, 2, 3)
        assert found > 0.0
        assert reached >= 3
        assert rate(moved, reached, 2, 5)[1] >= reached + 5
