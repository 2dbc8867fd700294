"""The optimum of a finite team under an information structure, between two proven bounds, as far as time and memory go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.planning.finite.bound_search import BoundSearch, Node
from dadc_net.planning.finite.joint_beliefs import JointBeliefs, TooManyBeliefsError
from dadc_net.planning.finite.outlook import DiscountedOutlook, HorizonOutlook, StagedOutlook
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.settling import settle
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs, fresh
from dadc_net.team.finite.model import FiniteModel

_ENUMERATED = 200_000
"""Joint beliefs for which V_full is worth computing; beyond them V_mdp bounds."""
_ENUMERATED_ENDLESS = 3_000
_BELIEF_BYTES = 600
_SETTLED_GROWTH, _SETTLED_CHANGE = 1.05, 1e-3
"""All bounds are settled when the tried options have grown so much, until they move by less than this share of the gap."""
_SCOUTS, _SCOUTED = 4, 10
"""Trials that look for a first policy where there is no horizon, and the decisions that each of them takes in."""
_LOOKS = 8
"""Looks at what bounds from above before each of them, which may take long where nothing is shared."""
_SHARE_OF_GAP = 0.5
"""Gaps below the root are closed at this share of what is allowed there."""

Progress = Callable[[float, float, int], None]
"""(lower, upper, beliefs) now and then"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop."""

    gap: float
    """Bounds this near to each other are near enough."""
    memory_bytes: int
    is_late: Callable[[], bool]
    """Whether time is up; the core has no clock."""


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
    stopped: str
    """``gap`` (near enough), ``time`` or ``memory``"""
    search: BoundSearch
    root: Node
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
    watch = _Watch(joint, limits)
    run = _with_horizon if horizon is not None else _endless
    try:
        search, root, lower, upper = run(beliefs, horizon or 0, discount, limits, watch, progress)
    except TooManyBeliefsError:
        watch.reason = "memory"
        search, root = watch.search_or_raise(), watch.search_or_raise().root
        lower, upper = root.lower, root.upper
    counted = watch.search_or_raise()
    span = float(np.ptp(model.expected_rewards))
    steps = float(horizon) if horizon is not None else 1.0 / (1.0 - discount)
    # One step's error moves the law of the state by this much, and what follows can change by the span of all rewards.
    merged = joint.deviation + beliefs.deviation + search.deviation + counted.deviation
    if watch.beside is not None:
        merged += watch.beside.deviation + watch.beside.beliefs.deviation
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
        bytes_held=counted.bytes_held + joint.bytes_held,
        stopped=watch.reason or "gap",
        search=search,
        root=root,
    )


class _Watch:
    """Says when to stop, and why."""

    def __init__(self, joint: JointBeliefs, limits: Limits) -> None:
        self._joint = joint
        self._limits = limits
        self._looks = 0
        self.search: BoundSearch | None = None
        self.beside: BoundSearch | None = None
        """Of a structure under which more is known, whose optimum bounds the one that is looked for."""
        self.reason = ""

    def search_or_raise(self) -> BoundSearch:
        """The search, where memory ended after it began."""
        if self.search is None:
            raise UsageError(
                f"--memory allows {self._limits.memory_bytes} bytes, which are used up before the first bound. The model "
                f"{self._joint.model.name} is large. Give more memory."
            )
        return self.search

    def __call__(self) -> bool:
        self._looks += 1
        if not self.reason and self._limits.is_late():
            self.reason = "time"
        # Counting joint beliefs' bytes takes time, so they are looked at now and then.
        held = sum(search.bytes_held for search in (self.search, self.beside) if search)
        if not self.reason and self._looks % 256 == 0:
            held += self._joint.bytes_held
        if not self.reason and held > self._limits.memory_bytes:
            self.reason = "memory"
        return bool(self.reason)


