"""The network that actor and critic share (paper, E.1): one trunk, two heads.

    trunk    linear, tanh                     on the AIS, detached from the state approximator
    actor    linear, log-softmax              psi: a distribution over the prescription menu
    critic   linear, tanh, linear             V of the coordination rule

The policy gradient never shapes the encoder: the AIS enters as data. That keeps the three time scales of Theorem 4
apart, and the authors' own AIS code does the same.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dadc_net.coordinator.layers import linear, linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup
from dadc_net.errors import NumericError
from dadc_net.exact import functions
from dadc_net.exact.acting import HiddenLayer, PreparedLinear
from dadc_net.exact.elementary import tanh
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class ActorCriticNetwork:
    """Parameters vartheta and phi and the functions of them."""

    def __init__(self, ais_size: int, hidden: int, entries: int, initial: Stream) -> None:
        shapes = {
            **linear_shapes("trunk", ais_size, hidden),
            **linear_shapes("actor", hidden, entries),
            **linear_shapes("critic.hidden", hidden, hidden),
            **linear_shapes("critic.output", hidden, 1),
        }
        self.group = ParameterGroup("actor-critic", shapes, initial)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [n, M] and values [n] of AIS rows [n, X], on the graph."""
        trunk = functions.tanh(linear(self.group, "trunk", states))
        log_probabilities = functions.log_softmax(linear(self.group, "actor", trunk))
        critic = functions.tanh(linear(self.group, "critic.hidden", trunk))
        return log_probabilities, linear(self.group, "critic.output", critic).reshape(-1)

    def acting(self) -> HiddenLayer:
        """AIS [E, X] -> the actor's logits [E, M], with the bits that ``forward`` has before its log-softmax."""
        return HiddenLayer.of(self.group, "trunk", "actor")

    def values(self, states: Array) -> Array:
        """V of AIS rows [n, X] -> [n], off the graph.

        Raises:
            NumericError: if a value is not finite.
        """
        trunk = tanh(PreparedLinear.of(self.group, "trunk")(states))
        hidden = tanh(PreparedLinear.of(self.group, "critic.hidden")(trunk))
        values: Array = PreparedLinear.of(self.group, "critic.output")(hidden)[:, 0]
        if not np.isfinite(values).all():
            raise NumericError(
                "the values of actor-critic/critic.output are NaN or infinite. Every replica stops here with the same "
                "message. Lower learner.learning_rate, or clip with learner.gradient_norm."
            )
        return values
