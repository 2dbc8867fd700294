"""One run of a team under faults that a seed chooses, and what must hold of it.

Safety, at every moment: no record is sent before it is written down, and none is ever sent with two contents. Liveness:
once the faults are over, the run ends. Result: every agent ends with the undisturbed digest; or the run stops with an
exit code that the injected faults allow, which is 15 where a byte of a disk rotted, and nothing otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dadc_net.config import RunConfig
from dadc_net.errors import CorruptStateError, Interrupted, TemporaryError
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.agent_node import Phase
from dadc_net.node.server.world import World
from dadc_net.runtime.problem import make_problem, make_terms
from tests.simulation.disk import Disk
from tests.simulation.hosts import AgentHost, Host, ServerHost
from tests.simulation.network import CLOGGED, DOWN, DROPPING, UP, Clock, Network

KINDS = (
    *("kill", "pause", "cut", "partition", "one-way", "swizzle", "loss"),
    *("twice", "power", "rot", "full", "wipe", "terminate"),
)
FAULT_SECONDS = 40.0
"""Virtual time in which faults begin."""
PATIENCE_SECONDS = 4000.0
"""Virtual time after which a run that has not ended never will."""
SHARED_SEED, ENVIRONMENT_SEED = 7, 1
_RESTARTABLE = (-9, TemporaryError.exit_code, Interrupted.exit_code)


@dataclass
class Outcome:
    """How a simulated run ended."""

    seed: int
    kinds: list[str]
    code: int
    """0: every agent finished."""
    text: str
    digests: set[str]
    seconds: float
    history: list[str] = field(default_factory=list)
    """What was done to it, for whoever reads a failure."""

    def tell(self) -> str:
        """A failure in full; the seed first."""
        lines = [f"seed {self.seed}: exit {self.code} after {self.seconds:.1f} virtual s: {self.text}", *self.history]
        return "\n".join(lines)


class Chaos:
    """A team, its faults and its operator."""

    def __init__(self, seed: int, config: RunConfig, kinds: tuple[str, ...] = KINDS, share: float = 0.35) -> None:
        """Each kind of fault takes part with probability ``share``: a swarm finds more than all faults at once."""
        self.seed = seed
        self.config = config
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.kinds = [kind for kind in kinds if self.chance.random() < share]
        self.history: list[str] = []
        self.rotten: set[Host] = set()
        agents = config.settings.num_agents
        delay = 10 ** self.chance.uniform(-2.5, -0.3)
        loss = self.chance.uniform(0.0, 0.2) if "loss" in self.kinds else 0.0
        twice = self.chance.uniform(0.0, 0.3) if "twice" in self.kinds else 0.0
        self.network = Network(self.clock, self.chance, agents, delay, loss, twice)
        synced = self.chance.random() < 0.5
        parts = (self.clock, self.network)
        self.server = ServerHost(*parts, Disk(synced), make_world=self._world, terms=make_terms(config))
        self.server.world_every = self.chance.randint(1, 9)
        compute = self.chance.choice((0.0, 0.02, 0.5))
        self.agents = {
            agent: AgentHost(
                *parts,
                Disk(synced),
                agent=agent,
                shared_seed=seed_bytes(SHARED_SEED),
                server=self.server,
                compute=compute,
                chance=self.chance,
            )
            for agent in range(1, agents + 1)
        }
        self.server.agents = self.agents
        self.stopped: tuple[int, str] | None = None

    def _world(self) -> World:
        return World(make_problem(self.config), seed_bytes(ENVIRONMENT_SEED))

    @property
    def hosts(self) -> dict[str, Host]:
        return {"server": self.server, **{f"agent {agent}": host for agent, host in self.agents.items()}}

    def note(self, text: str) -> None:
        self.history.append(f"{self.clock.now:9.3f}  {text}")

    # --- the operator -----------------------------------------------------------------------------------------------

    def _supervise(self, name: str, host: Host) -> Callable[[int], None]:
        def react(code: int) -> None:
            self.note(f"{name} ended with {code}{'' if host.error is None else f': {host.error}'}")
            if "power" in self.kinds and code == -9 and self.chance.random() < 0.6:
                self.note(f"  and its host lost power: {host.disk.lose_power(self.chance)} transactions are gone")
            if code == 0:
                return
            if code == CorruptStateError.exit_code and host is not self.server and host in self.rotten:
                self.note(f"  the operator gives {name} an empty folder")
                host.disk.wipe()
                code = -9
            if code in _RESTARTABLE:
                life = host.life
                self.clock.after(self.chance.uniform(0.05, 8.0), lambda: self._start(name, host, life))
            elif self.stopped is None:
                self.stopped = code, f"{name}: {host.error}"

        return react

    def _start(self, name: str, host: Host, life: int) -> None:
        if not host.up and host.life == life:
            self.note(f"{name} starts")
            host.start()  # type: ignore[attr-defined]

    # --- faults -----------------------------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        once = {"loss", "twice", "power"}
        for kind in (kind for kind in self.kinds if kind not in once):
            for _ in range(self.chance.randint(1, 6)):
                self.clock.at(self.chance.uniform(0.0, FAULT_SECONDS), lambda kind=kind: self._strike(kind))
        if "power" in self.kinds and "kill" not in self.kinds:
            self.clock.at(self.chance.uniform(0.0, FAULT_SECONDS), lambda: self._strike("kill"))

    def _strike(self, kind: str) -> None:
        name, host = self.chance.choice(sorted(self.hosts.items()))
        agent = self.chance.choice(sorted(self.agents))
        lasting = self.chance.uniform(0.5, 15.0)
        if kind == "kill" and host.up:
            host.fuse = self.chance.choice((0, self.chance.randint(0, 8), self.chance.randint(0, 60)))
            self.note(f"kill {name} after {host.fuse} operations")
        elif kind == "pause" and host.up:
            self.note(f"stop {name} for {lasting:.1f} s")
            host.paused = True
            life = host.life
            self.clock.after(lasting, lambda: host.resume_after_pause() if host.life == life else None)
        elif kind == "cut":
            self.note(f"cut the connection of agent {agent}")
            self.network.cut(agent)
        elif kind in ("partition", "one-way"):
            ways = [UP, DOWN] if kind == "partition" else [self.chance.choice((UP, DOWN))]
            self.note(f"{kind} of agent {agent}, {ways}, for {lasting:.1f} s")
            for way in ways:
                self.network.block(agent, way, DROPPING)
            self.clock.after(lasting, lambda: self.network.release(agent))
        elif kind == "swizzle":
            self.note("swizzle-clog: links stop one by one and are released in random order")
            for victim in self.agents:
                begin, end = sorted(self.chance.uniform(0.0, 12.0) for _ in range(2))
                self.clock.after(begin, lambda v=victim: [self.network.block(v, way, CLOGGED) for way in (UP, DOWN)])
                self.clock.after(end, lambda v=victim: self.network.release(v))
        elif kind == "rot":
            where = host.disk.rot(self.chance)
            self.note(f"a bit rots on the disk of {name}: {where}")
            if where:
                self.rotten.add(host)
        elif kind == "full":
            self.note(f"the disk of {name} is full for {lasting:.1f} s")
            host.disk.full = True
            self.clock.after(lasting, lambda: setattr(host.disk, "full", False))
        elif kind == "wipe" and self.agents[agent].up:
            self.note(f"agent {agent} is killed and loses its folder")
            victim_host = self.agents[agent]
            victim_host.disk.wipe()
            victim_host.die(-9)
        elif kind == "terminate" and host.up:
            self.note(f"SIGTERM to {name}")
            host.stop()  # type: ignore[attr-defined]

    # --- the run ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Everybody starts within two seconds."""
        for name, host in self.hosts.items():
            host.on_exit = self._supervise(name, host)
            self.clock.after(self.chance.uniform(0.0, 2.0), lambda name=name, host=host: self._start(name, host, 0))
        self._plan_faults()
        self.clock.after(1.0, self._each_second)

    def run_until(self, step: int) -> None:
        """Begin, and stop the clock once record ``step`` is written down."""
        self.begin()
        while self.server.disk.tip < step:
            assert self.clock.step()

    def run(self) -> Outcome:
        """To its end. Raises AssertionError, with the seed and the history, when something does not hold."""
        if self.clock.now == 0.0:
            self.begin()
        while self.stopped is None and not self._ended:
            self.clock.step()
            if self.clock.now > PATIENCE_SECONDS:
                raise AssertionError(self._outcome(-1, "it does not end").tell())
        code, text = self.stopped or (0, "finished")
        outcome = self._outcome(code, text)
        self._check(outcome)
        return outcome

    def _each_second(self) -> None:
        self.network.beat()
        if not self.server.up and self.server.exit_code == 0 and self.clock.now > FAULT_SECONDS + 60.0:
            self.note("the operator starts the finished server once more, for those that missed the end")
            self.server.start()
        self.clock.after(1.0, self._each_second)

    @property
    def _ended(self) -> bool:
        nodes = [host.node for host in self.agents.values() if not host.up]
        finished = [node is not None and node.phase is Phase.FINISHED for node in nodes]
        return len(finished) == len(self.agents) and all(finished) and not self.server.up and self.server.exit_code == 0

    def _outcome(self, code: int, text: str) -> Outcome:
        nodes = [host.node for host in self.agents.values()]
        digests = {node.learner_digest.hex() for node in nodes if node is not None}
        return Outcome(self.seed, self.kinds, code, text, digests, self.clock.now, self.history)

    def _check(self, outcome: Outcome) -> None:
        forks = {step: heads for step, heads in self.server.sent.items() if len(heads) > 1}
        assert not forks, f"records {sorted(forks)} were sent with two contents; {outcome.tell()}"
        assert not self.server.early, f"records {self.server.early} were sent before they were kept; {outcome.tell()}"
        if outcome.code:
            allowed = outcome.code == CorruptStateError.exit_code and self.rotten
            assert allowed, f"a stop that no fault explains; {outcome.tell()}"
            return
        logs = [dict(host.disk.table("common")) for host in self.hosts.values() if host not in self.rotten]
        for log in logs:
            assert all(log.get(step, row) == row for step, row in logs[0].items()), f"logs differ; {outcome.tell()}"
