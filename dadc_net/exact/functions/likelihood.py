"""Entropy and log-densities, put together from the other functions."""

from __future__ import annotations

from torch import Tensor

from dadc_net.exact import gaussian
from dadc_net.exact.functions.bridge import to_numpy
from dadc_net.exact.functions.linear import fork, row_sums
from dadc_net.exact.functions.nonlinear import divide, exp


def entropy(log_probabilities: Tensor) -> Tensor:
    """-sum p log p of each row of log-probabilities: [n, m] -> [n], in nats."""
    logs = fork(log_probabilities, 2)
    return -row_sums(exp(logs[0]) * logs[1])


def gaussian_log_density(x: Tensor, mean_: Tensor, log_deviation: Tensor) -> Tensor:
    """log density of independent Gaussians, summed along rows: three [n, m] tensors -> [n].

    The deviation is exp of ``log_deviation``.

    Raises:
        NumericError: if a log-deviation lies outside -8 .. 8.
    """
    gaussian.require_domain(to_numpy(log_deviation))
    logs = fork(log_deviation, 2)
    standardised = divide(x - mean_, exp(logs[0]))
    scores = fork(standardised, 2)
    return row_sums((scores[0] * scores[1]) * -0.5 - logs[1] - gaussian.HALF_LOG_TWO_PI)
