"""Section 6, Figure 2 and Appendix F: what is run, how often, and what is drawn."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest

from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.sweep.summary import Quartiles
from dadc_net.experiment.sweep.sweep_file import read_sweep
from dadc_net.planning.monte_carlo import monte_carlo
from dadc_net.team.multi_access_broadcast import MENUS, MultiAccessBroadcastParameters
from dadc_net.team.tasks import TASKS
from tests.paper import broadcast

FIGURE = Path(__file__).parents[2] / "launch" / "figure-2.toml"


def test_both_environments_and_every_algorithm_are_run_25_times() -> None:
    """Figure 2, F 6: 25 runs. E: actor-critic, PPO, NAF-DQN on the broadcast problem; TRPO, PPO, NAF-DQN on the loads."""
    sweep = read_sweep(FIGURE)
    assert all(len(curve.seeds) == len(set(curve.seeds)) == 25 for curve in sweep.curves)
    ran = {(curve.config.task.name, curve.config.settings.algorithm) for curve in sweep.curves}
    assert {("mabc", name) for name in ("actor-critic", "ppo", "naf-dqn")} <= ran
    assert {("demand-response", name) for name in ("trpo", "ppo", "naf-dqn")} <= ran


def test_median_and_quartiles_are_shown() -> None:
    """Figure 2, F 8 to F 10: the median and the region between the first and third quartile across the runs."""
    values = [((7 * i) % 25) ** 1.5 for i in range(25)]
    found = Quartiles.of(values)
    assert found is not None
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    assert (found.first, found.median, found.third) == pytest.approx((first, median, third))
    assert found.median == sorted(values)[12]
    assert Quartiles.of([*values[:-1], None]) is None  # a run that is missing is not drawn over


class First:
    """Agent 1 may transmit, always."""

    is_memoryless = True

    def begin(self, copies: int) -> None:
        """Nothing to remember."""

    def choose(self, common: np.ndarray) -> np.ndarray:
        return np.zeros(len(common), dtype=np.int64)


def test_monte_carlo_evaluation_estimates_the_discounted_return() -> None:
    """E.1: "performance is evaluated using independent Monte Carlo evaluations" of J, equation (1).

    Against the exact value of one rule, by value iteration over the eight states of D.1; with 4,000 returns where the paper
    has 100, whose standard error is shown to be six times as large.
    """
    states = [(x, y, s) for x in (0, 1) for y in (0, 1) for s in (0, 1)]
    value = dict.fromkeys(states, 0.0)
    for _ in range(300):
        value = {
            s: float(broadcast.reward(broadcast.obey((1, 0), s), s[2]))
            + 0.9 * sum(float(p) * value[after] for after, p in broadcast.moves(s, broadcast.obey((1, 0), s)).items())
            for s in states
        }
    streams = Stream("test", seed_bytes(4)), Stream("test/private", seed_bytes(4))
    parameters = MultiAccessBroadcastParameters()
    many, few = (
        monte_carlo(TASKS["mabc"], parameters, MENUS["paper"], 0.9, First(), returns, *streams) for returns in (4000, 100)
    )
    assert abs(many.value - value[broadcast.START]) < 4.0 * many.stderr
    assert many.stderr < 0.02
    assert 4.0 < few.stderr / many.stderr < 9.0
