"""psi(. | x): what the outputs of a policy network mean, as a distribution of theta.

    Categorical      outputs are logits of the menu's entries
    Gaussian         outputs are means; the log-deviation is a parameter of its own that does not depend on x (paper, E.2)
    Autoregressive   outputs are logits of the choices of several factors; see ``autoregressive``

Log-density and entropy with their gradients; and for a trust region the KL divergence and the Fisher metric, by which a
natural gradient measures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.prescription import Box, Theta
from dadc_net.coordinator.settings.gaussian import GaussianSettings
from dadc_net.exact import categorical as softmax
from dadc_net.exact import gaussian
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import exp, log
from dadc_net.exact.grid import column_sums, row_sums

_LOG_DEVIATION = "log-deviation"


class PsiGradient(NamedTuple):
    """Gradients of what psi is made of."""

    outputs: Array
    """[n, C]"""
    own: dict[str, Array]
    """Of psi's own parameters, by name."""


class PolicyValues(ABC):
    """psi at n rows of outputs and the theta that was drawn there."""

    @abstractmethod
    def log_density(self, credit: Array | None = None) -> Array:
        """Of the drawn theta: [n]. ``credit`` [n, F] weighs factors, where there are several."""

    @abstractmethod
    def entropy(self) -> Array:
        """[n], in nats."""

    @abstractmethod
    def back(self, log_density: Array, entropy: Array | None, credit: Array | None = None) -> PsiGradient:
        """Gradients of a loss, from those with respect to log-density (under ``credit``) and entropy, [n] both; None: 0."""

    @abstractmethod
    def divergence(self, new: Self) -> Array:
        """KL(self || new) [n]; both of the same kind and the same drawn theta."""

    @abstractmethod
    def fisher(self, change: Array, own: Array, share: Array) -> tuple[Array, Array]:
        """Fisher metric, averaged over rows, times a change of the outputs and of psi's own parameters.

        Args:
            change: [n, C] of the outputs.
            own: [P_own] of the parameters that psi has beside the network's, flat; empty where there are none.
            share: [n, 1] of each row in the mean.

        Returns:
            [n, C] and [P_own].
        """


class Distribution(ABC):
    """A kind of psi."""

    shapes: dict[str, Shape]
    """Parameters of its own, beside the network's."""

    @abstractmethod
    def initialise(self, group: ParameterGroup, output: str) -> None:
        """Set first values in ``group``, whose output layer is ``output``."""

    @abstractmethod
    def clamp(self, group: ParameterGroup) -> None:
        """Bring its own parameters back to where they may be, after a step."""

    @abstractmethod
    def rates(self, group: ParameterGroup, rate: float, own_share: float) -> Array | float:
        """Step sizes of ``group``: ``rate``, and for its own parameters their step size times ``own_share``."""

    @abstractmethod
    def own(self, group: ParameterGroup) -> Array:
        """What ``ThetaSpace.draw`` needs beside the outputs, from its own parameters."""

    @abstractmethod
    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        """psi of outputs [n, C] with the parameters of ``group``, of which it copies its own, and theta drawn there.

        Args:
            drawn: [n], [n, F] or [n, D].
        """


class Categorical(Distribution):
    """Softmax over a menu."""

    shapes: dict[str, Shape] = {}  # noqa: RUF012 - never written to

    def initialise(self, group: ParameterGroup, output: str) -> None:
        return None

    def clamp(self, group: ParameterGroup) -> None:
        return None

    def rates(self, group: ParameterGroup, rate: float, own_share: float) -> Array | float:
        return rate

    def own(self, group: ParameterGroup) -> Array:
        return np.zeros(0)

    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        return CategoricalValues(outputs, drawn)


