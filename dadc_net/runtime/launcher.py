"""``dadc run``: one environment server and K agents on this machine, watched until they end.

The launcher is not a party: it holds the shared seed only to hand it to the agents, takes part in no step, and can be
killed without an orphan staying behind. A child that was killed by a signal is started again and goes on from its folder;
the same command on the folder of an unfinished run goes on with all of them. It values the learned rule from agent 1's
checkpoints while the run goes on.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dadc_net import atomic_file
from dadc_net.audit.first_divergence import FirstDivergence
from dadc_net.config import RunConfig, structure_argument
from dadc_net.errors import (
    CorruptStateError,
    DadcError,
    Interrupted,
    InvariantError,
    TemporaryError,
    UserCodeError,
    error_for_exit_code,
)
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.node.messages import EPOCH_MAX, RUN_ID_BYTES
from dadc_net.runtime.control import StopRequest
from dadc_net.runtime.endings import first_cause, with_journals
from dadc_net.runtime.events import (
    AgentFinished,
    Event,
    Failed,
    Listening,
    Observer,
    Refereed,
    Restarted,
    ServerFinished,
)
from dadc_net.runtime.fork_server import AgentOrder, Child, ForkServer, ServerOrder, agent_child, server_child
from dadc_net.runtime.own_family import family_argument
from dadc_net.runtime.placement import Placement
from dadc_net.storage.folder import locked, open_folder
from dadc_net.storage.journal_reader import JournalReader
from dadc_net.storage.journals import ON_DISK, Journals
from dadc_net.storage.rule_file import save_rule
from dadc_net.storage.run_folder import SERVER, RunFolder, agent_name
from dadc_net.wire.keys import write_keys

if TYPE_CHECKING:
    from dadc_net.node.agent.agent_node import Tamper

_GRACE_SECONDS = 10.0
_GATHER_SECONDS = 0.05
"""How long what the team tells may wait, unless one of them ends."""
_RESTARTS_MAX = 200
"""How often one child may be killed and started again: a machine that kills everything must not be fought for ever."""
_FORK_SERVER_LOST = 255
"""What multiprocessing says of a child whose fork server has gone."""
_NOWHERE = "tcp://127.0.0.1:1"


@dataclass(frozen=True)
class LaunchOptions:
    """What a run on this machine is started with."""

    config: RunConfig
    shared_seed: bytes = field(repr=False)
    environment_seed: bytes = field(repr=False)
    out: Path
    tamper: Mapping[int, Tamper] = field(default_factory=dict)
    """agent -> how its replica is broken on purpose"""
    journals: Journals = ON_DISK
    rule: StartingRule | None = field(default=None, repr=False)
    """The learned rule that the agents begin with; None: what ``out`` has kept, if anything."""


@dataclass(frozen=True)
class LaunchResult:
    """How a run ended."""

    agent_digests: dict[int, str]
    lock_steps: int
    """Since this command took up the run; 0: it was finished already."""
    seconds: float


class Launcher:
    """Starts, watches and ends the processes of one run."""

    def __init__(self, options: LaunchOptions, observer: Observer, stop: StopRequest) -> None:
        """``observer``: hears what all parties report, and what the launcher does."""
        self.options = options
        self.folder = RunFolder(options.out)
        self._observer = observer
        self._stop = stop
        self._fork_server = ForkServer()
        self._placement = Placement(options.config.settings.num_agents)
        self._children: dict[str, Child] = {}
        self._orders: dict[str, tuple[Callable[..., None], Any]] = {}
        self._restarts: dict[str, int] = {}
        self._failures: list[tuple[str, DadcError]] = []
        self._agent_digests: dict[int, str] = {}
        self._server_end: ServerFinished | None = None
        self._ended: set[str] = set()
        self._told: set[str] = set()
        """Children that have said how they ended."""
        self._killed: set[str] = set()
        """Children that were killed here, because they did not end in time."""
        self._deadline: float | None = None

    def run(self) -> LaunchResult:
        """Run to the end.

        Raises:
            DadcError: the first cause of a failure, never one of its consequences.
        """
        options = self.options
        folder = self.folder
        open_folder(folder.path)
        with locked(folder.path, "this command"):  # Before anything in it is written: another command may be at it.
            atomic_file.replace(folder.config, options.config.to_toml().encode("utf-8"))
            if options.rule is not None:
                save_rule(folder.start, options.rule)
            write_keys(folder.keys, options.config.settings.num_agents)
            run_id = secrets.token_bytes(RUN_ID_BYTES)
            told = (options.config.to_plain(), options.environment_seed, run_id, folder.server, folder.keys)
            core = self._placement.core(0)
            order = ServerOrder(*told, journals=options.journals, epoch=self._epoch(), io_core=core)
            try:
                self._start(SERVER, server_child, order)
                while len(self._ended) < len(self._children):
                    self._watch()
            except TemporaryError:
                if not self._stop.reason:  # Otherwise a signal to the whole group has hit a child that just came up.
                    raise
            finally:
                self._end_all()
            return self._result()

    @property
    def learners(self) -> list[int]:
        """One agent of each learner: those whose losses are told."""
        settings = self.options.config.settings
        return [first for first, *_ in settings.learners]

    @property
    def _agents_run(self) -> bool:
        """Whether agents have been started."""
        return len(self._children) > 1

    def _epoch(self) -> int:
        """One more than any plausible epoch in the agents' journals, which lie here: the server's may be an older copy."""
        met = [0]
        for agent in range(1, self.options.config.settings.num_agents + 1):
            with contextlib.suppress(CorruptStateError):  # There is none yet, or the agent will say what is wrong with it.
                reader = JournalReader(self.folder.agent(agent))
                met.append(int(reader.facts.get("epoch", 0)))
                reader.close()
        return max(epoch for epoch in met if epoch < EPOCH_MAX) + 1

    def _start(self, name: str, body: Callable[..., None], order: object) -> None:
        self._orders[name] = body, order
        self._children[name] = self._fork_server.start(name, body, order)

    def _start_agents(self, endpoint: str) -> None:
        """Once the server listens; one that was started again keeps its address, and the agents find it there."""
        options = self.options
        body, order = self._orders[SERVER]
        self._orders[SERVER] = body, replace(order, bind=endpoint)
        if self._agents_run:
            return
        for agent in range(1, options.config.settings.num_agents + 1):
            # Several learners have no checkpoint of the same update at the same time; they are valued at the end.
            valued = options.config.settings.mode.one_learner and agent == 1
            every = options.config.evaluate_every if valued else 0
            order = AgentOrder(
                agent=agent,
                server=endpoint,
                shared_seed=options.shared_seed,
                state_dir=self.folder.agent(agent),
                keys_dir=self.folder.keys,
                checkpoint_every=every,
                tells_losses=agent in self.learners,
                structure=structure_argument(options.config),
                family=family_argument(options.config),
                rule=self.folder.start if options.config.settings.start.rule else None,
                io_core=self._placement.core(agent),
                tamper=options.tamper.get(agent),
                journal=options.config.runtime.journal,
                journals=options.journals,
            )
            self._start(agent_name(agent), agent_child, order)

    def _watch(self) -> None:
        """Wait for something to happen and react to it."""
        waiting: dict[Any, Child] = {}
        for name, child in self._children.items():
            if name not in self._ended:
                waiting[child.connection] = child
                waiting[child.process.sentinel] = child
        urgent = [] if self._stop.reason else [self._stop.fileno]
        if self._agents_run:
            # Each thing told would wake the launcher, and take a core from the team; a few at once cost as much as one.
            wait([*urgent, *{child.process.sentinel for child in waiting.values()}], timeout=_GATHER_SECONDS)
        ready = wait([*waiting, *urgent], timeout=0.5)
        for name in {waiting[source].name for source in ready if source in waiting} - self._ended:
            child = self._children[name]
            self._drain(child)
            if not child.process.is_alive():
                self._drain(child)
                self._bury(child)
        if self._stop.reason and self._deadline is None:
            self._ask_all_to_stop(self._stop.reason)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kill_all()

    def _drain(self, child: Child) -> None:
        for event in child.events():
            self._react(child.name, event)

    def _react(self, name: str, event: Event) -> None:
        if isinstance(event, Failed | ServerFinished | AgentFinished):
            self._told.add(name)
        match event:
            case Listening(endpoint=endpoint):
                self._start_agents(endpoint)
            case Failed(exit_code=code, text=text, speaker=speaker):
                self._failures.append((name, error_for_exit_code(code, text, speaker)))
            case ServerFinished():
                self._server_end = event
                self._start_agents(_NOWHERE)  # Of a run that was finished before: each agent reports what it has kept.
            case AgentFinished(agent=agent, learner_digest=digest):
                self._agent_digests[agent] = digest
        self._observer.on(event)

    def _bury(self, child: Child) -> None:
        code = child.process.exitcode
        if code is not None and code < 0 and self._may_restart(child.name):
            self._restarts[child.name] = self._restarts.get(child.name, 0) + 1
            child.connection.close()
            self._observer.on(Restarted(party=child.name, signal=-code, times=self._restarts[child.name]))
            self._start(child.name, *self._orders[child.name])
            return
        self._ended.add(child.name)
        unexplained = child.name not in self._told
        if unexplained and not (child.name in self._killed and self._failures):
            self._failures.append((child.name, self._silent_end(child.name, code)))
        if (code or unexplained) and self._deadline is None and not self._stop.reason:
            # The others learn from the server what happened; they get a moment to write it down.
            self._deadline = time.monotonic() + _GRACE_SECONDS
            server = self._children[SERVER]
            if child.name != SERVER and SERVER not in self._ended:
                server.stop(f"the end of {child.name}")

    def _silent_end(self, name: str, code: int | None) -> DadcError:
        """The error of a child that ended with ``code`` and did not say why."""
        kept = f"Everything so far is kept in {self.options.out}."
        again = f"give the same command with --out {self.options.out}"
        if name in self._killed:
            return TemporaryError(
                f"the process of {name} did not end within {_GRACE_SECONDS:g} s of being asked to, and was killed. {kept} "
                f"To go on, {again}."
            )
        if code is not None and code < 0:
            times = self._restarts.get(name, 0)
            often = f", {times + 1} times over" if times else ""
            return TemporaryError(
                f"the process of {name} was killed by signal {-code}{often}. {kept} Find what kills it, then {again}."
            )
        if code == _FORK_SERVER_LOST:
            return TemporaryError(
                f"nobody knows how {name} ended: the process that forks children has gone, perhaps killed by the system for "
                f"want of memory. {kept} To go on, {again}."
            )
        text = (
            f"the process of {name} ended by itself with exit code {code}, without a word; this package ends no process so. "
            f"{kept} Look for a library, or code of the task, that calls os._exit or crashes."
        )
        return (UserCodeError if ":" in self.options.config.task_argument else InvariantError)(text)

    def _may_restart(self, name: str) -> bool:
        calm = self._deadline is None and not self._stop.reason and not self._failures
        return calm and self._restarts.get(name, 0) < _RESTARTS_MAX

    def _ask_all_to_stop(self, reason: str) -> None:
        self._deadline = time.monotonic() + _GRACE_SECONDS
        for child in self._children.values():
            child.stop(reason)

    def _kill_all(self) -> None:
        for name, child in self._children.items():
            if name not in self._ended:
                self._killed.add(name)
                child.process.kill()

    def _end_all(self) -> None:
        for child in self._children.values():
            if child.process.is_alive():
                child.stop("the end of the run")
        limit = time.monotonic() + _GRACE_SECONDS
        for child in self._children.values():
            child.process.join(max(0.0, limit - time.monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            child.connection.close()

    def _result(self) -> LaunchResult:
        if self._stop.reason:
            raise Interrupted(
                f"stopped by {self._stop.reason}; server and agents have ended. What was computed is in {self.options.out}. "
                f"Give the same command with --out {self.options.out}, and the run goes on."
            )
        if self._failures:
            error = first_cause([error for _, error in self._failures])
            raise with_journals(error, self._first_divergence)
        if self._server_end is None:
            raise InvariantError("all processes ended without an error, and the server has not said how")
        return LaunchResult(dict(sorted(self._agent_digests.items())), self._server_end.steps, self._server_end.seconds)

    def _first_divergence(self) -> FirstDivergence | None:
        """Where no majority can tell who is wrong, the referee does: this host has the shared seed, it runs the agents."""
        from dadc_net.audit.consistency import check  # It needs torch, and a run that agrees does not wait for that.

        found = check([self.options.out]).first_divergence
        if found is None or found.decided_by or found.phase == "log":
            return found
        self._observer.on(Refereed(step=found.step))
        decided = check([self.options.out], self.options.shared_seed).first_divergence
        return decided or found
