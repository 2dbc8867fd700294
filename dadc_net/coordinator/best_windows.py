"""Self-imitation (Oh et al., 2018): what went better than the critic expects is followed again, long after it was drawn.

Where success takes several agents at once it is rare while prescriptions are random, and what each agent can have alone is
learned before chance has shown it twice: a batch with one success in it moves a rule by next to nothing. Columns of batches
that held such steps are kept, and their scores join every policy gradient,

    policy gain    + w sum over kept steps of max(0, G_t - V(x_t)) log psi(theta_t | x_t) / steps of the batch

G_t is the return to the window's end, where V(x_T) stands for the rest. If advantages are normalised, the difference is in
deviations of the present batch's, at most LARGEST. Only steps after a begin within the window count: their AIS is made anew
by the present encoder. What is kept is chosen at every update, by the same differences with the present critic, so that a
window goes once the critic expects what happened there.

Bias: luck is taken for skill. A return above V may be chance, and only such returns are followed. Hence w falls to 0, after
which the rule learns from its own batches alone; and steps count only from ``imitation_least`` deviations on. A success of
probability p lies sqrt((1 - p) / p) deviations above the mean: a bound of 3 lets rare success through, leaves it to the
batches once it comes up in a tenth of them, and leaves out what luck does at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.advantage import generalised_advantages, unit_of
from dadc_net.coordinator.algorithm import Parts
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.networks.distribution import drawn_rows
from dadc_net.coordinator.prescription import Theta
from dadc_net.coordinator.schedule import imitation_weight
from dadc_net.exact.array import Array
from dadc_net.exact.grid import column_sums

LARGEST = 20.0
"""Deviations that one step counts for at most."""
Value = Callable[[Array], Array]
"""AIS [n, X] -> V [n]"""


class Repeated(NamedTuple):
    """The kept steps of n = T N rows; all data."""

    states: Array
    """[n, X]"""
    drawn: Theta
    """theta as it was drawn: int64 [n] or [n, F], or float64 [n, D]"""
    weights: Array
    """[n] max(0, G - V), 0 where a step does not count"""
    credit: Array | None
    """[n, F] which choices answer for what followed; None: all"""


class BestWindows:
    """The N columns, of T lock-steps each, that went best beyond expectation."""

    def __init__(self, parts: Parts) -> None:
        """Whether choices are credited one by one is the settings' ``revealed``."""
        self.settings = settings = parts.settings
        steps, kept = settings.learner.batch_lock_steps, settings.learner.kept_windows
        self._parts, self._kept = parts, kept
        self._rows: dict[str, NDArray[Any]] = {
            "inputs": np.zeros((steps + 1, kept, parts.space.feature_size + parts.theta.code_size)),
            "keep": np.ones((steps + 1, kept, 1)),
            "prescriptions": parts.theta.zeros(steps, kept),
            "rewards": np.zeros((steps, kept)),
            "ended": np.zeros((steps + 1, kept), dtype=np.uint8),
        }
        if settings.revealed:
            self._rows["credit"] = np.zeros((steps, kept, self._rows["prescriptions"].shape[2]))

    @classmethod
    def asked_for(cls, parts: Parts) -> BestWindows | None:
        """Nothing yet, where the settings want imitation; None: they want none."""
        return cls(parts) if parts.settings.learner.imitation_weight > 0.0 else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept, by full name, not copied; names are the same however much it is."""
        return {f"imitation/{name}": rows for name, rows in self._rows.items()}

    def repeated(self, value: Value, batch: Batch, states: Array, values: Array | None = None) -> Repeated:
        """Choose from what is kept and from ``batch`` what is kept from now on, and is to be followed again.

        Args:
            states: [T+1, E, X] AIS of the batch.
            values: [T+1, E] what ``value`` says of them, where that is known already.
        """
        kept = self._kept_batch(batch)
        again = self._parts.approximator.encode(kept)
        present = _values(value, states) if values is None else values
        past, now = self._advantages(_values(value, again), kept), self._advantages(present, batch)
        learner, deviation = self._parts.settings.learner, unit_of(now, batch.valid)
        beyond = np.concatenate((_beyond(kept, past), _beyond(batch, now)), axis=1)
        beyond = np.where(beyond >= learner.imitation_least * deviation, beyond, 0.0)
        if learner.normalise_advantages:
            beyond = np.minimum(beyond / deviation, LARGEST)
        chosen: NDArray[np.int64] = np.argsort(-column_sums(beyond), kind="stable")[: self._kept]
        self._keep(batch, chosen)
        rows, credit = batch.steps * self._kept, self._rows.get("credit")
        return Repeated(
            np.concatenate((again, states), axis=1)[:-1, chosen].reshape(rows, -1),
            drawn_rows(self._rows["prescriptions"].copy(), rows),
            beyond[:, chosen].reshape(rows),
            None if credit is None else credit.copy().reshape(rows, -1),
        )

    def _advantages(self, values: Array, batch: Batch) -> Array:
        """G_t - V(x_t) [T, E], of values [T+1, E]."""
        return generalised_advantages(batch, values, self._parts.settings.discount, 1.0)

    def _keep(self, batch: Batch, chosen: NDArray[np.int64]) -> None:
        given: dict[str, NDArray[Any] | None] = {
            "inputs": batch.inputs,
            "keep": batch.keep,
            "prescriptions": batch.prescriptions,
            "rewards": batch.rewards,
            "ended": batch.ended,
            "credit": batch.credit,
        }
        for name, columns in given.items():
            if name in self._rows and columns is not None:
                self._rows[name][...] = np.concatenate((self._rows[name], columns), axis=1)[:, chosen]

    def _kept_batch(self, batch: Batch) -> Batch:
        """What is kept, as a batch of N copies on the present scale; nobody looks at its z."""
        rows = self._rows
        return Batch(
            inputs=rows["inputs"],
            keep=rows["keep"],
            start=np.zeros((self._kept, self._parts.approximator.size)),
            common_index=batch.common_index[:, :0],
            prescriptions=rows["prescriptions"],
            rewards=rows["rewards"],
            ended=rows["ended"],
            reward_scale=batch.reward_scale,
        )


def repeated_of(
    best: BestWindows | None, value: Value, batch: Batch, states: Array, update: int, values: Array | None = None
) -> Repeated | None:
    """``best.repeated`` while imitation has a weight; None: nothing is followed again."""
    if best is None or imitation_weight(best.settings, update) == 0.0:
        return None
    return best.repeated(value, batch, states, values)


def _values(value: Value, states: Array) -> Array:
    """V of AIS [T+1, E, X]: [T+1, E]."""
    return value(states.reshape(-1, states.shape[2])).reshape(states.shape[:2])


def _beyond(batch: Batch, advantages: Array) -> Array:
    """max(0, G - V) [T, E] where an episode has begun in the window; elsewhere 0."""
    begun = np.maximum.accumulate(batch.keep[:-1, :, 0] == 0.0, axis=0)
    beyond: Array = np.maximum(advantages, 0.0) * (batch.valid * begun)
    return beyond
