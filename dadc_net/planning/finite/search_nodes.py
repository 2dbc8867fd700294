"""The nodes of ``BoundSearch``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dadc_net.planning.finite.alike import Kin
from dadc_net.planning.finite.joint_beliefs import Numbers
from dadc_net.planning.finite.prescription_search import PrescriptionSearch, Promise
from dadc_net.planning.finite.team_belief import TeamBelief


@dataclass(eq=False, slots=True)
class Option:
    """A prescription that has been tried."""

    actions: Numbers
    """[T, K]"""
    reward: float
    children: list[tuple[float, Node]]
    upper: float


@dataclass(eq=False, slots=True, kw_only=True)
class Node:
    """A team belief and what is known of its value."""

    stage: int
    belief: TeamBelief
    lower: float
    upper: float
    options: list[tuple[float, int, Option]] = field(default_factory=list)
    """A heap by falling upper bound."""
    untried: PrescriptionSearch | None = None
    promise: Promise | None = None
    """The best of the untried, where it is known."""
    tried: set[bytes] = field(default_factory=set)
    best: Option | None = None
    """The option that ``lower`` comes from; None: repeating a joint action, or the last decision."""
    last_actions: Numbers | None = None
    """[T, K] what to do at the last decision, or at the last but one where both were found as one"""
    looked_far: bool = False
    """Whether the untried are ordered by what a look promised"""
    spent: int = 0
    """Joint memories of beliefs in trials from here on"""
    next_look: int = 0
    """What must have been spent before it is looked farther again"""
    kin: Kin | None = None
    """What is known of all beliefs like this one, where models have symmetries."""

    @property
    def gap(self) -> float:
        """How far the bounds are apart."""
        return self.upper - self.lower

    @property
    def untried_bound(self) -> float:
        """No prescription that has not been tried is worth more."""
        if self.promise is not None:
            return self.promise.value
        return np.inf if self.untried is None else self.untried.bound
