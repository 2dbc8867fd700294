"""What a team earns without learning: the best prescription that is always played, and one drawn uniformly at every step.

A learned rule that is worth no more than the best constant prescription has learned nothing from what is common: it is no
better than blind. With a planner that enumerates beliefs the values are exact; with one that values a rule, as exact as
that is; otherwise they are means of plain returns, with their standard errors.

Without a planner the best constant is searched for in three rounds with random numbers of their own: all candidates, the
best few of them, and the best one, whose value is that of the last round alone. A maximum of noisy values would be too
large. Where prescriptions are too many to try each, the candidates are those under which every agent always does one thing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.config import RunConfig
from dadc_net.exact.digest import digest
from dadc_net.exact.streams import Stream, seed_bytes
from dadc_net.planning.evaluation import Estimate, Rule, blind_value, mean_estimate
from dadc_net.planning.monte_carlo import IndependentRules, plain_returns
from dadc_net.planning.planners import Plan
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily, finite_theta
from dadc_net.team.spaces import BoxSpace, FiniteSpace, ProductSpace

_SEED = seed_bytes(0)
_MOST_CANDIDATES = 4096
_COPIES = 4096
"""Returns of each of the first two rounds, over all candidates, at most."""
_ROUND = 4
"""They are this many times as many as those behind a value, at most: where values are costly, so is the search."""
_FEW = 8
_BEST_FOUND = "; the best that was found, of too many to try each"
_TOO_MANY = "not looked for: there are too many prescriptions to try each"


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Values of rules that use nothing of what is common."""

    random: Estimate | None
    """Of the uniformly random coordinator; None where learners are independent, who have no coordinator."""
    constant: Estimate | None
    """Of the best constant prescription; None where the candidates are too many to be tried."""
    prescription: str
    """That prescription in words, or why there is none."""
    theta: NDArray[Any] | None = None
    """[1], [1, F] or [1, D] that prescription, where its value is a mean of plain returns"""
    memoryless: Estimate | None = None
    """Of the best rule that was found among those that look at the present common observation alone; None where none was
    looked for. It does look at what is common, and stands between blind rules and those that remember."""


@dataclass(frozen=True)
class Candidates:
    """Constant prescriptions to try."""

    thetas: NDArray[Any]
    """[M], [M, F] or [M, D]"""
    named: Callable[[int], str]
    """One of them, 0 .. M-1, in words"""


class ConstantRule:
    """The same theta at every step; a Rule of the planning room."""

    is_memoryless = True

    def __init__(self, theta: NDArray[Any]) -> None:
        """``theta``: one for all copies, or one for each along the first axis."""
        self._theta = theta
        self._next = 0
        self._chosen = theta[:0]

    def begin(self, copies: int) -> None:
        """Start n copies afresh: with the next n of the thetas, from the first again after the last."""
        self._chosen = self._theta[(self._next + np.arange(copies)) % len(self._theta)]
        self._next += copies

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        """Theta [n] or [n, D], whatever happened."""
        return self._chosen.copy()


class RandomRule:
    """A uniform theta at every step."""

    is_memoryless = False

    def __init__(self, family: PrescriptionFamily) -> None:
        if isinstance(family.space, ProductSpace):
            raise TypeError(f"{family.space} is no space of prescriptions")
        self._space = family.space
        self._stream = _ManyCopies("evaluation/random-coordinator")
        self._copies = self._step = 0

    def begin(self, copies: int) -> None:
        """Start n copies afresh, with random numbers that were not used before."""
        self._copies = copies

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        """Theta [n], [n, F] or [n, D]."""
        space = self._space
        width = len(space.low) if isinstance(space, BoxSpace) else space.columns
        share = self._stream.uniforms(self._step, self._copies, width)
        self._step += 1
        if isinstance(space, BoxSpace):
            low, high = np.array(space.low), np.array(space.high)
            points: NDArray[np.float64] = low + share * (high - low)
            return points
        chosen: NDArray[np.int64] = (share * np.array(space.sizes)).astype(np.int64)
        return chosen[:, 0] if width == 1 else chosen


def candidates(family: PrescriptionFamily) -> NDArray[Any] | None:
    """Constant prescriptions to try: all of a finite space [M] or [M, F], the corners of a box [M, D]; None if they are too
    many."""
    space = family.space
    if isinstance(space, FiniteSpace):
        few = space.num_values <= _MOST_CANDIDATES
        return finite_theta(space, np.arange(space.num_values)) if few else None
    if not isinstance(space, BoxSpace) or 2 ** len(space.low) > _MOST_CANDIDATES:
        return None
    return np.array(list(itertools.product(*zip(space.low, space.high, strict=True))))


def one_action_each(family: PrescriptionFamily, spec: EnvironmentSpec) -> Candidates | None:
    """Those under which every agent always does one thing; None if they are too many, or the family cannot say which."""
    own = [agent.action_space.num_values for agent in spec.agents]
    shared = family.shape[0] == 1
    joint = FiniteSpace((min(own),) if shared else tuple(own))
    if joint.num_values > _MOST_CANDIDATES:
        return None
    actions = joint.values(np.arange(joint.num_values))
    thetas = family.always(actions)
    whose = "of each agent" if shared else f"of agents 1 to {len(own)}"
    return None if thetas is None else Candidates(
        thetas, lambda entry: f"action {'/'.join(map(str, actions[entry]))} {whose}, whatever is seen"
    )


