"""The problems that everybody is measured on, each as its exact optimum, the value of a rule, and copies to be stepped.

A contender is a coordinator: it is told what is common and chooses the prescription that the agents then follow. That is all
that this package's own learner is told, and it turns a team problem into one for a single learner.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig, resolve
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.planning.evaluation import Estimate, Rule
from dadc_net.planning.planners import Plan
from dadc_net.runtime.problem import make_problem
from dadc_net.team.local_memory import LocalMemory
from dadc_net.team.lockstep import LockStep
from dadc_net.team.spaces import BoxSpace, FiniteSpace

LEVELS = (0.95, 0.98, 0.99)
"""Shares of the way from the random coordinator to the optimum."""
PROBLEMS: Mapping[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "mabc": ("mabc", ("menu=all",), {}),
    "dec-tiger": ("dec-tiger", ("structure=delayed-sharing",), {"preset": "general"}),
    "demand-response": ("demand-response", (), {}),
}
"""Task, overrides and options of this package's own configuration, by the name in the table."""
_SEED = seed_bytes(0)


def configured(problem: str, algorithm: str, env_steps: int, overrides: tuple[str, ...] = ()) -> RunConfig:
    """This package's own preset of ``algorithm`` for a run of about ``env_steps``; its schedules end there."""
    task, own, options = PROBLEMS[problem]
    asked = [*own, *overrides]
    batch = resolve(task, asked, {**options, "algorithm": algorithm}).settings.learner.batch_steps
    return resolve(task, asked, {**options, "algorithm": algorithm, "updates": max(1, env_steps // batch)})


class Problem:
    """One of ``PROBLEMS``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = configured(name, "ppo", 1)

    @cached_property
    def plan(self) -> Plan:
        """The exact optimum. Raises LookupError where there is none."""
        found = Evaluator(self.config).plan
        if found is None or found.random is None:
            raise LookupError(f"{self.name} has no exact optimum to measure against")
        return found

    def value(self, rule: Rule, trajectories: int) -> Estimate:
        """The discounted return of ``rule``, by performance differences along exact beliefs or by a linear solve."""
        return self.plan.estimate(self.config.family, rule, trajectories, Stream("bench/peers", _SEED))

    def share(self, value: float) -> float:
        """How much of the way from the random coordinator to the optimum ``value`` is."""
        random = self.plan.random
        if random is None:
            raise LookupError(f"the value of the random coordinator on {self.name} is unknown")
        return (value - random) / (self.plan.value - random)


class Copies:
    """E copies of a problem, stepped together by what a coordinator chooses."""

    def __init__(self, problem: Problem, copies: int, seed: int) -> None:
        """Raises ValueError unless all agents are alike and theta is one choice or a point of a box."""
        team = make_problem(problem.config)
        environment = problem.config.task.environment(problem.config.parameters, copies)
        spec, space = environment.spec, team.family.space
        if len(set(spec.agents)) != 1 or not isinstance(space, BoxSpace | FiniteSpace) or not _is_single(space):
            raise ValueError(f"{problem.name} is no problem of agents that are alike and one choice at a time")
        self.theta = space
        self.copies = copies
        self._spec, self._is_random = spec, team.family.is_random
        self._random = np.random.default_rng(seed)
        self._lockstep = LockStep(environment, team.structure, team.restart_steps)
        self.common_space = self._lockstep.common_space
        everyone = range(1, spec.num_agents + 1)
        self._memory = LocalMemory(everyone, spec.agents[0], copies, team.structure, team.family)
        self._action = np.zeros((copies, spec.num_agents), dtype=np.int64)
        self._step = 0

    def begin(self) -> NDArray[np.float64]:
        """Features of what is common [E, F] at the first record of an episode."""
        return self._advance()[0]

    def advance(self, theta: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
        """One step by theta [E] or [E, D].

        Returns:
            Features of what is common then [E, F], rewards [E], and whether that is the last record of the episode: after
            it, ``begin`` makes the first one of the next.
        """
        words = None
        if self._is_random:
            words = self._random.integers(0, 2**64, (self.copies, self._spec.num_agents), dtype=np.uint64)
        self._action = self._memory.act(theta, words)
        return self._advance()

    def _advance(self) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
        draws = self._random.random((self.copies, self._spec.draws_per_step))
        now = self._lockstep.advance(self._step, self._action, draws)
        self._step += 1
        seen = [now.observations[:, place] for place in self._spec.observation_places]
        self._memory.observe(np.concatenate(seen), now.step_in_episode)
        if now.ended.any() != now.ended.all():
            raise ValueError("copies that do not end together are not stepped here")
        return self.common_space.features(now.common), now.rewards, bool(now.ended.any())


def _is_single(space: BoxSpace | FiniteSpace) -> bool:
    return isinstance(space, BoxSpace) or len(space.sizes) == 1
