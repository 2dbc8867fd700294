"""Delays of one step, two steps and more: optima that bound one another, and every structure under which less is known.

Each search looks only at what its predecessor holds to be good, so that they are solved in turn. Once one is solved, what
it says of fresh beliefs bounds those of whatever structure shares no more, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadc_net.planning.finite.delayed_search import DelayedSearch, table_entries
from dadc_net.planning.finite.outlook import DiscountedOutlook
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs, fresh

_MOST_ENTRIES = 2.0**17
"""Of one table."""
_GROWTH, _CHANGE = 1.05, 1e-3
"""All bounds are settled when the tried options have grown so much, until they move by less than this share of the gap."""
_SWEEPS = 5
_SHARE_OF_GAP = 0.25
"""Of what is allowed, for what only bounds something else."""


class DelayCascade:
    """Searches for delays 1, 2, .. without end, one trial at a time."""

    def __init__(
        self, beliefs: TeamBeliefs, outlook: DiscountedOutlook, discount: float, gap: float, stop: Callable[[], bool]
    ) -> None:
        """``beliefs``: of the structure that is to be bounded; delayed sharing ends the cascade with its own delay."""
        self.value = np.inf
        """No structure with less information has a greater optimum."""
        self.searches: list[DelayedSearch] = []
        self._outlook, self._discount, self._gap, self._stop = outlook, discount, gap, stop
        self._joint, self._sharing = beliefs.joint, beliefs.sharing
        self._settled = 0
        self._fresh = 0
        if self._sharing.name in ("no-sharing", "control-sharing") or self._sharing.delay_steps > 1:
            self._add()

    @property
    def bytes_held(self) -> int:
        """Of all searches."""
        return sum(search.bytes_held for search in self.searches)

    @property
    def deviation(self) -> float:
        """What merging can have cost in all searches, in total mass per step."""
        return sum(search.deviation + search.beliefs.deviation for search in self.searches)

    @property
    def tried(self) -> int:
        """Entries of tables that have been looked at, in the last search."""
        return self.searches[-1].tried if self.searches else 0

    @property
    def entries(self) -> float:
        """Of a table of the last search."""
        return self._entries(len(self.searches))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to search."""
        return not self.searches or (self._is_solved(self.searches[-1]) and not self._goes_on())

    def fits(self) -> bool:
        """Whether tables of the structure's own delay are small enough."""
        return self._sharing.delay_steps > 1 and self._entries(self._sharing.delay_steps) <= _MOST_ENTRIES

    def reached(self) -> bool:
        """Whether the last search is of the structure itself."""
        return len(self.searches) == self._sharing.delay_steps

    def own(self) -> DelayedSearch:
        """The search of the structure's own delay, begun now if it has not been."""
        while not self.reached():
            self._add()
        return self.searches[-1]

    def look(self) -> None:
        """One more trial, of the next search where the last one is solved."""
        if self.is_over or self._stop():
            return
        search = self.searches[-1]
        if self._is_solved(search):
            self._know_fresh(search)
            if self._fresh == len(self._joint) or self._stop():
                self._add()
            return
        search.trial(search.root)
        if search.tried > _GROWTH * self._settled:
            self._settled = search.tried
            search.settle(_CHANGE * search.tolerance, _SWEEPS)
        self.value = min(self.value, search.root.upper)

    def _is_solved(self, search: DelayedSearch) -> bool:
        return search.root.gap <= 2.0 * search.tolerance

    def _goes_on(self) -> bool:
        delay = len(self.searches) + 1
        return (not self._sharing.delay_steps or delay <= self._sharing.delay_steps) and (
            self._entries(delay) <= _MOST_ENTRIES
        )

    def _entries(self, delay: int) -> float:
        model = self._joint.model
        return table_entries(model.joint_actions.sizes, model.joint_observations.sizes, delay - 1)

    def _add(self) -> None:
        delay = len(self.searches) + 1
        # Under control sharing actions are common at once, under any delay of observations.
        name = "control-sharing" if self._sharing.name == "control-sharing" and delay > 1 else "delayed-sharing"
        own = self._sharing.delay_steps == delay
        self.searches.append(
            DelayedSearch(
                TeamBeliefs(self._joint, Sharing(name=name, delay_steps=delay)),
                self._outlook,
                self._discount,
                (0.5 if own else _SHARE_OF_GAP) * self._gap,
                self._stop,
                self.searches[-1] if self.searches else None,
            )
        )
        self._settled = self._fresh = 0

    def _know_fresh(self, search: DelayedSearch) -> None:
        """Tell the outlook what fresh beliefs are worth at most, some at a time."""
        until = min(len(self._joint), self._fresh + 8)
        for number in range(self._fresh, until):
            self._outlook.cap(number, search.prescriptions_upper(fresh(number, search.beliefs.agents)))
        self._fresh = until
