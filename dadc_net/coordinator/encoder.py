"""What makes x_t of common information: the state approximator, or the common observation itself."""

from __future__ import annotations

from typing import Protocol

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.identity_encoder import IdentityEncoder
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import Space


class Behaviour(Protocol):
    """rho with fixed parameters, one record at a time."""

    def __call__(self, inputs: Array, keep: Array, previous: Array, /) -> Array:
        """Encoder inputs [E, I], 0.0 where a copy begins [E, 1], x_{t-1} [E, X] -> x_t [E, X]."""


class Encoder(Protocol):
    """rho and whatever is learned with it."""

    @property
    def size(self) -> int:
        """X, length of x."""

    @property
    def exponent(self) -> int:
        """|x| <= 2^exponent."""

    @property
    def group(self) -> ParameterGroup:
        """Its parameters; none where nothing is learned."""

    def encode(self, batch: Batch) -> Array:
        """x_0 .. x_T of a batch: [T+1, E, X]."""

    def behaviour(self) -> Behaviour:
        """rho with the present parameters for one record at a time, the bits of ``encode``."""

    def improve(self, batch: Batch, settings: CoordinatorSettings, update: int) -> tuple[Array, dict[str, float]]:
        """One step on a batch; the AIS [T+1, E, X] of before, and the losses by name."""


def encoder(settings: CoordinatorSettings, space: Space, theta: ThetaSpace, initial: Stream) -> Encoder:
    """The encoder that the settings ask for; ``space`` of z, ``initial`` the stream of its first parameters."""
    if settings.ais.encoder == "none":
        return IdentityEncoder(space.feature_size, settings.ais, initial)
    return StateApproximator(space, theta, settings.ais, initial)
