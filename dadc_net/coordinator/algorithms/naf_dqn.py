"""NAF-DQN (Gu et al., 2016; paper, E.1 and E.2): Q-learning over continuous theta with a critic that is quadratic in it.

    Q(x, theta) = V(x) - 1/2 |L(x)^T (theta - mu(x))|^2
    target      R_t + gamma Q'(x_{t+1}, what is played there), Q' from a slowly following copy
    loss        smooth L1, on windows of a replay memory whose AIS the present encoder makes anew
    rule        mu(x), clamped to the box of theta; or, with ``naf.plays`` corners, the corner with the largest Q
    behaviour   the rule's theta + noise, clamped or moved to a corner as well; the noise comes from the coordinator stream
                and falls linearly

The state approximator is trained on the same windows as the critic, each time before it, because the critic reads the AIS
of windows that begin at zero; the critic's gradient never enters it.

Deviation: the target of Gu et al. is R_t + gamma V', which is the maximum over all theta. Where mu lies outside the box no
theta that can be played is worth V', and the target would promise too much.

Deviation: the paper's base implementation explores with an Ornstein-Uhlenbeck process; here noise is independent over time,
because a process would be one more state to carry. Layers and loss are settings; those of E.2 are in the preset ``paper``.

Deviation: with corners, theta is one of the deterministic prescriptions of E.1, silence among them, and the maximum over
them is taken by looking at each. E.1 does not say how NAF's theta becomes one of them. In the broadcast problem Q is convex
in each chance to transmit, so that a concave quadratic fitted to it in between has its peak at no good prescription; at the
corners of a square the quadratic can take any four values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.algorithms.registry import NafSettings
from dadc_net.coordinator.batch import ENDED_TERMINATED, Batch
from dadc_net.coordinator.memory import ReplayMemory
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.naf import NafNetwork
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.regression import Goals
from dadc_net.coordinator.prescription import Box
from dadc_net.coordinator.schedule import step_size
from dadc_net.errors import InvariantError
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream


class NafDqn(Algorithm):
    """One critic that contains its own rule."""

    learns_ais_on_policy = False

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        if not isinstance(parts.theta, Box):
            raise InvariantError(f"naf-dqn was given prescriptions {parts.theta}; settings refuse all but a box")
        self._box = parts.theta
        self.naf = self.settings.section(NafSettings)
        naf, learner, approximator = self.naf, self.settings.learner, parts.approximator
        tower = Tower.named("hidden", naf.hidden_layers, "output", approximator.exponent, naf.activation)
        self.network = NafNetwork(approximator.size, naf.hidden_size, self._box, tower, parts.initial("naf"))
        capacity = max(learner.batch_lock_steps, naf.window + 1, naf.memory_steps // learner.num_envs)
        self._past = ReplayMemory(capacity, learner.num_envs, parts.space, parts.theta, approximator.size)
        self.memory = self._past
        self._replay = Stream("replay", parts.shared_seed)

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        return (self.network.group,)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"naf/target": self.network.target.values}

    def behaviour(self, update: int) -> Scores:
        return self.network.rule()

    def own(self, update: int) -> Array:
        naf = self.naf
        share: float = naf.noise + (naf.final_noise - naf.noise) * (update / self.settings.updates)
        deviation: Array = share * self._box.half_width
        return deviation

    def greedy(self) -> Scores:
        return self.network.rule()

    def value(self) -> Callable[[Array], Array]:
        return self.network.values(self.network.group)

    def improve(self, batch: Batch, states: Array, update: int) -> dict[str, float]:
        """Remember the batch; then ``naf.steps`` steps of the critic."""
        naf, memory = self.naf, self._past
        memory.add(batch)
        losses: dict[str, float] = {}
        if memory.count * batch.copies < naf.first_steps or not memory.holds(naf.window):
            return losses
        share = naf.final_learning_rate_share
        rate = step_size(self.settings, "critic", naf.learning_rate, share, update)
        for step in range(naf.steps):
            address = (update - 1) * naf.steps + step
            windows = memory.windows(self._replay, address, naf.windows, naf.window, naf.warm_up, batch.reward_scale)
            states, losses = self.parts.approximator.improve(windows, self.settings, update)
            losses["critic"] = self._descend(windows, states, rate)
            self.network.target.follow(naf.target_rate)
        return losses

    def _descend(self, windows: Batch, states: Array, rate: float) -> float:
        rows = windows.steps * windows.copies
        goes_on = (windows.ended[1:] != ENDED_TERMINATED).reshape(rows)
        following = self.network.values(self.network.target)(states[1:].reshape(rows, -1))
        target = windows.scaled_rewards.reshape(rows) + self.settings.discount * (following * goes_on)
        codes = self._box.codes(windows.prescriptions).reshape(rows, -1)
        way, goals = self.network.forward(states[:-1].reshape(rows, -1), codes), Goals(target, windows.valid.reshape(rows))
        values, gradients = way.values.detach().numpy(), Gradients()
        distance = goals.distance(values)
        way.back(goals.gradient(values), gradients)
        self.network.group.descend(gradients, rate, self.naf.gradient_norm)
        return distance
