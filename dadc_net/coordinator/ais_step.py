"""Equation (4): one step of the state approximator, from the present batch or from windows of a replay memory."""

from __future__ import annotations

from dadc_net.coordinator.ais import StateApproximator
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.schedule import step_size
from dadc_net.coordinator.settings import CoordinatorSettings
from dadc_net.exact.grid import Array


def improve_ais(
    approximator: StateApproximator, batch: Batch, settings: CoordinatorSettings, update: int
) -> tuple[Array, dict[str, float]]:
    """One step against L_AIS of ``batch``; the AIS [T+1, E, X] of before, and the losses."""
    states = approximator.encode(batch)
    found = approximator.losses(batch, states)
    ais = settings.ais
    rate = step_size(settings, "ais", ais.learning_rate, ais.final_learning_rate_share, update)
    approximator.group.descend(found.total, rate, ais.gradient_norm)
    losses = {"ais": found.total.item(), "reward": found.reward.item(), "transition": found.transition.item()}
    return states.detach().numpy(), losses
