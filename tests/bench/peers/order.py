"""What is measured, in which order: contenders take turns within every seed, and within every round of a speed."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """One process."""

    kind: str
    """``learn``, or ``speed``: steps per CPU second only"""
    problem: str
    contender: str
    """of ``speed`` the two, between commas"""
    number: int
    """the seed of ``learn``; E of ``speed``"""

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return " / ".join(map(str, self))


BUDGETS = {
    ("mabc", "dadc ppo"): 300_000,
    ("mabc", "dadc actor-critic"): 300_000,
    ("mabc", "dadc ppo, small batches"): 20_000,
    ("mabc", "jax actor-critic"): 300_000,
    ("mabc", "sb3 ppo"): 100_000,
    ("mabc", "sb3 ppo, small batches"): 20_000,
    ("mabc", "sb3 trpo"): 60_000,
    ("mabc", "sb3 recurrent-ppo"): 5_000,
    ("dec-tiger", "dadc ppo"): 300_000,
    ("dec-tiger", "dadc actor-critic"): 300_000,
    ("dec-tiger", "sb3 ppo"): 60_000,
    ("dec-tiger", "sb3 trpo"): 60_000,
    ("dec-tiger", "sb3 recurrent-ppo"): 5_000,
    ("demand-response", "dadc ppo"): 120_000,
    ("demand-response", "dadc trpo"): 120_000,
    ("demand-response", "dadc ppo, small batches"): 20_000,
    ("demand-response", "sb3 ppo"): 60_000,
    ("demand-response", "sb3 ppo, small batches"): 20_000,
    ("demand-response", "sb3 trpo"): 60_000,
}
"""Environment steps of a run by problem and contender: fewer for those that are slow, but never fewer CPU seconds than this
package's own contenders have."""
SEEDS = {"sb3 recurrent-ppo": 1}
"""How many runs a contender has, if not three: at some 200 environment steps a second its runs are not begun again."""
ROUNDS = 7
SPEED_STEPS = {1: 6_400, 16: 25_600, 64: 51_200}
"""Environment steps of a round by E."""
OURS, YARDSTICK = "dadc actor-critic", "jax actor-critic"
OWN, LIBRARY = "dadc ", "sb3 "
"""How the names of this package's contenders and of the libraries' begin."""
SPEEDS = [Run("speed", "mabc", f"{OURS}, {YARDSTICK}", copies) for copies in SPEED_STEPS]
_LEARN = [
    Run("learn", problem, contender, seed)
    for seed in range(3)
    for problem, contender in BUDGETS
    if seed < SEEDS.get(contender, 3)
]
RUNS = [*SPEEDS, *sorted(_LEARN, key=lambda run: run.problem != "mabc")]
"""In this order; what has the yardstick comes first."""
