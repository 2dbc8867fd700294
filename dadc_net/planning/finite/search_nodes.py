"""The nodes of ``BoundSearch``, and what caps what fresh beliefs promise there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dadc_net.planning.finite.alike import Kin
from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers
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


class Caps:
    """What looking ahead has found that fresh beliefs are worth at most."""

    def __init__(self, joint: JointBeliefs, hold: Callable[[int], None]) -> None:
        """``hold`` is told by how many bytes what is held has grown."""
        self._joint, self._hold = joint, hold
        self._tables: dict[int, Array] = {}

    def at(self, stage: int) -> Array:
        """[N, JA] or more rows; infinite where nobody looked. What is written there is kept."""
        table = self._tables.get(stage)
        if table is None or len(table) < len(self._joint):
            grown = np.full((2 * len(self._joint), self._joint.model.num_joint_actions), np.inf)
            if table is not None:
                grown[: len(table)] = table
            self._hold(grown.nbytes - (0 if table is None else table.nbytes))
            self._tables[stage] = table = grown
        return table
