"""psi over a theta of several finite factors: each choice is drawn from a softmax that sees the choices before it.

    logits of factor f = outputs_f(x) + sum over earlier factors g of W[g, choice of g, f]
    log psi(theta | x) = sum_f log p_f(theta_f | x, theta_1 .. theta_{f-1})

W, the coupling, is strictly block-triangular and starts at zero, where factors are independent. Independent factors cannot
say "both or neither" while they are random; with W every joint distribution of two factors can be said, and of more factors
those whose conditional log-odds are sums over earlier choices.

Entropy, divergence and Fisher metric are those of the conditional distributions along the theta that was drawn, summed over
factors. By the chain rule their mean over theta drawn from psi is the entropy, divergence or metric of the joint
distribution: the values are unbiased and cost what a pass costs, where the sum over all theta would cost the product of the
sizes. The gradient of the entropy bonus takes the drawn choices as they are: it leaves out that changed choices would come
to other conditionals. In trpo theta is drawn from the old rule, which is the one that KL(old || new) and the metric average
over.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from dadc_net.coordinator.factors import Alike, Factors
from dadc_net.coordinator.networks.distribution import Distribution, PolicyValues, PsiGradient, softmax_metric
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.prescription import Theta
from dadc_net.exact import categorical as softmax
from dadc_net.exact import grid, layers
from dadc_net.exact.acting import INPUT_EXPONENT
from dadc_net.exact.array import Array
from dadc_net.exact.grid import row_sums

_COUPLING = "coupling"


class Autoregressive(Distribution):
    """A product of conditional softmaxes."""

    def __init__(self, factors: Factors, coupled: bool) -> None:
        """``coupled``: whether later factors see earlier ones; otherwise they are independent, and there is no W."""
        self._factors, self._coupled = factors, coupled
        self.shapes: dict[str, Shape] = {_COUPLING: (factors.code_size, factors.code_size)} if coupled else {}

    def initialise(self, group: ParameterGroup, output: str) -> None:
        if self._coupled:
            group.arrays[_COUPLING][:] = 0.0

    def clamp(self, group: ParameterGroup) -> None:
        return None

    def rates(self, group: ParameterGroup, rate: float, own_share: float) -> Array | float:
        return rate

    def own(self, group: ParameterGroup) -> Array:
        """W on the grid of its product with a code; empty where factors are independent."""
        if not self._coupled:
            return np.zeros(0)
        coupling = group.arrays[_COUPLING] * self._factors.earlier
        return grid.operand(coupling, self._factors.code_size).values

    def values(self, group: ParameterGroup, outputs: Array, drawn: Theta) -> PolicyValues:
        codes = self._factors.codes(drawn)
        logits = outputs
        if self._coupled:
            coupling = group.arrays[_COUPLING] * self._factors.earlier
            logits = outputs + layers.product(codes, coupling, INPUT_EXPONENT)
        return _Values(self._factors, logits, drawn, codes, self._coupled)


class _Values(PolicyValues):
    """Alike factors are handled at once, as rows [n F_s, size] of logits of the conditional distributions."""

    def __init__(self, factors: Factors, logits: Array, drawn: Theta, codes: Array, coupled: bool) -> None:
        self._factors, self._codes, self._coupled = factors, codes, coupled
        self._rows = len(drawn)
        self._drawn = [drawn[:, group.factors].reshape(-1) for group in factors.alike]
        self._found = [softmax.forward(*pair) for pair in zip(self._parts(logits), self._drawn, strict=True)]

    def _parts(self, x: Array) -> list[Array]:
        """[n, C] -> [n F_s, size] for each size."""
        parts = (x[:, group.columns].reshape(-1, group.size) for group in self._factors.alike)
        return [np.ascontiguousarray(part) for part in parts]

    def _joined(self, parts: list[Array]) -> Array:
        """Sum over factors: one [n F_s] for each size -> [n]."""
        return row_sums(np.concatenate([part.reshape(self._rows, -1) for part in parts], axis=1))

    def _spread(self, rows: Array, group: Alike, credit: Array | None = None) -> Array:
        """[n] to each factor of a size: [n F_s], weighed by ``credit`` [n, F]."""
        spread = np.repeat(rows, len(group.factors))
        return spread if credit is None else spread * credit[:, group.factors].reshape(-1)

    def log_density(self, credit: Array | None = None) -> Array:
        logs = [found.taken for found in self._found]
        if credit is not None:
            groups = [credit[:, group.factors].reshape(-1) for group in self._factors.alike]
            logs = [taken * weights for taken, weights in zip(logs, groups, strict=True)]
        return self._joined(logs)

    def entropy(self) -> Array:
        return self._joined([found.entropy for found in self._found])

    def back(self, log_density: Array, entropy: Array | None, credit: Array | None = None) -> PsiGradient:
        outputs = np.empty((self._rows, self._factors.code_size))
        for group, found, drawn in zip(self._factors.alike, self._found, self._drawn, strict=True):
            d_entropy = np.zeros(len(drawn)) if entropy is None else self._spread(entropy, group)
            part = softmax.backward(found, drawn, self._spread(log_density, group, credit), d_entropy)
            outputs[:, group.columns] = part.reshape(self._rows, -1)
        if not self._coupled:
            return PsiGradient(outputs, {})
        coupling = grid.product(np.ascontiguousarray(self._codes.T), outputs, INPUT_EXPONENT) * self._factors.earlier
        return PsiGradient(outputs, {_COUPLING: coupling})

    def divergence(self, new: Self) -> Array:
        pairs = zip(self._found, new._found, strict=True)
        return self._joined([row_sums(found.chances * (found.logs - later.logs)) for found, later in pairs])

    def fisher(self, change: Array, own: Array, share: Array) -> tuple[Array, Array]:
        earlier = self._factors.earlier
        if self._coupled:
            change = change + grid.product(self._codes, own.reshape(earlier.shape) * earlier, INPUT_EXPONENT)
        weighted = np.empty_like(change)
        for group, found, part in zip(self._factors.alike, self._found, self._parts(change), strict=True):
            weighted[:, group.columns] = softmax_metric(found.chances, part).reshape(self._rows, -1)
        weighted *= share
        if not self._coupled:
            return weighted, own
        image = grid.product(np.ascontiguousarray(self._codes.T), weighted, INPUT_EXPONENT) * earlier
        return weighted, image.reshape(-1)