class CategoricalValues(PolicyValues):
    """A softmax over the menu's entries."""

    def __init__(self, logits: Array, drawn: Theta) -> None:
        self.drawn = np.ascontiguousarray(drawn)
        self.found = softmax.forward(logits, self.drawn)

    def log_density(self, credit: Array | None = None) -> Array:
        return self.found.taken

    def entropy(self) -> Array:
        return self.found.entropy

    def back(self, log_density: Array, entropy: Array | None, credit: Array | None = None) -> PsiGradient:
        d_entropy = np.zeros(len(self.drawn)) if entropy is None else entropy
        return PsiGradient(softmax.backward(self.found, self.drawn, log_density, d_entropy), {})

    def divergence(self, new: Self) -> Array:
        return row_sums(self.found.chances * (self.found.logs - new.found.logs))

    def fisher(self, change: Array, own: Array, share: Array) -> tuple[Array, Array]:
        return softmax_metric(self.found.chances, change) * share, own


def softmax_metric(chances: Array, change: Array) -> Array:
    """(diag p - p p^T) times a change of the logits, row by row: [n, M] -> [n, M]."""
    mean = row_sums(chances * change)[:, None]
    weighted: Array = chances * (change - mean)
    return weighted


class Gaussian(Distribution):
    """Independent Gaussians around the outputs."""

    def __init__(self, box: Box, settings: GaussianSettings) -> None:
        self._box, self._settings = box, settings
        self.shapes = {_LOG_DEVIATION: (box.code_size,)}
        self._least, self._most = log(np.array([settings.least_deviation, settings.most_deviation]))

    def initialise(self, group: ParameterGroup, output: str) -> None:
        group.arrays[_LOG_DEVIATION][:] = log(np.array([self._settings.deviation]))
        group.arrays[f"{output}.bias"] += self._box.centre

    def clamp(self, group: ParameterGroup) -> None:
        own = group.arrays[_LOG_DEVIATION]
        own[:] = np.minimum(np.maximum(own, self._least), self._most)

    def rates(self, group: ParameterGroup, rate: float, own_share: float) -> Array | float:
        rates: Array = np.full(group.size, rate)
        rates[group.slices[_LOG_DEVIATION]] = self._settings.learning_rate * own_share
        return rates

    def own(self, group: ParameterGroup) -> Array:
        return exp(group.arrays[_LOG_DEVIATION])

    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        return _GaussianValues(outputs, group.arrays[_LOG_DEVIATION].copy(), drawn)


class _GaussianValues(PolicyValues):
    def __init__(self, means: Array, log_deviation: Array, drawn: Theta) -> None:
        self.means, self.log_deviation = means, log_deviation
        self._found = gaussian.forward(drawn, means, log_deviation)
        self.deviation = self._found.deviation

    def log_density(self, credit: Array | None = None) -> Array:
        return self._found.rows

    def entropy(self) -> Array:
        return row_sums(np.tile(self.log_deviation + (gaussian.HALF_LOG_TWO_PI + 0.5), (len(self.means), 1)))

    def back(self, log_density: Array, entropy: Array | None, credit: Array | None = None) -> PsiGradient:
        means, logs = gaussian.backward(self._found, log_density)
        if entropy is not None:
            logs = logs + entropy[:, None]
        return PsiGradient(means, {_LOG_DEVIATION: column_sums(logs)})

    def divergence(self, new: Self) -> Array:
        shift = self.means - new.means
        spread = self.deviation * self.deviation + shift * shift
        return row_sums(
            (new.log_deviation - self.log_deviation) + spread / (2.0 * (new.deviation * new.deviation)) - 0.5
        )

    def fisher(self, change: Array, own: Array, share: Array) -> tuple[Array, Array]:
        weighted: Array = change / (self.deviation * self.deviation)
        return weighted * share, 2.0 * own


def drawn_rows(prescriptions: NDArray[np.float64] | NDArray[np.int64], rows: int) -> Theta:
    """Drawn theta of a batch, [T, E], [T, E, F] or [T, E, D], as rows."""
    flat: Theta = prescriptions.reshape(rows, *prescriptions.shape[2:])
    return flat
