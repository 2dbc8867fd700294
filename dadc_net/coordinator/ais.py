"""The state approximator (paper, Section 5 item 1): encoder rho, reward predictor, transition predictor, loss L_AIS.

    u_t = tanh(W [features(z_t), theta_{t-1}] + b)         E.1: one linear layer with tanh
    x_t = GRU(u_t, x_{t-1})                                E.1: one GRU layer; x_t is the AIS
    predicted reward      from [x_t, theta_t]              (P1), smooth L1
    predicted z_{t+1}     from [x_t, theta_t]              (P2b), cross-entropy: the default
    predicted x_{t+1}     from [x_t, theta_t]              (P2), Gaussian with identity covariance: the paper's E.1

Deviation: equation (4) is printed as ascent on a loss that is to be minimised; this is descent. L_nu is printed as a sum
over B - 1 terms beside a mean over B; both are means here, because a sum would drown lambda. The default loss predicts
the next common observation (Section 7, P2b), because (P2) with identity covariance is minimised by a constant encoder,
and collapses to it in practice. The gradient of (P2) flows into its target x_{t+1} too, as printed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.layers import linear, linear_shapes
from dadc_net.coordinator.parameters import ParameterGroup, Shape
from dadc_net.coordinator.prescription import codes
from dadc_net.coordinator.settings import AisSettings
from dadc_net.exact import functions, grid, scan
from dadc_net.exact.acting import PreparedLinear, RecurrentEncoder
from dadc_net.exact.grid import Array
from dadc_net.exact.streams import Stream


class AisLosses(NamedTuple):
    """The parts of L_AIS, for metrics."""

    total: Tensor
    reward: Tensor
    transition: Tensor


def _shapes(inputs: int, entries: int, outcomes: int, settings: AisSettings) -> dict[str, Shape]:
    size = settings.size
    predicted = outcomes if settings.loss == "next-observation" else size
    return {
        **linear_shapes("encoder.input", inputs, size),
        **linear_shapes("encoder.gates", size, 3 * size),
        **linear_shapes("encoder.recurrent", size, 3 * size),
        **linear_shapes("reward.hidden", size + entries, size),
        **linear_shapes("reward.output", size, 1),
        **linear_shapes("transition.hidden", size + entries, size),
        **linear_shapes("transition.output", size, predicted),
    }


class StateApproximator:
    """Parameters xi and the functions of them."""

    def __init__(self, inputs: int, entries: int, outcomes: int, settings: AisSettings, initial: Stream) -> None:
        """``inputs`` I = features of z plus M; ``entries`` M; ``outcomes`` number of values of z."""
        self.settings = settings
        self.entries = entries
        self.group = ParameterGroup("ais", _shapes(inputs, entries, outcomes, settings), initial)

    def encode(self, batch: Batch) -> Tensor:
        """x_0 .. x_T of a batch on the graph: [T+1, E, X]."""
        records, copies, inputs = batch.inputs.shape
        flat = torch.from_numpy(batch.inputs.reshape(records * copies, inputs))
        embedded = functions.tanh(linear(self.group, "encoder.input", flat))
        gates = linear(self.group, "encoder.gates", embedded).reshape(records, copies, 3 * self.settings.size)
        recurrent = self.group.tensors["encoder.recurrent.weight"], self.group.tensors["encoder.recurrent.bias"]
        return scan.recurrent_scan(gates, batch.keep, batch.start, *recurrent)

    def losses(self, batch: Batch, states: Tensor) -> AisLosses:
        """L_AIS of a batch: states [T+1, E, X] from ``encode``; masked means over the steps that happened."""
        rows = batch.steps * batch.copies
        valid = torch.from_numpy(batch.valid.reshape(rows))
        count = max(1.0, float(batch.valid.sum()))
        theta = torch.from_numpy(codes(batch.prescriptions.reshape(rows), self.entries))
        known = torch.cat((states[:-1].reshape(rows, self.settings.size), theta), dim=1)
        predicted_reward = self._head("reward", known).reshape(rows)
        error = predicted_reward - torch.from_numpy(batch.rewards.reshape(rows))
        reward = functions.mean(functions.smooth_l1(error) * valid, count)
        transition = functions.mean(self._transition_loss(batch, states, known) * valid, count)
        weight = self.settings.reward_loss_weight
        return AisLosses(reward * weight + transition * (1.0 - weight), reward, transition)

    def _head(self, name: str, known: Tensor) -> Tensor:
        return linear(self.group, f"{name}.output", functions.tanh(linear(self.group, f"{name}.hidden", known)))

    def _transition_loss(self, batch: Batch, states: Tensor, known: Tensor) -> Tensor:
        """Loss of each step's prediction: [T E]."""
        predicted = self._head("transition", known)
        if self.settings.loss == "next-observation":
            happened = torch.from_numpy(batch.common_index[1:].reshape(-1))
            return -functions.pick(functions.log_softmax(predicted), happened)
        # -log of a Gaussian with identity covariance, its constant left out: half the squared distance.
        distance = functions.fork(states[1:].reshape(predicted.shape) - predicted, 2)
        return functions.row_sums(distance[0] * distance[1]) * 0.5

    def acting(self) -> RecurrentEncoder:
        """rho with its present parameters for one record at a time, the bits of ``encode``."""
        names = ("encoder.input", "encoder.gates", "encoder.recurrent")
        return RecurrentEncoder(*(PreparedLinear.of(self.group.arrays, name) for name in names))


def spread(states: Array) -> float:
    """Mean over coordinates of the standard deviation of x over a batch [n, X]; near 0 when the AIS has collapsed.

    A diagnostic: it is printed and logged, and never enters learning.
    """
    rows = float(states.shape[0])
    mean = grid.column_sums(states) / rows
    centred = states - mean
    variances = grid.column_sums(centred * centred) / rows
    return float(grid.total(np.sqrt(variances)) / states.shape[1])
