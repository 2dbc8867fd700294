"""This package's own contenders: ``dadc simulate`` with the preset of the problem, and one with settings for few steps."""

from __future__ import annotations

from typing import Any

from dadc_net.coordinator.rule import GreedyRule
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.events import Event, Updated
from dadc_net.runtime.host import keep_freed_memory, pass_selftest, pin_threads
from tests.bench.peers.course import Course
from tests.bench.peers.problems import Problem, configured

SMALL_BATCHES = (
    "ais.encoder=none",
    "learner.num_envs=10",
    "learner.batch_steps=100",
    "learner.hidden_size=16",
    "learner.hidden_layers=1",
    "learner.learning_rate=0.02",
    "ppo.epochs=4",
)
"""Many small updates of a small network that sees the present common observation alone, like those of the other libraries.
The same on every problem; chosen on runs with seeds 10 to 17 of the problems that they are measured on."""
_NAMED = {"ppo, small batches": ("ppo", SMALL_BATCHES)}
"""Contenders that are no algorithm with a preset."""


class _Looking:
    """The observer that looks after updates."""

    def __init__(self, course: Course, simulation: Simulation) -> None:
        self._course, self._simulation = course, simulation

    def rule(self) -> GreedyRule:
        """What has been learned."""
        return GreedyRule(self._simulation.config.settings, self._simulation.snapshot())

    def on(self, event: Event) -> None:
        """Look, if something was learned."""
        if isinstance(event, Updated):
            self._course.look(event.env_steps, self.rule)


def learn(problem: Problem, contender: str, env_steps: int, seed: int) -> dict[str, Any]:
    """One run of an algorithm, or of a contender with settings of its own."""
    algorithm, overrides = _NAMED.get(contender, (contender, ()))
    simulation = ready(problem.name, algorithm, env_steps, seed, overrides)
    course = Course(problem, env_steps)
    looking = _Looking(course, simulation)
    simulation.run(looking)
    settings = simulation.config.settings
    return course.end(settings.updates * settings.learner.batch_steps, looking.rule)


def ready(problem: str, algorithm: str, env_steps: int, seed: int, overrides: tuple[str, ...] = ()) -> Simulation:
    """A run that has not begun, and everything loaded that it needs."""
    pin_threads()
    keep_freed_memory()
    pass_selftest()
    # A few batches load what a simulation loads as it goes: kernels that play by tables.
    warm_up = configured(problem, algorithm, 40, ("learner.num_envs=2", "learner.batch_steps=8"))
    Simulation(warm_up, seed_bytes(seed), seed_bytes(seed)).run()
    config = configured(problem, algorithm, env_steps, overrides)
    return Simulation(config, seed_bytes(seed), seed_bytes(1000 + seed))
