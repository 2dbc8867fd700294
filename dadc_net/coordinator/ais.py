"""The state approximator (paper, Section 5 item 1): encoder rho, reward predictor, transition predictor, loss L_AIS.

    u_t = tanh(W [features(z_t), theta_{t-1}] + b)         E.1: one linear layer with tanh
    x_t = GRU(u_t, x_{t-1})                                E.1: one GRU layer; x_t is the AIS
    predicted reward      from [x_t, theta_t]              (P1), smooth L1; optionally from z_{t+1} as well
    predicted z_{t+1}     from [x_t, theta_t]              (P2b), cross-entropy: the default; see ``outcomes``,
                                                 and ``real_outcomes`` where z holds real numbers
    predicted x_{t+1}     from [x_t, theta_t]              (P2), one of the losses of ``losses``; instead or beside
    predicted end         from [x_t, theta_t, z_{t+1}]     cross-entropy, where ``ais.predicts_end`` is on

The encoder's recursion is (P2a): x_{t+1} is a function of x_t, the new common observation and the prescription. With it
(P2b) is enough; (P2) beside it shapes the same encoder with both.

Where episodes end, that one is over is part of what everybody observes: L_nu is then the cross-entropy of both. An AIS that
need not tell it may forget how much time is left, and a critic on it cannot know what is still to come. (The problems of the
paper go on for ever.)

Deviation: equation (4) is printed as ascent on a loss that is to be minimised; this is descent. L_nu is printed as a sum
over B - 1 terms beside a mean over B; both are means here, because a sum would drown lambda. The default loss predicts
the next common observation (Section 7, P2b), because (P2) with identity covariance is minimised by a constant encoder,
and collapses to it in practice. The target x_{t+1} of (P2) is detached unless ``ais.detach_target`` is off, as printed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dadc_net.coordinator.batch import ENDED_TERMINATED, Batch
from dadc_net.coordinator.losses import NEXT_AIS_LOSSES
from dadc_net.coordinator.networks.layers import hidden, linear, linear_shapes
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.real_outcomes import RealOutcomes, outcomes_of
from dadc_net.coordinator.schedule import step_size
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact import functions, grid, scan
from dadc_net.exact.acting import PreparedLinear, RecurrentEncoder
from dadc_net.exact.adam import clip_norm
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import Space


class AisLosses(NamedTuple):
    """The parts of L_AIS, for metrics."""

    total: Tensor
    reward: Tensor
    transition: Tensor


def _shapes(inputs: int, entries: int, outcomes: Outcomes | RealOutcomes, settings: AisSettings) -> dict[str, Shape]:
    size = settings.size
    direct: dict[str, Shape] = {}
    reward_inputs = size + entries
    if settings.reward_input == "outcome":
        reward_inputs += outcomes.code_size
        direct = linear_shapes("reward.direct", reward_inputs, 1)
    beside = {} if settings.beside == "none" else _head_shapes("beside", settings.beside, size + entries, outcomes, settings)
    end_inputs = size + entries + outcomes.code_size
    ends = {**linear_shapes("end.hidden", end_inputs, size), **linear_shapes("end.output", size, 2)}
    return {
        **linear_shapes("encoder.input", inputs, size),
        **linear_shapes("encoder.gates", size, 3 * size),
        **linear_shapes("encoder.recurrent", size, 3 * size),
        **linear_shapes("reward.hidden", reward_inputs, size),
        **linear_shapes("reward.output", size, 1),
        **direct,
        **_head_shapes("transition", settings.loss, size + entries, outcomes, settings),
        **beside,
        **(ends if settings.predicts_end else {}),
    }


def _head_shapes(
    name: str, loss: str, known: int, outcomes: Outcomes | RealOutcomes, settings: AisSettings
) -> dict[str, Shape]:
    """Parameters of the head ``name``, which predicts what ``loss`` compares."""
    if loss == "next-observation":
        return outcomes.shapes(name, known, settings.size)
    predicted = settings.size * (settings.particles if NEXT_AIS_LOSSES[loss].particles else 1)
    return {
        **linear_shapes(f"{name}.hidden", known, settings.size),
        **linear_shapes(f"{name}.output", settings.size, predicted),
    }


class StateApproximator:
    """Parameters xi and the functions of them."""

    exponent = 0
    """|x| <= 2^exponent"""

    def __init__(self, space: Space, theta: ThetaSpace, settings: AisSettings, initial: Stream) -> None:
        """``space`` of z, whose code comes before theta's in the inputs."""
        self.settings = settings
        self.size = settings.size
        self.theta = theta
        self.outcomes = outcomes_of(space)
        codes = theta.code_size
        shapes = _shapes(space.feature_size + codes, codes, self.outcomes, settings)
        self.group = ParameterGroup("ais", shapes, initial)

    def encode(self, batch: Batch) -> Tensor:
        """x_0 .. x_T of a batch on the graph: [T+1, E, X]."""
        records, copies, inputs = batch.inputs.shape
        flat = torch.from_numpy(batch.inputs.reshape(records * copies, inputs))
        embedded = hidden(self.group, "encoder.input", flat)
        gates = linear(self.group, "encoder.gates", embedded).reshape(records, copies, 3 * self.settings.size)
        recurrent = self.group.tensors["encoder.recurrent.weight"], self.group.tensors["encoder.recurrent.bias"]
        stretch = self.settings.truncation
        if stretch == 0 or stretch >= records:
            return scan.recurrent_scan(gates, batch.keep, batch.start, *recurrent)
        return _stretches(gates, batch, recurrent, stretch)

    def losses(self, batch: Batch, states: Tensor) -> AisLosses:
        """L_AIS of a batch: states [T+1, E, X] from ``encode``; masked means over the steps that happened."""
        rows = batch.steps * batch.copies
        valid = torch.from_numpy(batch.valid.reshape(rows))
        count = max(1.0, float(batch.valid.sum()))
        theta = torch.from_numpy(self.theta.codes(batch.prescriptions).reshape(rows, -1))
        known = torch.cat((states[:-1].reshape(rows, self.settings.size), theta), dim=1)
        predicted_reward = self._predicted_reward(batch, known).reshape(rows)
        error = predicted_reward - torch.from_numpy(batch.scaled_rewards.reshape(rows))
        reward = functions.mean(functions.smooth_l1(error), count, valid)
        transition = functions.mean(self._transition_loss(batch, states, known), count, valid)
        weight = self.settings.reward_loss_weight
        return AisLosses(reward * weight + transition * (1.0 - weight), reward, transition)

    def _head(self, name: str, known: Tensor) -> Tensor:
        return linear(self.group, f"{name}.output", hidden(self.group, f"{name}.hidden", known))

    def _predicted_reward(self, batch: Batch, known: Tensor) -> Tensor:
        if self.settings.reward_input == "prescription":
            return self._head("reward", known)
        outcome = torch.from_numpy(self.outcomes.codes(batch.common_index[1:]))
        both = torch.cat((known, outcome), dim=1)
        return self._head("reward", both) + linear(self.group, "reward.direct", both)

    def _transition_loss(self, batch: Batch, states: Tensor, known: Tensor) -> Tensor:
        """L_nu of each step: [T E]."""
        if not self.settings.predicts_end:
            return self._next_loss(batch, states, known)
        ways = functions.fork(known, 2)  # As below.
        over = torch.from_numpy((batch.ended[1:] == ENDED_TERMINATED).astype(np.int64).reshape(-1))
        outcome = torch.from_numpy(self.outcomes.codes(batch.common_index[1:]))
        told, _ = functions.categorical(self._head("end", torch.cat((ways[1], outcome), dim=1)), over)
        return self._next_loss(batch, states, ways[0]) - told

    def _next_loss(self, batch: Batch, states: Tensor, known: Tensor) -> Tensor:
        """L_nu of z_{t+1}, x_{t+1} or both: [T E]."""
        if self.settings.loss != "next-observation":
            return self._next_ais_loss(self.settings.loss, self._head("transition", known), states)
        happened = batch.common_index[1:]
        if self.settings.beside == "none":
            return -self.outcomes.log_probability(self.group, "transition", known, happened)
        # With the reward's there are three heads: two of them share a fork, so that gradients join in a fixed order.
        ways, weight = functions.fork(known, 2), self.settings.beside_weight
        found = self.outcomes.log_probability(self.group, "transition", ways[0], happened)
        beside = self._next_ais_loss(self.settings.beside, self._head("beside", ways[1]), states)
        return beside * weight - found * (1.0 - weight)

    def _next_ais_loss(self, name: str, predicted: Tensor, states: Tensor) -> Tensor:
        """(P2) of each step, from what its head predicted: [T E]."""
        size = self.settings.size
        count = predicted.shape[1] // size
        target = states[1:].reshape(-1, size)
        particles: tuple[Tensor, ...] = (predicted,)
        if count > 1:
            shares = functions.fork(predicted, count)
            particles = tuple(share[:, size * s : size * (s + 1)] for s, share in enumerate(shares))
        return NEXT_AIS_LOSSES[name].rows(particles, target.detach() if self.settings.detach_target else target)

    def improve(self, batch: Batch, settings: CoordinatorSettings, update: int) -> tuple[Array, dict[str, float]]:
        """One step against L_AIS of ``batch``; the AIS [T+1, E, X] of before, and the losses."""
        states = self.encode(batch)
        found = self.losses(batch, states)
        rate = step_size(settings, "ais", self.settings.learning_rate, self.settings.final_learning_rate_share, update)
        if self.settings.clips_apart:
            self.group.step(self._clipped_apart(found), rate, 0.0)
        else:
            self.group.descend(found.total, rate, self.settings.gradient_norm)
        losses = {"ais": found.total.item(), "reward": found.reward.item(), "transition": found.transition.item()}
        return states.detach().numpy(), losses

    def _clipped_apart(self, found: AisLosses) -> Array:
        """lambda g_R + (1 - lambda) g_nu [P], the gradient of each loss clipped by itself."""
        reward = self.group.gradient(found.reward, keep_graph=True)
        transition = self.group.gradient(found.transition)
        if self.settings.gradient_norm > 0.0:
            clip_norm(reward, self.settings.gradient_norm)
            clip_norm(transition, self.settings.gradient_norm)
        weight = self.settings.reward_loss_weight
        joined: Array = reward * weight + transition * (1.0 - weight)
        return joined

    def behaviour(self) -> RecurrentEncoder:
        """rho with its present parameters for one record at a time, the bits of ``encode``."""
        layers = {name: PreparedLinear.of(self.group, f"encoder.{name}") for name in ("input", "gates", "recurrent")}
        return RecurrentEncoder(**layers)


