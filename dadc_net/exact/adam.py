"""Adam (Kingma and Ba, 2014) and gradient-norm clipping as fixed sequences of IEEE operations.

Elementwise NumPy only: + - * / and np.sqrt are correctly rounded on every platform, which torch.sqrt and torch's
optimisers are not. The powers beta^t of the bias correction are running products, because pow follows the host's libm.
Moments and powers below 2^-300 are set to zero long before they become subnormal: beta1^t would get there after 6,700
steps and then stay at the smallest number for ever, where a host that flushes subnormals parts from one that does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dadc_net.errors import NumericError
from dadc_net.exact.array import Array
from dadc_net.exact.grid import total

_FLOOR = math.ldexp(1.0, -300)


@dataclass
class Adam:
    """Optimiser state of one flat vector of ``size`` parameters."""

    size: int
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    square_root: Callable[[Array], Array] = np.sqrt
    """Replaced only by negative controls, which must be caught."""
    first: Array = field(init=False)
    second: Array = field(init=False)
    powers: Array = field(init=False)
    """beta1^t and beta2^t after t steps."""

    def __post_init__(self) -> None:
        self.first = np.zeros(self.size)
        self.second = np.zeros(self.size)
        self.powers = np.ones(2)

    def step(self, parameters: Array, gradient: Array, learning_rate: Array | float) -> None:
        """One descent step, in place: parameters [P], gradient [P]; one step size, or one per parameter.

        Raises:
            NumericError: if the new parameters or moments are not finite.
        """
        self.powers *= (self.beta1, self.beta2)
        self.powers[self.powers < _FLOOR] = 0.0
        self.first *= self.beta1
        self.first += (1.0 - self.beta1) * gradient
        self.second *= self.beta2
        self.second += (1.0 - self.beta2) * (gradient * gradient)
        self.first[np.abs(self.first) < _FLOOR] = 0.0
        self.second[self.second < _FLOOR] = 0.0
        mean = self.first / (1.0 - self.powers[0])
        deviation = self.square_root(self.second / (1.0 - self.powers[1]))
        deviation += self.epsilon
        parameters -= learning_rate * (mean / deviation)
        # A second moment that overflowed would freeze its parameter silently: anything divided by infinity is 0.
        if not (np.isfinite(parameters).all() and np.isfinite(self.second).all()):
            raise NumericError(
                "an Adam step made a parameter or its second moment NaN or infinite. Every replica stops here with the "
                "same message. Lower the learning rate, or clip with a positive gradient_norm."
            )


def gradient_norm(gradient: Array) -> float:
    """Euclidean norm of a flat gradient [P]: the exact sum of its squares on a grid, then one IEEE square root."""
    return math.sqrt(total(gradient * gradient))


def clip_norm(gradient: Array, largest: float) -> float:
    """Scale ``gradient`` in place so that its norm is at most ``largest``; return the norm it had."""
    norm = gradient_norm(gradient)
    if norm > largest:
        gradient *= largest / norm
    return norm
