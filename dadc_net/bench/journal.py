"""What the journals cost: the lock-step rate of full runs with and without them, in turn, so that both see one machine."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dadc_net.bench.memory_journal import IN_MEMORY
from dadc_net.bench.paces import configured, full_pace
from dadc_net.storage.journals import ON_DISK

WITHOUT = "none"


@dataclass(frozen=True, kw_only=True)
class JournalCost:
    """One mode at one number of copies; rates in lock-steps per second."""

    num_envs: int
    mode: str
    without: float
    """Median rate without journals."""
    rate: float
    """Median rate with journals in this mode."""
    cost: float
    """Median over rounds of 1 - with / without."""
    rounds: list[tuple[float, float]]
    """(without, with) of each round"""


def bench_journal(copies: Sequence[int], modes: Sequence[str], steps: int, rounds: int) -> list[JournalCost]:
    """Measure every mode in ``modes`` beside runs without journals, after one unmeasured run."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        full_pace(configured(2, 1, 300), base / "warm-up")
        for num_envs in copies:
            rates: dict[str, list[float]] = {mode: [] for mode in (WITHOUT, *modes)}
            for index in range(rounds):
                for mode in (WITHOUT, *modes):
                    out = base / f"{num_envs}-{mode}-{index}"
                    kept, journal = (IN_MEMORY, "process") if mode == WITHOUT else (ON_DISK, mode)
                    rates[mode].append(full_pace(configured(2, num_envs, steps, journal), out, kept).rate)
            for mode in modes:
                pairs = list(zip(rates[WITHOUT], rates[mode], strict=True))
                cost = statistics.median(1 - one / other for other, one in pairs)
                one = JournalCost(
                    num_envs=num_envs,
                    mode=mode,
                    without=statistics.median(rates[WITHOUT]),
                    rate=statistics.median(rates[mode]),
                    cost=cost,
                    rounds=pairs,
                )
                found.append(one)
    return found
