"""Where the time of a lock-step goes: its parts, each measured alone in this process, as shares of a full run's lock-step.

Server and one agent are gone through by themselves, because a team waits for the slowest and all agents do the same. What
the parts do not explain is waiting: for processors that more processes than processors share, for the codec and the
protocol, and for one another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dadc_net.config import RunConfig
from dadc_net.exact import compiled
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.agent_log import GROUP_ROWS
from dadc_net.node.agent.identity import AgentIdentity
from dadc_net.node.agent.team_member import TeamMember
from dadc_net.node.messages import DIGEST_BYTES
from dadc_net.node.rows import AgentRow, Answers
from dadc_net.node.server.world import World
from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads
from dadc_net.runtime.problem import make_problem, make_terms
from dadc_net.storage.journals import ON_DISK

_LOCK_STEPS = 300


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of one lock-step's duration; they add up to 1 unless the parts overlap, and then ``waiting`` is 0."""

    acting: float
    learning: float
    environment: float
    journal: float
    transport: float
    waiting: float


class _Watch:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("acting", "learning", "environment", "journal"), 0.0)

    @contextlib.contextmanager
    def on(self, part: str) -> Iterator[None]:
        """The seconds inside are ``part``'s."""
        begun = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - begun


def shares_of(config: RunConfig, raw: float, full: float, folder: Path) -> Shares:
    """Shares of a lock-step that takes ``full`` s in a run and ``raw`` s in the transport alone.

    ``folder``: where journals are written to; it is made.
    """
    keep_freed_memory()
    pass_selftest()  # It loads the kernels, if agents use them.
    pin_threads()
    watch, batch = _Watch(), config.settings.learner.batch_lock_steps
    world, timed = World(make_problem(config), seed_bytes(1)), _warm(config)
    agents, terms = world.num_agents, make_terms(config)
    server = ON_DISK.server(_made(folder / "server"), agents, "process")
    server.open_or_create({"run_id": "00", "settings": terms.settings})
    own = ON_DISK.agent(_made(folder / "agent"), "process")
    own.create({"run_id": "00", "settings": terms.settings})
    member = first_agent(config, world)
    row, answers, rows = world.first(), None, list[AgentRow]()
    steps = batch * max(1, _LOCK_STEPS // batch)
    for step in range(steps + 1):
        with watch.on("journal"):
            server.commit(answers, row, None)
        part = "learning" if step and step % batch == 0 else "acting"
        with watch.on(part):
            account, actions = member.advance(row.record, row.observations[0])
        rows.append(AgentRow(row.record, row.observations[0], actions, account.digests, None))
        if len(rows) == GROUP_ROWS:
            with watch.on("journal"):
                own.write(rows)
            rows.clear()
        with watch.on("journal"):
            server.settle()
        answers = _answers(step, agents, actions)
        with watch.on("environment"):
            timed.advance(_joint(timed, step, agents))
        row = world.advance(_joint(world, step, agents))
    server.close()
    own.close()
    part_of = {name: seconds / steps / full for name, seconds in watch.seconds.items()}
    transport = raw / full
    return Shares(**part_of, transport=transport, waiting=max(0.0, 1.0 - sum(part_of.values()) - transport))


def first_agent(config: RunConfig, world: World) -> TeamMember:
    """Agent 1 of a run in this ``world``, without a protocol."""
    begin = make_terms(config).begin(world.problem, bytes(16), 1, 1)
    facts = {name: getattr(begin, name) for name in ("structure", "family", "observation_space", "action_space")}
    return TeamMember(AgentIdentity(agent=1, shared_seed=seed_bytes(0), selftest=b""), config.settings, facts)


def _warm(config: RunConfig) -> World:
    """As a server's is after two batches: by then it believes its tables, if it has any."""
    world = World(make_problem(config), seed_bytes(1), compiled.kernels is not None)
    world.first()
    for step in range(2 * config.settings.learner.batch_lock_steps):
        world.advance(_joint(world, step, world.num_agents))
    return world


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _answers(step: int, agents: int, actions: bytes) -> Answers:
    return Answers(step, (actions,) * agents, (bytes(DIGEST_BYTES),) * agents, (b"",) * agents)


def _joint(world: World, step: int, agents: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Some joint action [E, K]: what agents do hardly matters to what it costs."""
    return np.full((world.copies, agents), step % 2, dtype=np.int64)
