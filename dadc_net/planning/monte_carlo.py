"""Plain Monte-Carlo returns of a rule through the real environment: the paper's evaluation protocol."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.streams import Stream
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.team.information import JointStep
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace
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

    def choose(self, common: NDArray[np.int64], observations: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Each agent's theta [n] after the next common observation [n, C] and private observations [n, K, O]."""
        known = [np.concatenate((common, observations[:, k]), axis=1) for k in range(len(self._rules))]
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
) -> NDArray[np.float64]:
    """Discounted returns [n] of n = ``trajectories`` episodes, from their start to their horizon or until gamma^t < 1e-5.

    ``stream`` moves the environment, ``private`` draws the agents' actions where prescriptions are randomised.

    Raises:
        TypeError: if the observation space is not finite.
    """
    environment = task.make(parameters, trajectories)
    spec = environment.spec
    if not isinstance(spec.observation_space, FiniteSpace):
        raise TypeError("prescriptions need finite observations")
    structure = task.structure
    local_space = structure.local_space(spec.observation_space)
    local = np.zeros((trajectories, spec.num_agents, len(local_space.sizes)), dtype=np.int64)
    action = np.zeros((trajectories, spec.num_agents), dtype=np.int64)
    agents = np.arange(1, spec.num_agents + 1)
    begin = np.ones(trajectories, dtype=np.bool_)
    history: deque[JointStep] = deque(maxlen=structure.history_steps)
    returns = np.zeros(trajectories)
    alive = np.ones(trajectories)
    rule.begin(trajectories)
    for t in range((steps or spec.horizon or horizon(discount)) + 1):
        outcome = environment.advance(action, begin, stream.uniforms(t, trajectories, spec.draws_per_step))
        if t > 0:
            returns += discount ** (t - 1) * alive * outcome.rewards
        alive = alive * (outcome.ended == 0)
        history.append(JointStep(outcome.observations, outcome.public, np.where(begin[:, None], 0, action), begin))
        common = structure.common(history)
        rows = (spec.num_agents * trajectories, -1)
        local = structure.local(
            local.reshape(rows), action.reshape(-1), outcome.observations.reshape(rows), np.repeat(begin, spec.num_agents)
        )
        index = local_space.index(local).reshape(trajectories, spec.num_agents)
        words = private.words(t, spec.num_agents, trajectories).T if family.is_random else None
        if isinstance(rule, IndependentRules):
            chosen = rule.choose(common, outcome.observations)
            columns = [family.draw(own, agents[k : k + 1], index[:, k : k + 1]) for k, own in enumerate(chosen)]
            action = np.concatenate(columns, axis=1)
        else:
            action = family.draw(rule.choose(common), agents, index, words)
        # A copy that has ended begins again, as in a run, so that no environment is stepped past its end; it is not counted.
        begin = outcome.ended != 0
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
) -> Estimate:
    """Mean of ``plain_returns``, which has the same arguments and errors."""
    return mean_estimate(plain_returns(task, parameters, family, discount, rule, trajectories, stream, private, steps))
