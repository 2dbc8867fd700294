"""The models of the package by name."""

from __future__ import annotations

from collections.abc import Callable

from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.box_pushing import box_pushing
from dadc_net.team.finite.models.broadcast_channel import broadcast_channel
from dadc_net.team.finite.models.dec_tiger import dec_tiger
from dadc_net.team.finite.models.fire_fighting import fire_fighting
from dadc_net.team.finite.models.meeting_grid import meeting_corners, meeting_grid
from dadc_net.team.finite.models.recycling import recycling

SHIPPED: dict[str, Callable[[], FiniteModel]] = {
    "dec-tiger": dec_tiger,
    "recycling": recycling,
    "broadcast-channel": broadcast_channel,
    "meeting-grid": meeting_grid,
    "meeting-corners": meeting_corners,
    "box-pushing": box_pushing,
    "fire-fighting": fire_fighting,
}
"""Name -> constructor; each call makes the model anew."""
