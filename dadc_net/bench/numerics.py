"""What exactness costs: the exact learner, on NumPy and with compiled kernels, against the same learner in plain torch.

All variants are timed in turn within one process, round after round, so that they see the same machine. Times are CPU
times of the process, which has one thread: other load disturbs them less than the clock on the wall. What is worth keeping
is the ratio to plain float64 within a round. The two exact variants get the same records, and their digests must be
equal. Memory is measured in a fresh process per variant.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from dadc_net.bench.variants import ExactVariant, PlainVariant, Variant
from dadc_net.config import resolve
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.errors import InvariantError
from dadc_net.exact import compiled
from dadc_net.runtime.host import keep_freed_memory, kernels_allowed, pin_threads

SHAPES = ((300, 1), (30, 10), (75, 64))
"""(T, E): lock-steps and copies of a batch."""
NUMPY, COMPILED, FLOAT32, FLOAT64 = "exact, NumPy", "exact, numba", "plain torch float32", "plain torch float64"
_UPDATES_PER_ROUND = 5
_ACTS_PER_ROUND = 200


@dataclass(frozen=True)
class Timing:
    """One variant at one shape; medians over the rounds."""

    variant: str
    lock_steps: int
    copies: int
    update_ms: float
    update_ratio: float
    """To plain float64, within a round."""
    act_us: float
    act_ratio: float


@dataclass(frozen=True)
class Memory:
    """What a process that has made three updates holds, in MB."""

    variant: str
    resident: float
    peak: float


@dataclass(frozen=True)
class NumericsResult:
    """All that was measured."""

    ais_size: int
    hidden_size: int
    rounds: int
    timings: list[Timing]
    memory: list[Memory]


def bench_numerics(rounds: int, ais_size: int, hidden_size: int) -> NumericsResult:
    """Time every variant at every shape, ``rounds`` times in turn, and weigh each in a process of its own.

    Raises:
        InvariantError: if the exact variants' digests differ.
    """
    pin_threads()
    keep_freed_memory()
    names = [NUMPY, COMPILED, FLOAT32, FLOAT64] if kernels_usable() else [NUMPY, FLOAT32, FLOAT64]
    timings: list[Timing] = []
    for steps, copies in SHAPES:
        timings += _time_shape(names, _settings(steps, copies, ais_size, hidden_size), rounds)
    compiled.unload()
    memory = [_weigh(name, ais_size, hidden_size) for name in names]
    return NumericsResult(ais_size, hidden_size, rounds, timings, memory)


def kernels_usable() -> bool:
    """Whether this host can use compiled kernels and may."""
    usable = kernels_allowed() and compiled.load()
    compiled.unload()
    return usable


def _settings(steps: int, copies: int, ais_size: int, hidden_size: int) -> CoordinatorSettings:
    overrides = {
        "learner.num_envs": copies,
        "learner.batch_steps": steps * copies,
        "learner.hidden_size": hidden_size,
        "ais.size": ais_size,
    }
    return resolve("mabc", [f"{key}={value}" for key, value in overrides.items()], {"updates": 10**6}).settings


def _variant(name: str, settings: CoordinatorSettings) -> Variant:
    if name in (NUMPY, COMPILED):
        return ExactVariant(settings, use_kernels=name == COMPILED)
    return PlainVariant(settings, torch.float32 if name == FLOAT32 else torch.float64)


def _time_shape(names: list[str], settings: CoordinatorSettings, rounds: int) -> list[Timing]:
    variants = {name: _variant(name, settings) for name in names}
    updates: dict[str, list[float]] = {name: [] for name in names}
    acts: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds + 1):
        for name, variant in variants.items():
            variant.switch()
            update = statistics.median(variant.update() for _ in range(_UPDATES_PER_ROUND))
            variant.prepare_acting()
            act = _seconds_of_one(variant.act)
            if index > 0:  # the first round compiles and loads
                updates[name].append(update)
                acts[name].append(act)
    digests = {v.report.digest for v in variants.values() if isinstance(v, ExactVariant) and v.report is not None}
    if len(digests) != 1:
        raise InvariantError(f"the exact variants hold {len(digests)} different digests after the same records")
    return [
        Timing(
            name,
            settings.learner.batch_lock_steps,
            settings.learner.num_envs,
            1e3 * statistics.median(updates[name]),
            _ratio(updates[name], updates[FLOAT64]),
            1e6 * statistics.median(acts[name]),
            _ratio(acts[name], acts[FLOAT64]),
        )
        for name in names
    ]


def _seconds_of_one(call: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(_ACTS_PER_ROUND):
        call()
    return (time.process_time() - start) / _ACTS_PER_ROUND


def _ratio(own: list[float], base: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(own, base, strict=True))


def _weigh(name: str, ais_size: int, hidden_size: int) -> Memory:
    """Memory of a fresh process that makes three updates at the first shape."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_weighed, args=(name, ais_size, hidden_size, theirs))
    process.start()
    theirs.close()
    try:
        resident, peak = ours.recv()
    except EOFError as error:
        raise InvariantError(f"the process that weighs {name!r} ended without an answer") from error
    finally:
        process.join()
    return Memory(name, resident, peak)


def _weighed(name: str, ais_size: int, hidden_size: int, connection: Connection) -> None:
    pin_threads()
    variant = _variant(name, _settings(*SHAPES[0], ais_size, hidden_size))
    variant.switch()
    for _ in range(3):
        variant.update()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    connection.send([int(fields[field].split()[0]) / 1024 for field in ("VmRSS", "VmHWM")])
