"""No state approximator: the common observation itself is the information state (paper, E.2).

x_t is the code of z_t times a fixed scale. It stands where the state approximator stands, and has nothing to learn.
"""

from __future__ import annotations

import math

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact.acting import Reading
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream


class IdentityEncoder:
    """x_t = scale * code of z_t."""

    def __init__(self, features: int, settings: AisSettings, initial: Stream) -> None:
        """``features``: length of z's code, which comes first in the encoder's inputs."""
        self.settings = settings
        self.size = features
        self.exponent = max(0, math.frexp(settings.feature_scale)[1])
        """|x| <= 2^exponent"""
        self.group = ParameterGroup("ais", {}, initial)

    def encode(self, batch: Batch) -> Array:
        """x_0 .. x_T of a batch: [T+1, E, X]."""
        return batch.inputs[:, :, : self.size] * self.settings.feature_scale + 0.0

    def improve(self, batch: Batch, settings: CoordinatorSettings, update: int) -> tuple[Array, dict[str, float]]:
        """There is nothing to improve: the AIS [T+1, E, X], and no losses."""
        return self.encode(batch), {}

    def behaviour(self) -> Reading:
        """x of one record at a time, the bits of ``encode``."""
        return Reading(self.size, self.settings.feature_scale)
