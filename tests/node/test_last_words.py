"""An agent goes as soon as it has said Bye: the server may miss it before it reads that."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from dadc_net.node.messages import Bye, Message, Who
from dadc_net.node.server.terms import ServerPhase
from tests.team_in_memory import MakeConfig, Team


class _Leaving(Team):
    """Its agents' last words are under way when the run has ended."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.byes: dict[int, Bye] = {}

    def _give(self, agent: int, message: Message, inbox: deque[tuple[int, Message]]) -> None:
        super()._give(agent, message, inbox)
        self.byes |= {sender: said for sender, said in inbox if isinstance(said, Bye)}
        for sender, said in self.byes.items():
            if (sender, said) in inbox:
                inbox.remove((sender, said))


def _ended(small: MakeConfig) -> _Leaving:
    team = _Leaving(small(updates=2))
    team.run()
    assert (team.server.phase, team.server.done, sorted(team.byes)) == (ServerPhase.FINISHED, False, [1, 2])
    return team


def test_a_bye_counts_although_its_sender_has_been_missed_before_it_is_read(small: MakeConfig) -> None:
    team = _ended(small)
    for agent in (1, 2):
        assert team.server.peer_gone(b"peer-%d" % agent, 1.0) == []
    for agent in (1, 2):
        assert not team.server.done
        assert team.server.receive(b"peer-%d" % agent, agent, team.byes[agent], 1.0) == []
    assert (team.server.done, team.server.confirmed, team.server.error) == (True, {1, 2}, None)


def test_a_bye_of_somebody_else_counts_for_nobody(small: MakeConfig) -> None:
    team = _ended(small)
    server = team.server
    server.peer_gone(b"peer-1", 1.0)
    (asked,) = server.receive(b"stranger", 1, team.byes[1], 1.0)
    assert isinstance(asked.message, Who)
    # Another process has the place by now: it has not said that it kept the result.
    join = replace(team.agents[1].join(), next_step=0, head=bytes(32))
    assert server.receive(b"other", 1, join, 1.1) != []
    (asked,) = server.receive(b"peer-1", 1, team.byes[1], 1.2)
    assert isinstance(asked.message, Who)
    assert (server.confirmed, server.roster.agent_of(b"other")) == (set(), 1)
