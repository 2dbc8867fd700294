"""The kind of psi that a space of theta asks for."""

from __future__ import annotations

from dadc_net.coordinator.networks.autoregressive import Autoregressive
from dadc_net.coordinator.networks.distribution import Categorical, Distribution, Gaussian
from dadc_net.coordinator.prescription import Box, Factored, ThetaSpace
from dadc_net.coordinator.settings.factored import FactoredSettings
from dadc_net.coordinator.settings.gaussian import GaussianSettings


def distribution_over(theta: ThetaSpace, gaussian: GaussianSettings, factored: FactoredSettings) -> Distribution:
    """psi over ``theta``."""
    if isinstance(theta, Box):
        return Gaussian(theta, gaussian)
    if isinstance(theta, Factored):
        return Autoregressive(theta.factors, factored.coupled)
    return Categorical()
