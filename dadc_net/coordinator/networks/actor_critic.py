"""The network of actor and critic: one trunk with two heads (paper, E.1), or a tower for each (E.2).

    shared     trunk    tanh layers                   on the AIS, detached from the state approximator
               actor    linear                        what psi is made of: logits of a menu or of choices, or means of theta
               critic   tanh layer, linear            V of the coordination rule
    apart      actor    tanh layers, linear
               critic   tanh layers, linear

The policy gradient never shapes the encoder: the AIS enters as data. That keeps the three time scales of Theorem 4
apart, and the authors' own AIS code does the same.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dadc_net.coordinator.networks.distribution import Distribution, PolicyGraph
from dadc_net.coordinator.networks.layers import Tower
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.errors import NumericError
from dadc_net.exact.acting import INPUT_EXPONENT, PreparedTower
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import tanh
from dadc_net.exact.streams import Stream


class ActorCriticNetwork:
    """Parameters vartheta and phi and the functions of them."""

    def __init__(
        self,
        state_size: int,
        outputs: int,
        settings: LearnerSettings,
        distribution: Distribution,
        initial: Stream,
        exponent: int = INPUT_EXPONENT,
    ) -> None:
        """``outputs`` C, length of what psi is made of; ``exponent``: |x| <= 2^exponent."""
        self.distribution = distribution
        width, layers = settings.hidden_size, settings.hidden_layers
        self._shared = settings.shared_trunk
        if self._shared:
            self._actor = Tower.named("trunk", layers, "actor", exponent)
            self._critic = Tower.named("critic.hidden", 1, "critic.output")
            critic_inputs = width
        else:
            self._actor = Tower.named("actor.hidden", layers, "actor", exponent)
            self._critic = Tower.named("critic.hidden", layers, "critic.output", exponent)
            critic_inputs = state_size
        shapes = {**self._actor.shapes(state_size, width, outputs), **self._critic.shapes(critic_inputs, width, 1)}
        self.group = ParameterGroup("actor-critic", {**shapes, **distribution.shapes}, initial)
        distribution.initialise(self.group, "actor")

    def forward(self, states: Tensor, drawn: Tensor) -> tuple[PolicyGraph, Tensor]:
        """psi and values [n] at AIS rows [n, X] and the theta that was drawn there, on the graph."""
        if self._shared:
            trunk = self._actor.features(self.group, states)
            outputs = self._actor.head(self.group, trunk)
            values = self._critic.forward(self.group, trunk)
        else:
            outputs = self._actor.forward(self.group, states)
            values = self._critic.forward(self.group, states)
        return self.distribution.graph(self.group, outputs, drawn), values.reshape(-1)

    def acting(self) -> PreparedTower:
        """AIS [E, X] -> the actor's outputs [E, C], with the bits that ``forward`` has before its distribution."""
        return self._actor.acting(self.group)

    def values(self, states: Array) -> Array:
        """V of AIS rows [n, X] -> [n], off the graph.

        Raises:
            NumericError: if a value is not finite.
        """
        if self._shared:
            for layer in self._actor.acting(self.group).hidden:
                states = tanh(layer(states))
        values: Array = self._critic.acting(self.group)(states)[:, 0]
        if not np.isfinite(values).all():
            raise NumericError(
                "the values of actor-critic/critic.output are NaN or infinite. Every replica stops here with the same "
                "message. Lower learner.learning_rate, or clip with learner.gradient_norm."
            )
        return values
