"""A whole team in memory: the production roles and codec, a queue instead of sockets, a clock that is a number.

Every message is encoded and decoded as it would be on the wire. The order in which agents' messages reach the server can
be changed; it must not matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dadc_net.config import RunConfig
from dadc_net.errors import DadcError
from dadc_net.exact.selftest import run_selftest
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.agent_node import AgentNode, Tamper
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.replica import StepAccount
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.node.messages import Act, Message
from dadc_net.node.server.server_log import ServerLog
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import ServerPhase
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem, make_terms
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.wire.framing import decode, encode
from tests.simulation.disk import Disk, DiskAgentStore, DiskServerJournal

SELFTEST = run_selftest()


@dataclass
class Team:
    """One run in memory."""

    config: RunConfig
    seeds: Mapping[int, int] = field(default_factory=dict)
    """agent -> shared seed, where it differs from 7"""
    tamper: Mapping[int, Tamper] = field(default_factory=dict)
    private_seeds: Mapping[int, int] = field(default_factory=dict)
    """agent -> seed of its own draws, where it is not the shared one"""
    reverse_arrivals: bool = False
    environment_seed: int = 1
    structure: InformationStructure | None = None
    """The user's own, as each agent loads it."""
    rules: Mapping[int, StartingRule] = field(default_factory=dict)
    """agent -> the learned rule that it was given to begin with"""

    def __post_init__(self) -> None:
        world = World(make_problem(self.config), seed_bytes(self.environment_seed))
        journal = DiskServerJournal(Disk(), world.num_agents)
        self.server = EnvironmentServerNode(ServerLog(world, journal), make_terms(self.config), bytes(range(16)))
        self.agents = {k: self._agent(k) for k in range(1, self.config.settings.num_agents + 1)}
        self.accounts: dict[int, list[StepAccount]] = {k: [] for k in self.agents}
        self.answers: dict[int, list[Act]] = {k: [] for k in self.agents}
        self.errors: dict[int, DadcError] = {}
        self.sent: list[tuple[bytes, Message]] = []

    def _agent(self, agent: int) -> AgentNode:
        seed = seed_bytes(self.seeds.get(agent, 7))
        private = seed_bytes(self.private_seeds[agent]) if agent in self.private_seeds else b""
        identity = AgentIdentity(
            agent=agent,
            shared_seed=seed,
            selftest=SELFTEST.digest,
            private_seed=private,
            structure=self.structure,
            rule=self.rules.get(agent),
        )
        return AgentNode(identity, DiskAgentStore(Disk()), self.tamper.get(agent))

    def run(self) -> Team:
        """Until nothing is under way."""
        inbox: deque[tuple[int, Message]] = deque((k, node.join()) for k, node in self.agents.items())
        while inbox:
            batch = sorted(inbox, key=lambda item: item[0], reverse=self.reverse_arrivals)
            inbox.clear()
            for agent, message in batch:
                peer = f"peer-{agent}".encode()
                for delivery in self.server.receive(peer, agent, decode(encode(message)), now=0.0):
                    self.sent.append((delivery.peer, delivery.message))
                    self._give(int(delivery.peer.rpartition(b"-")[2]), delivery.message, inbox)
        return self

    def _give(self, agent: int, message: Message, inbox: deque[tuple[int, Message]]) -> None:
        if agent in self.errors:
            return
        try:
            reaction = self.agents[agent].receive(decode(encode(message)), 0.0)
        except DadcError as error:
            self.errors[agent] = error
            return
        inbox.extend((agent, answer) for answer in reaction.messages)
        self.agents[agent].settle(0.0)
        if reaction.account is not None:
            self.accounts[agent].append(reaction.account)
            self.answers[agent] += [answer for answer in reaction.messages if isinstance(answer, Act)]

    @property
    def finished(self) -> bool:
        """Whether the run came to its regular end."""
        return self.server.phase is ServerPhase.FINISHED

    def digests(self) -> set[str]:
        """Learner digests of all agents."""
        return {node.learner_digest.hex() for node in self.agents.values()}


MakeConfig = Callable[..., RunConfig]