def _with_horizon(
    beliefs: TeamBeliefs, horizon: int, discount: float, limits: Limits, watch: _Watch, progress: Progress | None
) -> tuple[BoundSearch, Node, float, float]:
    full = FullSharingValues(beliefs.joint, discount, _ENUMERATED, watch)
    outlook = HorizonOutlook(full, horizon, beliefs.sharing.phases)
    # With a discount of 1 and a gap of 0 what is left is float64's own error.
    scale = horizon * float(np.abs(beliefs.joint.model.expected_rewards).max())
    tolerance = max(_SHARE_OF_GAP * limits.gap, 1e-13 * scale)
    # A policy before time is spent on anything else. What it tries is no good beginning of the search, so it is another one.
    scout = BoundSearch(beliefs, outlook, discount, tolerance, watch)
    scout.scout(scout.root)
    search = watch.search = BoundSearch(beliefs, outlook, discount, tolerance, watch)
    root = search.root
    while root.gap > max(limits.gap, tolerance) and not watch():
        search.trial(root)
        if progress is not None:
            progress(root.lower, root.upper, len(search.nodes))
    if scout.root.lower > root.lower:
        return scout, scout.root, scout.root.lower, max(scout.root.lower, root.upper)
    return search, root, root.lower, root.upper


def _endless(
    beliefs: TeamBeliefs, _: int, discount: float, limits: Limits, watch: _Watch, progress: Progress | None
) -> tuple[BoundSearch, Node, float, float]:
    sharing, phases = beliefs.sharing, beliefs.sharing.phases
    endless = DiscountedOutlook(beliefs.joint, discount, phases, _ENUMERATED_ENDLESS)
    tolerance = _SHARE_OF_GAP * limits.gap
    above = _Above(beliefs, endless, discount, tolerance, watch)
    if sharing.name == "full-sharing" or sharing.delay_steps == 1 or sharing.memory_steps is not None:
        search = watch.search = BoundSearch(beliefs, endless, discount, tolerance, watch)
        root = search.root
        options = 0
        while min(root.upper, above.value) - root.lower > limits.gap and not watch():
            search.trial(root)
            above.look(limits.gap)
            if search.tried > _SETTLED_GROWTH * options:
                options = search.tried
                settle(search, _SETTLED_CHANGE * limits.gap)
            if progress is not None:
                progress(root.lower, min(root.upper, above.value), len(search.nodes))
        return search, root, root.lower, max(root.lower, min(root.upper, above.value))
    scout = BoundSearch(beliefs, endless, discount, tolerance, watch)
    for _ in range(_SCOUTS):
        for _ in range(_LOOKS):
            above.look(limits.gap)
        scout.scout(scout.root, _SCOUTED)
    outlook = StagedOutlook(endless, discount, phases)
    search = watch.search = BoundSearch(beliefs, outlook, discount, tolerance, watch)
    root, lower, upper = search.root, search.root.lower, min(search.root.upper, above.value)
    while upper - max(lower, scout.root.lower) > limits.gap and not watch():
        outlook.start += phases
        stage = search.node(outlook.start, fresh(0, beliefs.agents))
        while not search.is_closed(stage) and not watch():
            search.trial(stage)
            above.look(limits.gap)
        # Every stage bounds the same optimum.
        if stage.lower >= lower:
            root, lower = stage, stage.lower
        upper = min(upper, stage.upper, above.value)
        if progress is not None:
            progress(max(lower, scout.root.lower), upper, len(search.nodes))
    if scout.root.lower > lower:
        return scout, scout.root, scout.root.lower, max(scout.root.lower, upper)
    return search, root, lower, upper


class _Above:
    """The optimum under one-step delay, without end: no less than that of any structure under which agents know less.

    Its bounds meet soon, because after every step all but the newest observations are common. Trials are taken in turn with
    those of the search that it stands beside, so that it costs half of the time at most.
    """

    def __init__(
        self, beliefs: TeamBeliefs, endless: DiscountedOutlook, discount: float, tolerance: float, watch: _Watch
    ) -> None:
        self.value = np.inf
        """No structure with less information has a greater optimum."""
        self._search: BoundSearch | None = None
        self._options = 0
        sharing = beliefs.sharing
        if sharing.name in ("no-sharing", "control-sharing") or sharing.delay_steps > 1:
            one_step = TeamBeliefs(beliefs.joint, Sharing.from_record("delayed-sharing", {}))
            self._search = watch.beside = BoundSearch(one_step, endless, discount, tolerance, watch)

    def look(self, gap: float) -> None:
        """One more trial, while its own bounds are more than ``gap`` apart."""
        search = self._search
        if search is None or search.root.gap <= gap:
            return
        search.trial(search.root)
        if search.tried > _SETTLED_GROWTH * self._options:
            self._options = search.tried
            settle(search, _SETTLED_CHANGE * gap)
        self.value = search.root.upper
