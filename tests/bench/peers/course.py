"""What is written down while a contender learns: its value now and then, and what it has cost until then.

The clock stands still while the value is worked out, so that looking costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from dadc_net.planning.evaluation import Rule
from tests.bench.peers.problems import LEVELS, Problem

LOOKS = 30
"""How often a value is worked out during a run."""
_FEW, _MANY = 300, 2000
"""Trajectories of a look, and of the last one."""


class Point(NamedTuple):
    """A look."""

    env_steps: int
    cpu_s: float
    wall_s: float
    value: float


class Course:
    """One run of one contender. Made when everything has been loaded and compiled, right before the first step."""

    def __init__(self, problem: Problem, env_steps: int) -> None:
        self.problem = problem
        self.env_steps = env_steps
        self.points: list[Point] = []
        self._next = self._every = max(1, env_steps // LOOKS)
        self._start_cpu = time.process_time()
        problem.plan  # noqa: B018 - planned before the clock goes
        self._cpu = self._wall = 0.0
        self._go()

    def look(self, env_steps: int, rule: Callable[[], Rule]) -> None:
        """Work out the value of the rule, if it is time to."""
        if env_steps < self._next:
            return
        self._stop()
        self._next = env_steps + self._every
        self._see(env_steps, rule(), _FEW)
        self._go()

    def end(self, env_steps: int, rule: Callable[[], Rule]) -> dict[str, Any]:
        """The last look, and everything that is kept of the run."""
        self._stop()
        if self.points and self.points[-1].env_steps == env_steps:
            self.points.pop()
        self._see(env_steps, rule(), _MANY)
        last, plan = self.points[-1], self.problem.plan
        return {
            "env_steps": last.env_steps,
            "cpu_s": last.cpu_s,
            "wall_s": last.wall_s,
            "start_cpu_s": self._start_cpu,
            "optimum": plan.value,
            "random": plan.random,
            "value": last.value,
            "gap": (plan.value - last.value) / abs(plan.value),
            "levels": {str(level): self._reached(level) for level in LEVELS},
            "curve": self.points,
        }

    def _reached(self, level: float) -> dict[str, Any] | None:
        """The first look at which the rule was that good; None: at none."""
        found = next((point for point in self.points if self.problem.share(point.value) >= level), None)
        return None if found is None else found._asdict()

    def _see(self, env_steps: int, rule: Rule, trajectories: int) -> None:
        value = self.problem.value(rule, trajectories).value
        self.points.append(Point(env_steps, self._cpu, self._wall, value))

    def _stop(self) -> None:
        self._cpu += time.process_time() - self._cpu_then
        self._wall += time.monotonic() - self._wall_then

    def _go(self) -> None:
        self._cpu_then, self._wall_then = time.process_time(), time.monotonic()
