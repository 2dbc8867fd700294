"""What playing a batch at a time brings a simulation, in turn with playing it record by record.

    python -m tests.bench.simulations [--rounds N] [--copies 1,16,64]

CPU time of one thread, actor-critic on multi-access broadcast, menu ``all``. Both teams go on from round to round, so that
both see one machine however loaded it is: the ratios of the rounds are what to keep. It is run with kernels; without them
there is one way of playing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest import mock

from dadc_net.config import resolve
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment import simulation
from dadc_net.experiment.simulated_team import SimulatedTeam
from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads

_LOCK_STEPS = {1: 20_000, 16: 6_000, 64: 2_000}
_WARM_UP = 0.2
"""Share of a round before the first one."""


def team(copies: int, by_tables: bool) -> SimulatedTeam:
    """A team that has not begun."""
    overrides = [f"learner.num_envs={copies}", "menu=all"]
    config = resolve("mabc", overrides, {"algorithm": "actor-critic", "updates": 10**6})
    with mock.patch.object(simulation, "team_tables", simulation.team_tables if by_tables else lambda *_: None):
        return simulation.Simulation(config, seed_bytes(7), seed_bytes(1))._team


def rate(moved: SimulatedTeam, begun: int, copies: int, lock_steps: int) -> tuple[float, int]:
    """Environment steps per CPU second over so many lock-steps or a few more, and where that ends."""
    clock, step = time.process_time(), begun
    while step < begun + lock_steps:
        step = moved.advance().step
    return copies * (step - begun) / (time.process_time() - clock), step


def main() -> None:
    """All counts of copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--copies", default="1,16,64")
    options = parser.parse_args()
    pin_threads()
    keep_freed_memory()
    pass_selftest()
    for copies in map(int, options.copies.split(",")):
        count = _LOCK_STEPS.get(copies, 2_000)
        teams = {name: team(copies, name == "by tables") for name in ("by tables", "record by record")}
        steps = {name: moved.first().step for name, moved in teams.items()}
        rates: dict[str, list[float]] = {name: [] for name in teams}
        for number in range(options.rounds + 1):
            for name, moved in teams.items():
                found, steps[name] = rate(moved, steps[name], copies, count if number else round(_WARM_UP * count))
                rates[name] += [found] if number else []
        ratios = sorted(a / b for a, b in zip(*rates.values(), strict=True))
        medians = ", ".join(f"{name} {statistics.median(values):,.0f}" for name, values in rates.items())
        print(f"{copies} copies: {medians} env steps per CPU s; {statistics.median(ratios):.2f} times", end=" ")
        print(f"[{ratios[0]:.2f}, {ratios[-1]:.2f}]", flush=True)


if __name__ == "__main__":
    main()
