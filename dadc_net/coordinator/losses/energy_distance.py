"""(P2) with the energy distance (Szekely and Rizzo, 2004), a distance of the Wasserstein kind that needs no inner maximum.

The prediction is a cloud of S particles y_1 .. y_S, the target one sample x:

    2 / S sum_s |y_s - x|  -  1 / S^2 sum_{s, s'} |y_s - y_s'|

whose expectation over x is, up to a constant, the energy distance of the cloud from the law of x.
"""

from __future__ import annotations

from itertools import combinations

from torch import Tensor

from dadc_net.exact import functions

_SMALLEST = 2.0**-40
"""Added to a squared length, so that the gradient of a length is finite at 0."""


def length(difference: Tensor) -> Tensor:
    """Euclidean length of each row: [n, X] -> [n]."""
    parts = functions.fork(difference, 2)
    return functions.sqrt(functions.row_sums(parts[0] * parts[1]) + _SMALLEST)


def rows(predicted: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """The distance of each row: S particles [n, X], target [n, X] -> [n]."""
    count = len(predicted)
    uses = [functions.fork(particle, count) for particle in predicted]
    targets = functions.fork(target, count)
    total = length(uses[0][0] - targets[0]) * (2.0 / count)
    for particle in range(1, count):
        total = total + length(uses[particle][0] - targets[particle]) * (2.0 / count)
    for one, other in combinations(range(count), 2):
        # Particle p's copies 1 .. S-1 go to the pairs it is in, in the order of its partners.
        difference = uses[one][other] - uses[other][one + 1]
        total = total - length(difference) * (2.0 / (count * count))
    return total
