"""The optimum of a finite team under an information structure, between two proven bounds, as far as time and memory go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.planning.finite.alike import alike
from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.endless import Found, plan_endless
from dadc_net.planning.finite.joint_beliefs import JointBeliefs
from dadc_net.planning.finite.outlook import HorizonOutlook
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.search_view import Search, SearchNode
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs
from dadc_net.planning.finite.watch import Limits, Progress, Watch
from dadc_net.team.finite.model import FiniteModel

_ENUMERATED = 200_000
"""Joint beliefs for which V_full is worth computing; beyond them V_mdp bounds."""
_BELIEF_BYTES = 600
_SHARE_OF_GAP = 0.5
"""Gaps below the root are closed at this share of what is allowed there."""


@dataclass(frozen=True, kw_only=True)
class TeamPlan:
    """Bounds of the optimum, and what they rest on."""

    lower: float
    upper: float
    horizon: int | None
    """Decisions; None: without end"""
    discount: float
    sharing: Sharing
    beliefs: int
    """Team beliefs that were bounded."""
    joint_beliefs: int
    """Beliefs on the state that they are made of."""
    merging_error: float
    """What merging beliefs can have cost, included in the bounds."""
    bytes_held: int
    """The most that was held at once."""
    stopped: str
    """``gap`` (near enough), ``time`` or ``memory``; ``request`` where somebody had enough of it"""
    search: Search
    root: SearchNode
    """The node of the start, whose options are the policy."""

    @property
    def residual(self) -> float:
        """Half the distance of the bounds: the error of the value in the middle is no greater."""
        return 0.5 * (self.upper - self.lower)


def plan_team(
    model: FiniteModel,
    sharing: Sharing,
    *,
    horizon: int | None,
    discount: float,
    limits: Limits,
    progress: Progress | None = None,
) -> TeamPlan:
    """Bound the optimum of ``model`` under ``sharing`` over ``horizon`` decisions, or without end.

    Raises:
        UsageError: if neither a horizon nor a discount below 1 makes the sum of rewards finite.
    """
    if horizon is None and not 0.0 <= discount < 1.0:
        raise UsageError(
            f"the discount is {discount} and there is no horizon. A sum of rewards without end needs a discount below 1. "
            "Give --horizon H or --set discount=0.9."
        )
    # Joint beliefs may take half of the memory.
    row = _BELIEF_BYTES + 24 * model.num_joint_actions
    joint = JointBeliefs(model, most=max(1000, limits.memory_bytes // (4 * row)))
    beliefs = TeamBeliefs(joint, sharing)
    watch = Watch(joint, limits, progress)
    if horizon is None:
        search, root, lower, upper = plan_endless(beliefs, discount, limits.gap, watch)
    else:
        search, root, lower, upper = _with_horizon(beliefs, horizon, discount, limits, watch)
    counted = watch.search or search
    span = float(np.ptp(model.expected_rewards))
    steps = float(horizon) if horizon is not None else 1.0 / (1.0 - discount)
    # One step's error moves the law of the state by this much, and what follows can change by the span of all rewards.
    merged = joint.deviation + beliefs.deviation + search.deviation + counted.deviation
    if watch.beside is not None:
        merged += watch.beside.deviation
    error = merged * steps * steps * span
    return TeamPlan(
        lower=lower - error,
        upper=upper + error,
        horizon=horizon,
        discount=discount,
        sharing=sharing,
        beliefs=len(counted.nodes),
        joint_beliefs=len(joint),
        merging_error=error,
        bytes_held=max(watch.most_held, watch.bytes_held),
        stopped=watch.reason or "gap",
        search=search,
        root=root,
    )


def _with_horizon(beliefs: TeamBeliefs, horizon: int, discount: float, limits: Limits, watch: Watch) -> Found:
    full = FullSharingValues(beliefs.joint, discount, _ENUMERATED, watch)
    watch.hold(full)
    outlook = HorizonOutlook(full, horizon, beliefs.sharing.phases)
    # With a discount of 1 and a gap of 0 what is left is float64's own error.
    scale = horizon * float(np.abs(beliefs.joint.model.expected_rewards).max())
    tolerance = max(_SHARE_OF_GAP * limits.gap, 1e-13 * scale)
    # A policy before time is spent on anything else. What it tries is no good beginning of the search, so it is another one.
    scout = BoundSearch(beliefs, outlook, discount, tolerance, watch, room=watch.room)
    watch.hold(scout)
    search = watch.search = BoundSearch(beliefs, outlook, discount, tolerance, watch, alike(beliefs), watch.room)
    watch.hold(search)
    root = search.root
    watch.tell(root.lower, root.upper)
    with watch.ending_memory():
        scout.scout(scout.root)
        watch.tell(scout.root.lower, scout.root.upper)
        while root.gap > max(limits.gap, tolerance) and not watch():
            search.trial(root)
            watch.tell(max(scout.root.lower, root.lower), root.upper)
    # The scout's upper bound holds, too, and what its beliefs were taken for counts.
    search.deviation = max(search.deviation, scout.deviation)
    upper = min(root.upper, scout.root.upper)
    if scout.root.lower > root.lower:
        return scout, scout.root, scout.root.lower, max(scout.root.lower, upper)
    return search, root, root.lower, max(root.lower, upper)
