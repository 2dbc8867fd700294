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

from typing import NamedTuple

import numpy as np

from dadc_net.coordinator.networks.distribution import Distribution, PolicyValues
from dadc_net.coordinator.networks.layers import FeaturesPass, LinearPass, Tower, TowerPass
from dadc_net.coordinator.networks.parameters import Gradients, ParameterGroup
from dadc_net.coordinator.networks.policy_pass import Backwards, PolicyPass
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.settings.learner import LearnerSettings
from dadc_net.errors import NumericError
from dadc_net.exact.acting import INPUT_EXPONENT, PreparedTower
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import tanh
from dadc_net.exact.streams import Stream


class _Head(NamedTuple):
    """The actor's head over a trunk that the critic shares."""

    trunk: FeaturesPass
    head: LinearPass
    from_critic: Array
    """[n, width] the critic's part of the trunk's gradient"""

    def back(self, gradient: Array, into: Gradients) -> None:
        """From the gradient [n, C] of the actor's outputs those of the parameters, which go ``into``."""
        self.trunk.back(self.head.back(gradient, into) + self.from_critic, into)


class ActorCriticPass(NamedTuple):
    """Actor and critic at n rows."""

    psi: PolicyValues
    actor: TowerPass | tuple[FeaturesPass, LinearPass]
    """Trunk and head, where the trunk is shared."""
    critic: TowerPass
    values: Array
    """[n]"""

    def back(
        self, value: Array, log_density: Array, entropy: Array, into: Gradients, credit: Array | None = None
    ) -> None:
        """From a loss's gradients with respect to values, log-density and entropy, [n] all, those of the parameters."""
        if isinstance(self.actor, TowerPass):
            self.critic.back(value[:, None], into)
            network: Backwards = self.actor
        else:
            network = _Head(*self.actor, self.critic.back(value[:, None], into, wanted=True))
        PolicyPass(self.psi, network).back(log_density, entropy, into, credit)


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

    def forward(self, states: Array, drawn: Theta) -> ActorCriticPass:
        """psi and values at AIS rows [n, X] and the theta that was drawn there.

        Raises:
            NumericError: if a value is not finite.
        """
        if self._shared:
            trunk = self._actor.features(self.group, states)
            head = self._actor.head(self.group, trunk.outputs)
            critic = self._critic.forward(self.group, trunk.outputs)
            actor: TowerPass | tuple[FeaturesPass, LinearPass] = (trunk, head)
            outputs = head.outputs
        else:
            actor = tower = self._actor.forward(self.group, states)
            critic = self._critic.forward(self.group, states)
            outputs = tower.outputs
        psi = self.distribution.values(self.group, outputs, drawn)
        return ActorCriticPass(psi, actor, critic, _finite(critic.outputs[:, 0]))

    def policy(self, states: Array, drawn: Theta) -> PolicyPass:
        """psi alone, at AIS rows [n, X] and the theta that was drawn there."""
        way = self._actor.forward(self.group, states)
        return PolicyPass(self.distribution.values(self.group, way.outputs, drawn), way)

    def acting(self) -> PreparedTower:
        """AIS [E, X] -> the actor's outputs [E, C], with the bits that ``forward`` has before its distribution."""
        return self._actor.acting(self.group)

    def values(self, states: Array) -> Array:
        """V of AIS rows [n, X] -> [n], without a way back.

        Raises:
            NumericError: if a value is not finite.
        """
        if self._shared:
            for layer in self._actor.acting(self.group).hidden:
                states = tanh(layer(states))
        return _finite(self._critic.acting(self.group)(states)[:, 0])


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise NumericError(
            "the values of actor-critic/critic.output are NaN or infinite. Every replica stops here with the same "
            "message. Lower learner.learning_rate, or clip with learner.gradient_norm."
        )
    return values
