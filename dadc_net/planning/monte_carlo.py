"""Plain Monte-Carlo returns of a rule through the real environment: the paper's evaluation protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.team.environment import Environment
from dadc_net.team.local_memory import LocalMemory, group_alike
from dadc_net.team.lockstep import LockStep
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tasks import Task


class IndependentRules:
    """Agents that choose their own part of a prescription, each by a rule of its own, from what it knows: the baseline."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """``rules``: one per agent; what is common to each is (z_t, o_t^k), and what it chooses is theta^k."""
        self._rules = rules

    def begin(self, copies: int) -> None:
        """Start n copies afresh."""
        for rule in self._rules:
            rule.begin(copies)

    def choose(self, common: NDArray[Any], observations: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Each agent's theta [n] after the next common observation [n, C] and private observations [n, O_k]."""
        known = [np.concatenate((common, own), axis=1) for own in observations]
        return [rule.choose(own) for rule, own in zip(self._rules, known, strict=True)]


def plain_returns(
    task: Task,
    parameters: Any,
    family: PrescriptionFamily,
    discount: float,
    rule: Rule | IndependentRules,
    trajectories: int,
    stream: Stream,
    private: Stream,
    steps: int | None = None,
    structure: InformationStructure | None = None,
    copies: int = 0,
) -> NDArray[np.float64]:
    """Discounted returns [n] of n = ``trajectories`` episodes, from their start to their horizon or until gamma^t < 1e-5.

    ``structure`` is the one that the rule was learned under; None: the task's.

    ``stream`` moves the environment, ``private`` draws the agents' actions where prescriptions are randomised.

    ``copies`` of the environment are stepped at once, and again until there are enough returns; 0: as many as returns.

    Raises:
        UsageError: if the prescriptions cannot be given the task's local information.
    """
    at_once = min(copies or trajectories, trajectories)
    environment = task.environment(parameters, at_once)
    last = steps or environment.spec.horizon or horizon(discount)
    given = environment, structure or task.structure, family, discount, rule, stream, private
    found = [_episodes(*given, range(first, first + last + 1)) for first in _starts(trajectories, at_once, last + 1)]
    return np.concatenate(found)[:trajectories]


def _starts(trajectories: int, at_once: int, length: int) -> range:
    """The first lock-step of each group of episodes."""
    return range(0, -(-trajectories // at_once) * length, length)


def _episodes(
    environment: Environment,
    structure: InformationStructure,
    family: PrescriptionFamily,
    discount: float,
    rule: Rule | IndependentRules,
    stream: Stream,
    private: Stream,
    lock_steps: range,
) -> NDArray[np.float64]:
    """The return of one episode in each copy: [E]. ``lock_steps``: the addresses of its random numbers."""
    spec, copies = environment.spec, environment.num_envs
    everyone = range(1, spec.num_agents + 1)
    alike = [(agents, own) for own, agents in group_alike(everyone, spec.agents).items()]
    # Rules of their own give agents theta of their own, also where agents are alike.
    each = [([agent], own) for agent, own in zip(everyone, spec.agents, strict=True)]
    groups = each if isinstance(rule, IndependentRules) else alike
    memories = [LocalMemory(agents, own, copies, structure, family) for agents, own in groups]
    action = np.zeros((copies, spec.num_agents), dtype=np.int64)
    lockstep = LockStep(environment, structure)
    places, types = spec.observation_places, [agent.observation_space.dtype for agent in spec.agents]
    returns = np.zeros(copies)
    alive = np.ones(copies)
    rule.begin(copies)
    for t, now_at in enumerate(lock_steps):
        # A copy that has ended begins again, as in a run, so that no environment is stepped past its end; it is not counted.
        now = lockstep.advance(now_at, action, stream.uniforms(now_at, copies, spec.draws_per_step))
        if t > 0:
            returns += discount ** (t - 1) * alive * now.rewards
        alive = alive * (now.ended == 0)
        if not alive.any():
            break
        # Where one agent measures real numbers, all stand side by side as such.
        seen = [now.observations[:, at].astype(own, copy=False) for at, own in zip(places, types, strict=True)]
        words = private.words(now_at, spec.num_agents, copies).T if family.is_random else None
        chosen = rule.choose(now.common, seen) if isinstance(rule, IndependentRules) else [rule.choose(now.common)]
        chosen *= len(memories) // len(chosen)
        for memory, theta in zip(memories, chosen, strict=True):
            members = memory.agents - 1
            memory.observe(np.concatenate([seen[member] for member in members]), now.step_in_episode)
            action[:, members] = memory.act(theta, None if words is None else words[:, members])
    return returns


def monte_carlo(
    task: Task,
    parameters: Any,
    family: PrescriptionFamily,
    discount: float,
    rule: Rule | IndependentRules,
    trajectories: int,
    stream: Stream,
    private: Stream,
    steps: int | None = None,
    structure: InformationStructure | None = None,
    copies: int = 0,
) -> Estimate:
    """Mean of ``plain_returns``, which has the same arguments and errors."""
    streams = stream, private
    return mean_estimate(
        plain_returns(task, parameters, family, discount, rule, trajectories, *streams, steps, structure, copies)
    )
