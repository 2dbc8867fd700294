"""Policies that agents can play alone, for the lower bounds of a search under any structure that cuts off no memory.

Whoever knows more can do as if it knew less: a finite-state controller that every agent plays from its own observations is
worth the same under every structure, so that no structure need be left with less than what one that shares less has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.controller_search import ControllerSearch
from dadc_net.planning.finite.controllers import Begun, Controllers, Valued
from dadc_net.planning.finite.delayed_search import DelayedSearch
from dadc_net.planning.finite.outlook import DiscountedOutlook
from dadc_net.planning.finite.practice import practised
from dadc_net.planning.finite.search_nodes import Node
from dadc_net.planning.finite.search_view import Held
from dadc_net.planning.finite.settling import settle
from dadc_net.planning.finite.team_belief import TeamBeliefs

_TRIED, _ROWS = 200, 3_000
"""Options tried, or joint memories looked at, before a controller is looked for: problems that end sooner are easy."""
_MOST_CELLS = 50_000
"""States times joint nodes of a policy that is begun again."""
_GROWTH = 1.5
"""Another one is looked for when the tried options have grown so much."""


class Imitation:
    """Looks for controllers now and then, and tells a search what they are worth."""

    def __init__(
        self,
        beliefs: TeamBeliefs,
        outlook: DiscountedOutlook,
        discount: float,
        gap: float,
        stop: Callable[[], bool],
        spread: Callable[[], None],
        hold: Callable[[Held], None] = lambda held: None,
    ) -> None:
        """
        Args:
            gap: what raises no bound by as much is not told.
            spread: tells all that has been looked at what the outlook knows now.
            hold: is told what takes memory.
        """
        self._outlook, self._gap, self._spread, self._hold = outlook, gap, spread, hold
        self._joint, self._discount, self._stop = beliefs.joint, discount, stop
        self._controllers = ControllerSearch(beliefs.joint.model, discount, stop)
        # Where memory is cut off, agents cannot know at which node of a controller they are.
        self._applies = beliefs.sharing.memory_steps is None
        self._next, self._has_begun = _TRIED, False
        self._value = -np.inf
        self.begun: dict[int, Begun] = {}
        """Vectors of the outlook that are values of controllers."""

    def is_due(self, tried: int, rows: int) -> bool:
        """Whether so many options, and joint memories in all, are much for the first time."""
        return self._applies and (tried > self._next or (rows > _ROWS and not self._has_begun))

    def look(self, tried: int, rows: int) -> None:
        """Look for a controller if that is due."""
        if self.is_due(tried, rows):
            self._next = max(_TRIED, int(_GROWTH * tried))
            if not self._has_begun:
                self.start()
            self.more()

    def start(self) -> None:
        """Look for first ones of either kind."""
        self._has_begun = True
        if self._applies:
            self.begin()
            self.practise()

    def practise(self) -> None:
        """Know what optimal policies of short problems without sharing are worth, begun again and again."""
        model = self._joint.model
        controllers = Controllers(model, self._discount, self._stop)
        for controller in practised(self._joint, self._discount, self._gap, self._stop, self._hold):
            if model.num_states * math.prod(map(len, controller.actions)) <= _MOST_CELLS:
                found = controllers.value(controller)
                if self._add(found, {0, found.node}):
                    self._spread()

    def begin(self) -> None:
        """Look for first ones, some time long."""
        if self._applies:
            self._controllers.first()
            self._know()

    def more(self) -> None:
        """Look for another one."""
        if self._applies:
            self._controllers.more()
            self._know()

    def _know(self) -> None:
        """Know the best where it is better than the one before."""
        found = self._controllers.best
        if found is not None and found.value > self._value + self._gap:
            self._value = found.value
            # From the one that is best at the start on, so that those which are worse everywhere are left out.
            if self._add(found, np.roll(np.arange(len(found.values)), -found.node).tolist()):
                self._spread()

    def _add(self, found: Valued, nodes: Iterable[int]) -> bool:
        """Know a controller from joint nodes where that is better than what was known; whether one was."""
        better = False
        sizes = [len(actions) for actions in found.controller.actions]
        for place in nodes:
            if (found.values[place] > self._outlook.vectors.max(axis=1) + self._gap).any():
                own = tuple(int(n) for n in np.unravel_index(place, sizes))
                self.begun[self._outlook.add(found.values[place])] = Begun(found.controller, own)
                better = True
        return better


def spread(search: BoundSearch, outlook: DiscountedOutlook, change: float) -> None:
    """Tell all nodes of a search what the outlook knows now, until no bound moves by more than ``change``."""
    for node in search.nodes.values():
        if not node.options:  # The others are settled from those that follow.
            begin_anew(node, outlook)
    settle(search, change)


def spread_delayed(search: DelayedSearch, outlook: DiscountedOutlook) -> None:
    """The same, where bounds are settled by the search itself."""
    for node in search.nodes.values():
        lower = float((node.belief.weights @ outlook.lower(0, node.belief.numbers)).max())
        if lower > node.lower:
            node.lower, node.lower_choice = min(lower, node.upper), ()


def begin_anew(node: Node, outlook: DiscountedOutlook) -> None:
    """Begin at ``node`` with what is known from every state, if that is better than what was found for it."""
    lower = float((node.belief.weights @ outlook.lower(0, node.belief.numbers)).max())
    if lower > node.lower:
        node.lower, node.best = min(lower, node.upper), None
