"""Plain Monte-Carlo returns of a rule through the real environment: the paper's evaluation protocol."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from dadc_net.exact.streams import Stream
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.team.information import JointStep
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.tasks import Task


def monte_carlo(
    task: Task,
    parameters: Any,
    family: PrescriptionFamily,
    discount: float,
    rule: Rule,
    trajectories: int,
    stream: Stream,
    private: Stream,
    steps: int | None = None,
) -> Estimate:
    """Mean discounted return of ``trajectories`` episodes, from their start until gamma^t is below 1e-5.

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
    for t in range((steps or horizon(discount)) + 1):
        outcome = environment.advance(action, begin, stream.uniforms(t, trajectories, spec.draws_per_step))
        if t > 0:
            returns += discount ** (t - 1) * alive * outcome.rewards
        alive = alive * (outcome.ended == 0)
        history.append(JointStep(outcome.observations, outcome.public, np.where(begin[:, None], 0, action), begin))
        chosen = rule.choose(structure.common(history))
        rows = (spec.num_agents * trajectories, -1)
        local = structure.local(
            local.reshape(rows), action.reshape(-1), outcome.observations.reshape(rows), np.repeat(begin, spec.num_agents)
        )
        index = local_space.index(local).reshape(trajectories, spec.num_agents)
        words = private.words(t, spec.num_agents, trajectories).T if family.is_random else None
        action = family.draw(chosen, agents, index, words)
        # A copy that has ended begins again, as in a run, so that no environment is stepped past its end; it is not counted.
        begin = outcome.ended != 0
    return mean_estimate(returns)
