"""Generalised advantage estimation (Schulman et al., 2016) as a fixed sequence of elementwise steps, backwards in time."""

from __future__ import annotations

import numpy as np

from dadc_net.coordinator.batch import ENDED_NO, ENDED_TERMINATED, Batch
from dadc_net.exact.array import Array
from dadc_net.exact.grid import total

LEAST_DEVIATION = 1e-8
"""Added to a deviation that something is divided by."""
_FEW_COPIES = 8
"""Up to so many, numbers one by one are quicker than an array operation for each step: the same IEEE operations."""


def generalised_advantages(batch: Batch, values: Array, discount: float, trace_decay: float) -> Array:
    """Advantages [T, E] of the steps of a batch.

    delta_t = R_t + gamma V(x_{t+1}) - V(x_t), A_t = delta_t + gamma lambda A_{t+1}. An episode that was truncated at
    record t+1 bootstraps from V(x_{t+1}); one that terminated there does not; neither lets A_{t+1} through.

    Args:
        values: [T+1, E] V(x_t), with the parameters before the update.
    """
    bootstrap = discount * values[1:] * (batch.ended[1:] != ENDED_TERMINATED)
    delta = (batch.scaled_rewards + bootstrap) - values[:-1]
    decay = (discount * trace_decay) * (batch.ended[1:] == ENDED_NO)
    if batch.copies > _FEW_COPIES:
        return _summed_back(delta, decay)
    return np.stack([_summed_back_one(*both) for both in zip(delta.T.tolist(), decay.T.tolist(), strict=True)], axis=1)


def _summed_back(delta: Array, decay: Array) -> Array:
    """A_t = delta_t + decay_t A_{t+1}; all [T, E]."""
    advantages: Array = np.empty_like(delta)
    following = np.zeros(delta.shape[1])
    for t in range(len(delta) - 1, -1, -1):
        following = delta[t] + decay[t] * following
        advantages[t] = following
    return advantages


def _summed_back_one(delta: list[float], decay: list[float]) -> list[float]:
    """The same of one copy; all [T]."""
    advantages = []
    following = 0.0
    for one, kept in zip(reversed(delta), reversed(decay), strict=True):
        following = one + kept * following
        advantages.append(following)
    advantages.reverse()
    return advantages


def normalised(advantages: Array, valid: Array) -> Array:
    """Advantages [T, E], centred and scaled to deviation 1 over the steps that count: where valid [T, E] is 1.0, not 0.0."""
    scaled: Array = centred(advantages, valid) / unit_of(advantages, valid)
    return scaled


def unit_of(advantages: Array, valid: Array) -> float:
    """What normalised advantages are in units of: the deviation of advantages [T, E] over the steps that count."""
    middle = centred(advantages, valid)
    return deviation_of(middle * middle, valid) + LEAST_DEVIATION


def centred(x: Array, valid: Array) -> Array:
    """x [T, E] less its mean over the steps that count."""
    return x - total(x * valid) / max(1.0, float(valid.sum()))


def deviation_of(squares: Array, valid: Array) -> float:
    """Square root of the mean of ``squares`` over the steps that count; both of one shape."""
    return float(np.sqrt(total(squares * valid) / max(1.0, float(valid.sum()))))
