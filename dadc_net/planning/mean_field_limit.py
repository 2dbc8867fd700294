"""Demand response with infinitely many loads: the mean field moves deterministically, m' = (1 - m) q_0 + m q_1.

The value is a function on [0, 1], solved at evenly spaced points and linear in between. With randomised prescriptions only
m' matters: what it costs at least is the infimal convolution of the two states' envelopes, found by using their pieces in
the order of their slopes. With deterministic ones there are nine successors.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from dadc_net.planning.coordinated_model import Array
from dadc_net.planning.demand_response import Envelope, envelope
from dadc_net.planning.value_iteration import fixed_point
from dadc_net.team.demand_response import OFF, ON, DemandResponseParameters

_RANDOMISED_POINTS, _DETERMINISTIC_POINTS = 1201, 20_001
_TOLERANCE = 1e-9


def _divergence(on: Array, parameters: DemandResponseParameters) -> Array:
    """KL((1 - m, m) || zeta) at m [P]."""
    total = np.zeros_like(on)
    for share, target in ((1.0 - on, 1.0 - parameters.target_on_share), (on, parameters.target_on_share)):
        total += share * np.log(np.where(share > 0.0, share, 1.0) / target)
    return total


def _pieces(weight: float, curve: Envelope) -> list[tuple[float, float]]:
    """(slope, length) of a state's envelope when a share ``weight`` of the loads is in that state."""
    slopes = np.diff(curve.cost) / np.diff(curve.q)
    return list(zip(slopes.tolist(), (weight * np.diff(curve.q)).tolist(), strict=True))


def _least_costs(on: float, envelopes: list[Envelope], following: Array) -> Array:
    """Least cost of moving from share ``on`` to each of ``following`` [P]; infinite where it cannot be done."""
    shares = (1.0 - on, on)
    pieces = sorted(piece for share, curve in zip(shares, envelopes, strict=True) for piece in _pieces(share, curve))
    first = sum(share * curve.q[0] for share, curve in zip(shares, envelopes, strict=True))
    places = first + np.concatenate(([0.0], np.cumsum([length for _, length in pieces])))
    start = sum(share * curve.cost[0] for share, curve in zip(shares, envelopes, strict=True))
    costs = start + np.concatenate(([0.0], np.cumsum([slope * length for slope, length in pieces])))
    least: Array = np.interp(following, places, costs, left=np.inf, right=np.inf)
    return least


def limit_value(parameters: DemandResponseParameters, discount: float, deterministic: bool) -> float:
    """V at the initial distribution."""
    points = np.linspace(0.0, 1.0, _DETERMINISTIC_POINTS if deterministic else _RANDOMISED_POINTS)
    on, costs = parameters.on_probabilities(), parameters.action_costs()
    divergence = _divergence(points, parameters)
    if deterministic:
        pairs = list(product(range(3), repeat=2))
        following = np.stack([(1.0 - points) * on[OFF, a] + points * on[ON, b] for a, b in pairs])
        paid = np.stack([(1.0 - points) * costs[a] + points * costs[b] for a, b in pairs])

        def bellman(value: Array) -> Array:
            improved: Array = (discount * np.interp(following, points, value) - paid).max(axis=0) - divergence
            return improved
    else:
        envelopes = [envelope(on[state], costs) for state in (OFF, ON)]
        table = np.stack([_least_costs(share, envelopes, points) for share in points.tolist()])

        def bellman(value: Array) -> Array:
            improved: Array = (discount * value[None, :] - table).max(axis=1) - divergence
            return improved

    value, _, _ = fixed_point(bellman, len(points), discount, _TOLERANCE)
    return float(np.interp(parameters.initial_on_probability, points, value))
