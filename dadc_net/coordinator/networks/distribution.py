"""psi(. | x): what the outputs of a policy network mean, as a distribution of theta.

    Categorical      outputs are logits of the menu's entries
    Gaussian         outputs are means; the log-deviation is a parameter of its own that does not depend on x (paper, E.2)
    Autoregressive   outputs are logits of the choices of several factors; see ``autoregressive``

On the graph, for gradients: log-density and entropy. Off the graph, for a trust region: log-density, entropy, KL divergence
and the Fisher metric, by which a natural gradient measures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.prescription import Box, Theta
from dadc_net.coordinator.settings.gaussian import GaussianSettings
from dadc_net.exact import functions
from dadc_net.exact.array import Array
from dadc_net.exact.elementary import exp, log, log_softmax
from dadc_net.exact.grid import row_sums

_LOG_DEVIATION = "log-deviation"


class PolicyGraph(ABC):
    """psi at n rows of outputs and the theta that was drawn there, on the graph."""

    @abstractmethod
    def log_density(self, credit: Tensor | None = None) -> Tensor:
        """Of the drawn theta: [n]; to be asked for once. ``credit`` [n, F] weighs factors, where there are several."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """[n], in nats; to be asked for once."""


class PolicyValues(ABC):
    """psi at n rows of outputs and the theta that was drawn there, as numbers."""

    @abstractmethod
    def log_density(self) -> Array:
        """[n]"""

    @abstractmethod
    def entropy(self) -> Array:
        """[n]"""

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
    def graph(self, group: ParameterGroup, outputs: Tensor, drawn: Tensor) -> PolicyGraph:
        """psi of outputs [n, C] with the parameters of ``group``, and theta drawn there: [n], [n, F] or [n, D]."""

    @abstractmethod
    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        """The same off the graph, with copies of the present values."""


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

    def graph(self, group: ParameterGroup, outputs: Tensor, drawn: Tensor) -> PolicyGraph:
        return CategoricalGraph(outputs, drawn)

    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        return _CategoricalValues(log_softmax(outputs), drawn)


class CategoricalGraph(PolicyGraph):
    """A softmax over the menu's entries."""

    def __init__(self, logits: Tensor, drawn: Tensor) -> None:
        self.logits = logits
        """[n, M], for those who ask for neither of these two"""
        self._drawn = drawn

    @cached_property
    def _both(self) -> tuple[Tensor, Tensor]:
        return functions.categorical(self.logits, self._drawn)

    def log_density(self, credit: Tensor | None = None) -> Tensor:
        return self._both[0]

    def entropy(self) -> Tensor:
        return self._both[1]


class _CategoricalValues(PolicyValues):
    def __init__(self, logs: Array, drawn: Theta) -> None:
        self.logs, self._drawn = logs, drawn
        self.chances = exp(logs)

    def log_density(self) -> Array:
        taken: Array = np.take_along_axis(self.logs, self._drawn[:, None], axis=1)[:, 0]
        return taken

    def entropy(self) -> Array:
        return -row_sums(self.chances * self.logs)

    def divergence(self, new: Self) -> Array:
        return row_sums(self.chances * (self.logs - new.logs))

    def fisher(self, change: Array, own: Array, share: Array) -> tuple[Array, Array]:
        return softmax_metric(self.chances, change) * share, own


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

    def graph(self, group: ParameterGroup, outputs: Tensor, drawn: Tensor) -> PolicyGraph:
        return _GaussianGraph(outputs, functions.expand_rows(group.tensors[_LOG_DEVIATION], outputs.shape[0]), drawn)

    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        return _GaussianValues(outputs, group.arrays[_LOG_DEVIATION].copy(), drawn)


class _GaussianGraph(PolicyGraph):
    def __init__(self, means: Tensor, log_deviations: Tensor, drawn: Tensor) -> None:
        self._means, self._logs, self._drawn = means, log_deviations, drawn

    def log_density(self, credit: Tensor | None = None) -> Tensor:
        return functions.gaussian_log_density(self._drawn, self._means, self._logs)

    def entropy(self) -> Tensor:
        return functions.row_sums(self._logs + (functions.HALF_LOG_TWO_PI + 0.5))


class _GaussianValues(PolicyValues):
    def __init__(self, means: Array, log_deviation: Array, drawn: Theta) -> None:
        self.means, self.log_deviation, self._drawn = means, log_deviation, drawn
        self.deviation = exp(log_deviation)

    def log_density(self) -> Array:
        standardised = (self._drawn - self.means) / self.deviation
        return row_sums((standardised * standardised) * -0.5 - self.log_deviation - functions.HALF_LOG_TWO_PI)

    def entropy(self) -> Array:
        return row_sums(np.tile(self.log_deviation + (functions.HALF_LOG_TWO_PI + 0.5), (len(self.means), 1)))

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
