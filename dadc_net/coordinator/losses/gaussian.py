"""(P2) with the KL divergence, as the paper prints it: the likelihood of the next AIS under a Gaussian.

The covariance is the identity (E.1), so the negative log-likelihood is half the squared distance of x_{t+1} from the mean,
up to a constant that is left out. Where the target is not detached, a constant encoder makes it zero: the AIS collapses.
"""

from __future__ import annotations

from torch import Tensor

from dadc_net.exact import functions


def rows(predicted: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """Half the squared distance of each row: one mean [n, X], target [n, X] -> [n]."""
    (mean,) = predicted
    distance = functions.fork(target - mean, 2)
    return functions.row_sums(distance[0] * distance[1]) * 0.5
