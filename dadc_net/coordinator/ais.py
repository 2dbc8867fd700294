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

import numpy as np

from dadc_net.coordinator.ais_losses import AisLosses
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.networks.layers import linear_shapes
from dadc_net.coordinator.networks.parameters import ParameterGroup, Shape
from dadc_net.coordinator.networks.recurrent import EncoderPass
from dadc_net.coordinator.outcomes import Outcomes
from dadc_net.coordinator.prescription import ThetaSpace
from dadc_net.coordinator.real_outcomes import RealOutcomes, outcomes_of
from dadc_net.coordinator.schedule import step_size
from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.exact import grid
from dadc_net.exact.acting import PreparedLinear, RecurrentEncoder
from dadc_net.exact.adam import clip_norm
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream
from dadc_net.team.spaces import Space


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
    from dadc_net.coordinator.losses import NEXT_AIS_LOSSES  # Here: they need torch, which takes more than a second.

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

    def encode(self, batch: Batch) -> Array:
        """x_0 .. x_T of a batch: [T+1, E, X]."""
        return EncoderPass(self.group, batch, self.settings.truncation).states

    def losses(self, batch: Batch) -> AisLosses:
        """L_AIS of a batch: masked means over the steps that happened."""
        theta = self.theta.codes(batch.prescriptions).reshape(batch.steps * batch.copies, -1)
        return AisLosses(self.group, self.settings, self.outcomes, batch, theta)

    def improve(self, batch: Batch, settings: CoordinatorSettings, update: int) -> tuple[Array, dict[str, float]]:
        """One step against L_AIS of ``batch``; the AIS [T+1, E, X] of before, and the losses."""
        found, weight = self.losses(batch), self.settings.reward_loss_weight
        rate = step_size(settings, "ais", self.settings.learning_rate, self.settings.final_learning_rate_share, update)
        if self.settings.clips_apart:
            self.group.step(self._clipped_apart(found), rate, 0.0)
        else:
            self.group.descend(found.gradients(weight, 1.0 - weight), rate, self.settings.gradient_norm)
        return found.states, {"ais": found.total, "reward": found.reward, "transition": found.transition}

    def _clipped_apart(self, found: AisLosses) -> Array:
        """lambda g_R + (1 - lambda) g_nu [P], the gradient of each loss clipped by itself."""
        reward = self.group.flat(found.gradients(1.0, None))
        transition = self.group.flat(found.gradients(None, 1.0))
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