def _stretches(gates: Tensor, batch: Batch, recurrent: tuple[Tensor, Tensor], stretch: int) -> Tensor:
    """The scan in stretches of lock-steps between which no gradient flows: truncated backpropagation through time."""
    firsts = range(0, gates.shape[0], stretch)
    weights, biases = functions.fork(recurrent[0], len(firsts)), functions.fork(recurrent[1], len(firsts))
    parts: list[Tensor] = []
    start = batch.start
    shares = functions.fork(gates, len(firsts))
    for index, first in enumerate(firsts):
        last = first + stretch
        keep = batch.keep[first:last]
        parts.append(scan.recurrent_scan(shares[index][first:last], keep, start, weights[index], biases[index]))
        start = parts[-1].detach().numpy()[-1]
    return torch.cat(parts, dim=0)


def covariance(states: Array) -> Array:
    """Covariance [X, X] of the coordinates of x over a batch [n, X]."""
    rows = float(states.shape[0])
    centred = states - grid.column_sums(states) / rows
    result: Array = grid.product(centred.T, centred) / rows
    return result


def spread(covariance: Array) -> float:
    """Mean over coordinates of the standard deviation of x; near 0 when the AIS has collapsed.

    A diagnostic: it is printed and logged, and never enters learning.
    """
    return float(grid.total(np.sqrt(np.diagonal(covariance))) / covariance.shape[0])


def rank(covariance: Array, share: float = 1e-3) -> int:
    """How many directions the AIS really uses: eigenvalues of its covariance above ``share`` of their sum.

    A diagnostic like ``spread``; 0 when the AIS has collapsed to a constant.
    """
    eigenvalues = np.linalg.eigvalsh(covariance)
    return int((eigenvalues > max(1e-8, share * float(np.abs(eigenvalues).sum()))).sum())
