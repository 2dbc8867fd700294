"""Measures the lock-step rate of full runs against the transport's ceiling, alternated, so that both see one machine.

Rates of one machine at one moment are noisy; the ratio of two that were measured in turn is what to keep. Where other
programs share the processors even that is noisy, and the ratio of processor times, of all processes together, says more.
Two agents run multi-access broadcast, any other number demand response, whose observations and actions are as small.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from dadc_net import config as configuration
from dadc_net.bench.paces import LockStepRate, TooSlowError, configured, full_pace, raw_pace
from dadc_net.bench.shares import Shares, shares_of
from dadc_net.config import RunConfig
from dadc_net.errors import InvariantError
from dadc_net.runtime.fork_server import ForkServer
from dadc_net.wire.keys import write_keys

_RAW_SHARE = 0.2
"""Of a round's time."""
_WARM_UP_STEPS = 500


class Effort(NamedTuple):
    """How much is measured for a row."""

    steps: int
    """Lock-steps of a round."""
    rounds: int
    seconds: float
    """Of all rounds together, at most; starts and ends of processes are not in it."""


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Lock-steps per second; medians over the rounds."""

    full: float
    raw: float
    ratio: float
    """Median over rounds of full / raw."""
    cpu_full: float | None
    """CPU seconds of a lock-step of all processes."""
    cpu_raw: float | None
    cpu_ratio: float | None
    """Median over rounds of raw / full: the share of a lock-step's processor time that the raw loop would take."""
    env_steps: float
    """Environment steps per second of the full run: E times ``full``."""
    shares: Shares
    full_rounds: list[float]
    raw_rounds: list[float]
    num_agents: int
    num_envs: int
    start_s: float
    """Seconds from the start of a full run until all agents have begun; in no rate."""


@dataclass(frozen=True, kw_only=True)
class Unmeasured:
    """A row that there is not."""

    num_agents: int
    num_envs: int
    reason: str


Row = BenchResult | Unmeasured


class _SharesOrder(NamedTuple):
    """What the process is told that measures the parts of a lock-step."""

    configuration: Mapping[str, Any]
    raw: float
    """Seconds of a lock-step of the raw loop."""
    full: float
    """Seconds of a full one."""
    folder: Path


def _shares_child(order: _SharesOrder, connection: Connection) -> None:
    connection.send(shares_of(configuration.build(order.configuration), order.raw, order.full, order.folder))


def _shares(fork_server: ForkServer, order: _SharesOrder) -> Shares:
    child = fork_server.start("shares", _shares_child, order)
    try:
        shares: Shares = child.connection.recv()
    except EOFError as error:
        raise InvariantError("the process that measures shares has ended without a word") from error
    finally:
        child.process.join()
        child.connection.close()
    return shares


class LockStepBench:
    """Measures rows, one after another, with one fork server for all of their processes."""

    def __init__(self, folder: Path, effort: Effort) -> None:
        """``folder``: for runs and keys; it is thrown away by who made it."""
        self._folder, self._effort = folder, effort
        self._fork_server = ForkServer()
        self._warm = False

    def row(self, num_agents: int, num_envs: int) -> Row:
        """Alternate raw and full runs, after one raw run that is not measured."""
        config = configured(num_agents, num_envs, self._effort.steps)
        base = self._folder / f"{num_agents}-{num_envs}"
        keys = base / "keys"
        write_keys(keys, num_agents)
        if not self._warm:
            raw_pace(self._fork_server, config, min(self._effort.steps, _WARM_UP_STEPS), keys)
            self._warm = True
        try:
            paces = [self._round(config, base / f"run-{index}", keys) for index in range(self._effort.rounds)]
        except TooSlowError as error:
            return Unmeasured(num_agents=num_agents, num_envs=num_envs, reason=str(error))
        raw, full = [own.rate for own, _ in paces], [own.rate for _, own in paces]
        parts = _SharesOrder(config.to_plain(), 1.0 / statistics.median(raw), 1.0 / statistics.median(full), base / "shares")
        costs = [(one.cpu, other.cpu) for one, other in paces if one.cpu is not None and other.cpu]
        return BenchResult(
            cpu_full=statistics.median(own for _, own in costs) if costs else None,
            cpu_raw=statistics.median(own for own, _ in costs) if costs else None,
            cpu_ratio=statistics.median(one / other for one, other in costs) if costs else None,
            full=statistics.median(full),
            raw=statistics.median(raw),
            ratio=statistics.median(f / r for f, r in zip(full, raw, strict=True)),
            env_steps=num_envs * statistics.median(full),
            shares=_shares(self._fork_server, parts),
            full_rounds=full,
            raw_rounds=raw,
            num_agents=num_agents,
            num_envs=num_envs,
            start_s=statistics.median(own.start_s for _, own in paces),
        )

    def _round(self, config: RunConfig, out: Path, keys: Path) -> tuple[LockStepRate, LockStepRate]:
        """The raw loop's pace and a full run's."""
        steps, seconds = self._effort.steps, self._effort.seconds / self._effort.rounds
        raw = raw_pace(self._fork_server, config, steps, keys, _RAW_SHARE * seconds)
        return raw, full_pace(config, out, steps=steps, seconds=(1.0 - _RAW_SHARE) * seconds)


def rows(cells: Sequence[tuple[int, int]], effort: Effort) -> Iterator[Row]:
    """A row for each (K, E), as soon as it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        bench = LockStepBench(Path(folder), effort)
        for num_agents, num_envs in cells:
            yield bench.row(num_agents, num_envs)
