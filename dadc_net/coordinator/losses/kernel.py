"""(P2) with the maximum mean discrepancy (Gretton et al., 2012) under a Gaussian kernel.

The prediction is a cloud of S particles y_1 .. y_S, the target one sample x. With k(a, b) = exp(-|a - b|^2 / X):

    1 / S^2 sum_{s, s'} k(y_s, y_s')  -  2 / S sum_s k(y_s, x)  +  1

The kernel |a - b|^2 of the AIS literature would leave only the squared distance of the cloud's mean: that is the Gaussian
loss with a detached target, which is there already.
"""

from __future__ import annotations

from itertools import combinations

from torch import Tensor

from dadc_net.exact import functions


def kernel(difference: Tensor) -> Tensor:
    """k of each row's difference: [n, X] -> [n]."""
    parts = functions.fork(difference, 2)
    return functions.exp(functions.row_sums(parts[0] * parts[1]) * (-1.0 / difference.shape[1]))


def rows(predicted: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """The squared discrepancy of each row: S particles [n, X], target [n, X] -> [n]."""
    count = len(predicted)
    uses = [functions.fork(particle, count) for particle in predicted]
    targets = functions.fork(target, count)
    total = kernel(uses[0][0] - targets[0]) * (-2.0 / count) + (1.0 + 1.0 / count)
    for particle in range(1, count):
        total = total - kernel(uses[particle][0] - targets[particle]) * (2.0 / count)
    for one, other in combinations(range(count), 2):
        # Particle p's copies 1 .. S-1 go to the pairs it is in, in the order of its partners.
        total = total + kernel(uses[one][other] - uses[other][one + 1]) * (2.0 / (count * count))
    return total
