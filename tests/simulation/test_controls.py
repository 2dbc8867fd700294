"""Negative controls: each rule of the protocol is broken on purpose, and some seed must notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dadc_net.errors import DadcError, InvariantError
from dadc_net.node.agent import silence
from dadc_net.node.agent.agent_log import AgentLog
from dadc_net.node.agent.agent_node import AgentNode
from dadc_net.node.messages import Act, Step, Who
from dadc_net.node.server import recovery
from dadc_net.node.server.resending import Outstanding
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.world import World
from tests.simulation.chaos import Chaos
from tests.simulation.test_faults import make_config

Break = Callable[[pytest.MonkeyPatch], None]


def _no_resend(patch: pytest.MonkeyPatch) -> None:
    """A record that got lost is not sent again, and nobody joins again out of doubt."""
    patch.setattr(Outstanding, "due", lambda self, now: [])
    patch.setattr(silence, "DOUBT_SECONDS", 1e9)


def _publish_first(patch: pytest.MonkeyPatch) -> None:
    """The record is sent before it is written down."""
    keep = ServerLog._keep

    def lazily(self: ServerLog, answers: object, entry: object) -> object:
        journal, self.journal = self.journal, _Nowhere(self.journal)  # type: ignore[assignment]
        try:
            return keep(self, answers, entry)  # type: ignore[arg-type]
        finally:
            self.journal = journal

    patch.setattr(ServerLog, "_keep", lazily)


class _Nowhere:
    def __init__(self, journal: object) -> None:
        self._journal = journal

    def commit(self, *_: object) -> None:
        pass


def _no_who(patch: pytest.MonkeyPatch) -> None:
    """A connection that the transport made anew is not asked who it is, and silence raises no doubt."""
    react = EnvironmentServerNode._react

    def mute(self: EnvironmentServerNode, *arguments: object) -> object:
        found = react(self, *arguments)  # type: ignore[arg-type]
        return [delivery for delivery in found if not isinstance(delivery.message, Who)]

    patch.setattr(EnvironmentServerNode, "_react", mute)
    patch.setattr(silence, "DOUBT_SECONDS", 1e9)


def _apply_twice(patch: pytest.MonkeyPatch) -> None:
    """A repeated record is computed again instead of being answered from the log."""

    def again(self: AgentNode, message: Step) -> Act:
        self._taking_part().replica.receive(message.record)
        raise InvariantError("a record was computed twice, and nothing was wrong with it")

    patch.setattr(AgentNode, "_answer_again", again)


def _forget_the_past(patch: pytest.MonkeyPatch) -> None:
    """An agent comes back with the state of its checkpoint and does not replay what came after it."""
    patch.setattr(AgentLog, "tail", lambda self, first: iter(()))
    patch.setattr(AgentNode, "join", _joins_at_its_tip(AgentNode.join))


def _joins_at_its_tip(join: Callable[[AgentNode], object]) -> Callable[[AgentNode], object]:
    def wrong(self: AgentNode) -> object:
        self.next_step = max(self.next_step, self.log.store.tip + 1)
        return join(self)

    return wrong


def _stay_behind(patch: pytest.MonkeyPatch) -> None:
    """A server that comes back steps its environment one action too few, and does not compare."""
    patch.setattr(recovery, "not_repeatable", lambda *_: DadcError("ignored"))
    patch.setattr(World, "joint_action", lambda *asked: 1 - _REAL_ACTION(*asked))


_REAL_ACTION = World.joint_action


@pytest.mark.parametrize(
    ("broken", "kinds", "noticed"),
    [
        (_no_resend, ("loss",), "it does not end"),
        (_publish_first, ("kill",), "were sent before they were kept"),
        (_no_who, ("cut",), "it does not end"),
        (_apply_twice, ("twice",), "a stop that no fault explains; .*does not continue the common log"),
        (_forget_the_past, ("kill",), "a stop that no fault explains; .*holds another record"),
        (_stay_behind, ("kill",), "a stop that no fault explains; .*server: ignored"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_broken_rule_is_noticed(
    broken: Break, kinds: tuple[str, ...], noticed: str, recalled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check that is there for it: an error of the harness itself would be one of another kind or other words."""
    broken(monkeypatch)

    def forty_seeds() -> None:
        for seed in range(40):
            Chaos(seed, make_config(), kinds, 1.0).run()

    with pytest.raises(AssertionError, match=f"(?s){noticed}"):
        forty_seeds()
