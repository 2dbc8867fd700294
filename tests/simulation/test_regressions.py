"""Every bug that a simulation found, with the seed that found it and a test of its rule; nothing leaves the table.

A seed means the same faults only as long as the simulation draws its random numbers in the same order. What holds the
rule is therefore the test that each line names, and which needs no luck.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dadc_net.node.agent.agent_node import AgentNode
from dadc_net.node.messages import Bye, End
from dadc_net.node.server.server_node import EnvironmentServerNode
from tests.simulation.chaos import KINDS
from tests.simulation.disk import Disk, DiskAgentStore, DiskServerJournal
from tests.simulation.test_faults import _expect, undisturbed  # noqa: F401 - a fixture
from tests.team_in_memory import MakeConfig, Team

FOUND = (
    # seed, kinds, share, what was wrong, the module and the test that hold the rule
    (
        *(12992, KINDS, 0.35),
        "a server lost power after its agents had kept the result and left; its last records were gone and nobody was there "
        "to supply them: both sides sync before End and before Bye",
        "tests.simulation.test_regressions:test_both_sides_sync_before_anybody_may_leave",
    ),
    (
        *(21475, KINDS, 0.35),
        "an agent was stopped and started again within a tenth of a second; its first process's last Alive arrived after "
        "the second one's Join, passed for the answer to the Probe, and the second was refused with exit 14: Probes that "
        "decide are numbered",
        "tests.node.test_team:test_a_duplicate_is_refused_while_the_first_answers",
    ),
    (
        *(12515, KINDS, 0.35),
        "the simulated disk, not the product: a checkpoint's content followed its name, so a kill left a name without one",
        "tests.simulation.test_regressions:test_a_simulated_checkpoint_is_whole_or_absent",
    ),
)


@pytest.mark.parametrize(("seed", "kinds", "share", "story", "rule"), FOUND, ids=[str(line[0]) for line in FOUND])
def test_found_before(
    seed: int,
    kinds: tuple[str, ...],
    share: float,
    story: str,
    rule: str,
    undisturbed: set[str],  # noqa: F811
    recalled: None,
) -> None:
    module, _, name = rule.partition(":")
    assert callable(getattr(importlib.import_module(module), name, None)), f"nothing tests any more that {story}"
    _expect(undisturbed, seed, kinds, share)


def _noted(
    patch: pytest.MonkeyPatch, owner: type, name: str, log: list[str], note: Callable[[Any, Any], str | None]
) -> None:
    """After each call of the method, add what ``note(self, result)`` says of it to ``log``."""
    original = getattr(owner, name)

    def noted(self: Any, *arguments: Any, **named: Any) -> Any:
        result = original(self, *arguments, **named)
        text = note(self, result)
        if text is not None:
            log.append(text)
        return result

    patch.setattr(owner, name, noted)


def test_both_sides_sync_before_anybody_may_leave(small: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    def end(_: Any, deliveries: list[Any]) -> str | None:
        return "End" if any(isinstance(delivery.message, End) for delivery in deliveries) else None

    def bye(agent: Any, reaction: Any) -> str | None:
        return "Bye" if any(isinstance(message, Bye) for message in reaction.messages) else None

    _noted(monkeypatch, DiskServerJournal, "commit", log, lambda *_: "server writes")
    _noted(monkeypatch, DiskServerJournal, "note", log, lambda *_: "server writes")
    _noted(monkeypatch, DiskServerJournal, "sync", log, lambda *_: "server syncs")
    _noted(monkeypatch, DiskAgentStore, "write", log, lambda *_: "agent writes")
    _noted(monkeypatch, DiskAgentStore, "sync", log, lambda *_: "agent syncs")
    _noted(monkeypatch, EnvironmentServerNode, "receive", log, end)
    _noted(monkeypatch, AgentNode, "receive", log, bye)
    Team(small()).run()
    assert (log.count("End"), log.count("Bye")) == (1, 2)
    server = [entry for entry in log[: log.index("End")] if entry.startswith("server")]
    assert server[-1] == "server syncs"
    for index in (index for index, entry in enumerate(log) if entry == "Bye"):
        agent = [entry for entry in log[:index] if entry.startswith("agent")]
        assert agent[-1] == "agent syncs"


def test_a_simulated_checkpoint_is_whole_or_absent() -> None:
    """Whatever is taken back of what was not synced, newest first, a name never outlives its content."""
    for lost in range(4):
        store = DiskAgentStore(Disk())
        store.save(3, {"x": np.ones(2)}, {"step": 3})
        store.save(7, {"x": np.zeros(2)}, {"step": 7})
        store.disk.lose_power(_Loses(lost))
        for step in store.checkpoints():
            arrays, meta = store.load(step)
            assert (meta["step"], arrays["x"].shape) == (step, (2,))


class _Loses(random.Random):
    """Takes back as many transactions as it is told to, or all that there are."""

    def __init__(self, count: int) -> None:
        super().__init__(0)
        self._count = count

    def randint(self, a: int, b: int) -> int:
        return min(max(a, self._count), b)
