"""psi at the outputs of a network, and the way back through both."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dadc_net.coordinator.networks.distribution import PolicyValues
from dadc_net.coordinator.networks.parameters import Gradients
from dadc_net.exact.array import Array


class Backwards(Protocol):
    """A network at given inputs."""

    def back(self, gradient: Array, into: Gradients) -> object:
        """From the gradient [n, C] of the outputs those of the parameters, which go ``into``."""


class PolicyPass(NamedTuple):
    """psi of a network's outputs at n rows."""

    psi: PolicyValues
    network: Backwards

    def back(
        self, log_density: Array, entropy: Array | None, into: Gradients, credit: Array | None = None
    ) -> None:
        """As ``PolicyValues.back``; the parameters' gradients go ``into``."""
        found = self.psi.back(log_density, entropy, credit)
        self.network.back(found.outputs, into)
        for name, gradient in found.own.items():
            into.add(name, gradient)