def _tried(config: RunConfig) -> Candidates | None:
    family, thetas = config.family, candidates(config.family)
    if thetas is not None:
        return Candidates(thetas, lambda entry: described(family, thetas[entry]))
    return one_action_each(family, config.task.environment(config.parameters, 1).spec)


class _ManyCopies(Stream):
    """Random words for thousands of copies: drawn in one go, not copy by copy. What they are depends on how many there are,
    which is nothing to a value."""

    def __init__(self, purpose: str) -> None:
        super().__init__(purpose, _SEED)
        self._key = int.from_bytes(digest(b"dadc-net baselines", purpose.encode("utf-8"))[:16], "little")

    def words(self, step: int, copies: int, draws: int) -> NDArray[np.uint64]:
        """uint64 [E, D]"""
        drawn: NDArray[np.uint64] = np.random.Philox(key=self._key, counter=step << 128).random_raw(copies * draws)
        return drawn.reshape(copies, draws)


def returns_of(config: RunConfig, rule: Rule | IndependentRules, trajectories: int, name: str) -> NDArray[np.float64]:
    """Plain returns [n] of ``rule``, with random numbers that belong to ``name``: equal names, equal luck."""
    streams = _ManyCopies(f"evaluation/{name}"), _ManyCopies(f"evaluation/{name}/agents")
    discount = config.settings.discount
    return plain_returns(
        *(config.task, config.parameters, config.family, discount, rule, trajectories),
        *streams,
        structure=config.structure,
        copies=config.evaluation.copies,
    )


def baselines(config: RunConfig, plan: Plan | None, trajectories: int) -> Baselines:
    """What is earned blindly; ``trajectories``: plain returns behind each value that no planner gives."""
    if plan is not None and plan.model is not None:
        discount, model = config.settings.discount, plan.model
        values = [blind_value(model, discount, [entry]) for entry in range(len(model.prescriptions))]
        first = int(np.argmax(values))
        best = Estimate(values[first], 0.0)
        return Baselines(random=_known(plan.random), constant=best, prescription=model.prescriptions[first])
    if not config.settings.mode.one_learner:
        why = "not looked for: learners are independent, and no coordinator prescribes anything"
        return Baselines(random=None, constant=None, prescription=why)
    if plan is not None:
        return _by_planner(config, plan, trajectories)
    tried = _tried(config)
    random = mean_estimate(returns_of(config, RandomRule(config.family), trajectories, "baselines"))
    if tried is None:
        return Baselines(random=random, constant=None, prescription=_TOO_MANY)
    constant, entry = _searched(config, tried.thetas, trajectories)
    return Baselines(
        random=random, constant=constant, prescription=tried.named(entry), theta=tried.thetas[entry : entry + 1]
    )


def _known(value: float | None) -> Estimate | None:
    """An exact value as an estimate."""
    return None if value is None else Estimate(value, 0.0)


def _by_planner(config: RunConfig, plan: Plan, trajectories: int) -> Baselines:
    random = _known(plan.random)
    if plan.best_constant is not None and plan.best_theta is not None:
        doubt = "" if plan.every_constant_tried else _BEST_FOUND
        return Baselines(
            random=random,
            constant=_known(plan.best_constant),
            prescription=described(config.family, plan.best_theta) + doubt,
            memoryless=_known(plan.best_memoryless()),
        )
    tried = None if plan.looked_for_constant else candidates(config.family)
    if tried is None:
        return Baselines(random=random, constant=None, prescription=_TOO_MANY)
    stream = Stream("evaluation/baselines", _SEED)
    rules = [ConstantRule(theta[None]) for theta in tried]
    found = [plan.estimate(config.family, rule, trajectories, stream) for rule in rules]
    first = int(np.argmax([estimate.value for estimate in found]))
    return Baselines(random=random, constant=found[first], prescription=described(config.family, tried[first]))


def _searched(config: RunConfig, thetas: NDArray[Any], trajectories: int) -> tuple[Estimate, int]:
    """The value of the best of the candidates [M], [M, F] or [M, D] by plain returns, and which it is."""
    tried, copies = np.arange(len(thetas)), min(_COPIES, _ROUND * trajectories)
    for round_number, kept in enumerate((_FEW, 1)):
        if len(tried) <= kept:
            continue
        each = max(2, copies // len(tried))
        rule = ConstantRule(np.repeat(thetas[tried], each, axis=0))
        found = returns_of(config, rule, each * len(tried), f"baselines/round-{round_number}")
        order = np.argsort(-found.reshape(len(tried), each).mean(axis=1), kind="stable")
        tried = tried[np.sort(order[:kept])]
    best = returns_of(config, ConstantRule(thetas[tried]), trajectories, "baselines")
    return mean_estimate(best), int(tried[0])


def described(family: PrescriptionFamily, theta: NDArray[Any]) -> str:
    """A prescription in words."""
    if isinstance(family, PrescriptionMenu):
        return family.entries[int(theta)]
    if family.shape[1] == 0:
        return f"the map {np.round(theta, 2).tolist()}"
    if not family.is_random:
        tables = np.argmax(family.weights(theta[None])[0], axis=2).tolist()
        whose = ["all agents"] if len(tables) == 1 else [f"agent {agent}" for agent in range(1, len(tables) + 1)]
        return ", ".join(f"{who} by local value {'/'.join(map(str, own))}" for who, own in zip(whose, tables, strict=True))
    chances = np.round(family.probabilities(theta[None])[0], 2).tolist()
    return f"chances of the actions at each local value {chances}"
