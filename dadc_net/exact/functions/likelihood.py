"""Entropy and log-densities, put together from the other functions."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dadc_net.errors import NumericError
from dadc_net.exact import elementary
from dadc_net.exact.functions.bridge import to_numpy
from dadc_net.exact.functions.linear import fork, row_sums
from dadc_net.exact.functions.nonlinear import divide, exp

HALF_LOG_TWO_PI = 0.9189385332046727


def entropy(log_probabilities: Tensor) -> Tensor:
    """-sum p log p of each row of log-probabilities: [n, m] -> [n], in nats."""
    logs = fork(log_probabilities, 2)
    return -row_sums(exp(logs[0]) * logs[1])


def gaussian_log_density(x: Tensor, mean_: Tensor, log_deviation: Tensor) -> Tensor:
    """log density of independent Gaussians, summed along rows: three [n, m] tensors -> [n].

    The deviation is exp of ``log_deviation``, which has to lie in -8 .. 8: above, exp has no grid; below, its grid is
    coarse against its value (at -8 the deviation is right to 1.4e-6). log(2 pi) / 2 is one stated float64.

    Raises:
        NumericError: if a log-deviation lies outside -8 .. 8.
    """
    if not np.all(np.abs(to_numpy(log_deviation)) <= elementary.EXP_MAX):
        raise NumericError(
            f"a log-deviation is outside -{elementary.EXP_MAX} .. {elementary.EXP_MAX} or NaN. The density would lose "
            "its accuracy. Clamp it."
        )
    logs = fork(log_deviation, 2)
    standardised = divide(x - mean_, exp(logs[0]))
    scores = fork(standardised, 2)
    return row_sums((scores[0] * scores[1]) * -0.5 - logs[1] - HALF_LOG_TWO_PI)
