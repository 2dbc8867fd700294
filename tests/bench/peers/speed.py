"""How many steps a CPU second has, of this package's actor-critic and of the same algorithm compiled, in turn."""

from __future__ import annotations

import time

from dadc_net.runtime.events import Event, Updated
from tests.bench.peers import jax_yardstick, ours
from tests.bench.peers.jax_learner import start
from tests.bench.peers.order import ROUNDS, SPEED_STEPS
from tests.bench.peers.problems import Problem, configured

_MORE = 8
"""So many times more steps has a round of the compiled learner, which is over too soon otherwise."""


class _Times:
    """The observer that writes down when updates end."""

    def __init__(self) -> None:
        self.cpu: dict[int, tuple[int, float]] = {}

    def on(self, event: Event) -> None:
        """Write it down."""
        if isinstance(event, Updated):
            self.cpu[event.update] = event.env_steps, time.process_time()


def own(problem: str, copies: int) -> float:
    """Of a run, from its second update on."""
    simulation = ours.ready(problem, "actor-critic", SPEED_STEPS[copies], 0, (f"learner.num_envs={copies}",))
    times = _Times()
    simulation.run(times)
    (first, begun), (last, ended) = times.cpu[2], times.cpu[max(times.cpu)]
    return (last - first) / (ended - begun)


def in_turn(problem: Problem, copies: int) -> dict[str, list[float]]:
    """Of every round but an unmeasured first one, by library."""
    import jax

    told = configured(problem.name, "actor-critic", _MORE * SPEED_STEPS[copies], (f"learner.num_envs={copies}",))
    settings = told.settings
    program = jax_yardstick.program(settings, jax_yardstick.outcome_space(problem))
    learner = start(settings, program.inputs, 0)
    run = jax.jit(lambda known: program.run(known, settings.updates)).lower(learner).compile()
    found: dict[str, list[float]] = {"dadc": [], "jax": []}
    for _ in range(1 + ROUNDS):
        found["dadc"].append(own(problem.name, copies))
        begun = time.process_time()
        jax.block_until_ready(run(learner))
        found["jax"].append(settings.updates * settings.learner.batch_steps / (time.process_time() - begun))
    return {library: rates[1:] for library, rates in found.items()}
