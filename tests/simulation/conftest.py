"""Small groups and frequent checkpoints: a run of twenty records then meets every kind of boundary."""

from __future__ import annotations

import pytest

from dadc_net.node.agent import agent_log, independent_replica
from tests.simulation.recalled import RecalledReplica


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_log, "GROUP_ROWS", 3)
    monkeypatch.setattr(agent_log, "CHECKPOINT_SECONDS", 0.2)


@pytest.fixture
def recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas that look their arithmetic up."""
    monkeypatch.setattr(independent_replica, "Replica", RecalledReplica)
