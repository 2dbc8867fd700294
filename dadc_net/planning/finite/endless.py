"""Bounds of a problem without end, under any structure, one trial after the other."""

from __future__ import annotations

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.delay_cascade import DelayCascade
from dadc_net.planning.finite.imitation import Imitation, begin_anew, spread, spread_delayed
from dadc_net.planning.finite.outlook import DiscountedOutlook, HorizonOutlook, StagedOutlook
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.search_nodes import Node
from dadc_net.planning.finite.search_view import Search, SearchNode
from dadc_net.planning.finite.settling import settle
from dadc_net.planning.finite.starting_over import starting_over
from dadc_net.planning.finite.team_belief import TeamBeliefs, fresh
from dadc_net.planning.finite.watch import Watch

_ENUMERATED = 3_000
"""Joint beliefs for which V_full is worth computing; beyond them V_mdp bounds."""
_SETTLED_GROWTH, _SETTLED_CHANGE = 1.05, 1e-3
"""All bounds are settled when the tried options have grown so much, until they move by less than this share of the gap."""
_LOOKS, _SMALL = 64, 2_000
"""Looks at what bounds from above before anything else, while its tables have so few entries."""
_SOON_SOLVED, _TABLES = 500, 2
"""Moves of a model for which a delay is solved soon, so that policies can wait; as many options an entry of a table is."""
_LEARNT_GROWTH, _MOST_LEARNT = 1.5, 8
"""New policies to start over with are made when the tried options have grown so much, and then so often at most."""
_PRACTISED, _MOST_PRACTISED = 200, 4
"""Options of a problem with a horizon, whose policy is one to start over with; the longest horizon."""
_SHARE_OF_GAP = 0.5
"""Gaps below the root are closed at this share of what is allowed there."""

Found = tuple[Search, SearchNode, float, float]
"""(search, the node whose policy the lower bound is, lower, upper)"""


def plan_endless(beliefs: TeamBeliefs, discount: float, gap: float, watch: Watch) -> Found:
    """Bound the optimum without end until the bounds are within ``gap`` of each other, or ``watch`` says stop."""
    outlook = DiscountedOutlook(beliefs.joint, discount, beliefs.sharing.phases, _ENUMERATED, watch)
    watch.hold(outlook)
    cascade = watch.beside = DelayCascade(beliefs, outlook, discount, gap, watch)
    watch.hold(cascade)
    sharing = beliefs.sharing
    if cascade.fits():
        return _delayed(beliefs, outlook, cascade, (discount, gap), watch)
    if sharing.name in ("full-sharing", "periodic-sharing") or sharing.delay_steps == 1 or sharing.memory_steps is not None:
        return _recurring(beliefs, outlook, cascade, (discount, gap), watch)
    return _Staged(beliefs, outlook, cascade, (discount, gap), watch).run()


def _delayed(
    beliefs: TeamBeliefs, outlook: DiscountedOutlook, cascade: DelayCascade, asked: tuple[float, float], watch: Watch
) -> Found:
    """Delayed sharing: the last search of the cascade is its own."""
    discount, gap = asked

    def tell() -> None:
        for search in cascade.searches:
            spread_delayed(search, outlook)

    imitation = Imitation(beliefs, outlook, discount, gap, watch, tell, watch.hold)
    if sum(len(moves.data) for moves in beliefs.joint.model.transitions) > _SOON_SOLVED:
        imitation.start()
    with watch.ending_memory():
        while not watch() and not (cascade.reached() and cascade.searches[-1].root.gap <= gap):
            cascade.look()
            imitation.look(_TABLES * sum(search.tried for search in cascade.searches), 0)
            last = watch.search = cascade.searches[-1]
            # What bounds a shorter delay from below is none of this one's, but what needs no memory is.
            lower = last.root.lower if cascade.reached() else float(outlook.lower(0, last.root.belief.numbers).max())
            watch.tell(lower, cascade.value)
    search = watch.search = cascade.own()
    search.begun = imitation.begun
    root = search.root
    return search, root, root.lower, max(root.lower, min(root.upper, cascade.value))


def _recurring(
    beliefs: TeamBeliefs, outlook: DiscountedOutlook, cascade: DelayCascade, asked: tuple[float, float], watch: Watch
) -> Found:
    """Where beliefs come up again and again, all trials are from one root, and all bounds are settled now and then."""
    discount, gap = asked

    def tell() -> None:
        begin_anew(root, outlook)
        spread(search, outlook, _SETTLED_CHANGE * gap)

    def due() -> bool:
        # One trial can take all the time there is, so that it is left where a policy is due.
        return watch() or imitation.is_due(search.tried, search.rows)

    imitation = Imitation(beliefs, outlook, discount, gap, watch, tell, watch.hold)
    search = watch.search = BoundSearch(beliefs, outlook, discount, _SHARE_OF_GAP * gap, due)
    watch.hold(search)
    search.begun = imitation.begun
    root, options = search.root, 0
    watch.tell(root.lower, root.upper)
    with watch.ending_memory():
        while min(root.upper, cascade.value) - root.lower > gap and not watch():
            search.trial(root)
            cascade.look()
            imitation.look(search.tried, search.rows)
            if search.tried > _SETTLED_GROWTH * options:
                options = search.tried
                settle(search, _SETTLED_CHANGE * gap)
            watch.tell(root.lower, min(root.upper, cascade.value))
    return search, root, root.lower, max(root.lower, min(root.upper, cascade.value))


class _Staged:
    """Where they do not, one more decision is looked at each time, and then agents start over or know everything."""

    def __init__(
        self,
        beliefs: TeamBeliefs,
        endless: DiscountedOutlook,
        cascade: DelayCascade,
        asked: tuple[float, float],
        watch: Watch,
    ) -> None:
        discount, self._gap = asked
        self._endless, self._cascade = endless, cascade
        self._watch = watch
        self._outlook = StagedOutlook(endless, discount, beliefs.sharing.phases)
        tolerance = _SHARE_OF_GAP * self._gap
        self._search = BoundSearch(beliefs, self._outlook, discount, tolerance, watch, room=watch.room)
        watch.search = self._search
        watch.hold(self._search)
        self._full = FullSharingValues(beliefs.joint, discount, _ENUMERATED, watch)
        watch.hold(self._full)
        self._imitation = Imitation(beliefs, endless, discount, self._gap, watch, self._tell, watch.hold)
        self._search.begun = self._imitation.begun
        self._learns = beliefs.sharing.keeps_whole_words
        self._learnt = 0
        self.root = self._search.root
        self.upper = self._search.root.upper

    def run(self) -> Found:
        """The search until it is over."""
        with self._watch.ending_memory():
            self._run()
        upper = min(self.upper, self._cascade.value)
        return self._search, self.root, self.root.lower, max(self.root.lower, upper)

    def _run(self) -> None:
        self._note(self.root)
        # A policy before what bounds from above, which can take all the time there is; and first what all structures can
        # imitate, so that none has less when time is up.
        self._imitation.begin()
        horizon = 1
        while horizon <= _MOST_PRACTISED and self._practise(horizon):
            horizon += 1
        self._note(self.root)
        for _ in range(_LOOKS):
            if self._cascade.entries <= _SMALL:
                self._cascade.look()
        search = self._search
        while self.upper - self.root.lower > self._gap and not self._watch():
            self._outlook.start += 1
            self._cascade.look()
            stage = search.node(self._outlook.start, fresh(0, search.beliefs.agents))
            while not search.is_closed(stage) and not self._watch():
                search.trial(stage)
                self._cascade.look()
                if search.tried > _LEARNT_GROWTH * self._learnt:
                    self._learn(stage)
                self._note(stage)
            self._learn(stage)
            self._note(stage)

    def _practise(self, horizon: int) -> bool:
        """Solve the problem that ends after ``horizon`` decisions, for a policy to start over with; whether it was easy."""
        if not self._learns:
            return False
        outlook = HorizonOutlook(self._full, horizon, 1)
        search = BoundSearch(
            self._search.beliefs, outlook, self._search.discount, self._gap, self._watch, room=self._watch.room
        )
        self._watch.hold(search)
        search.scout(search.root)
        while search.root.gap > self._gap and search.tried <= _PRACTISED and not self._watch():
            search.trial(search.root)
        self._add(search, search.root)
        return search.root.gap <= self._gap

    def _add(self, search: BoundSearch, start: Node) -> bool:
        """Know the policy at ``start`` as one to start over with; whether that is better than what was known."""
        known = self._endless.vectors
        enough = known.max(axis=1) + self._gap
        better = [vector for vector in starting_over(search, start, known) if (vector > enough).any()]
        for vector in better:
            self._search.origins[self._endless.add(vector)] = search, start
        self._raise_root()
        return bool(better)

    def _raise_root(self) -> None:
        """What has been added is better at once, before anything is looked at."""
        if not self.root.options:
            lower = float(self._endless.lower(0, self.root.belief.numbers).max())
            self.root.lower = max(self.root.lower, min(lower, self.root.upper))

    def _tell(self) -> None:
        """Tell what has been looked at what the outlook knows now."""
        self._raise_root()
        spread(self._search, self._endless, _SETTLED_CHANGE * self._gap)

    def _note(self, stage: Node) -> None:
        """Every stage bounds the same optimum."""
        if stage.lower >= self.root.lower:
            self.root = stage
        self.upper = min(self.upper, stage.upper, self._cascade.value)
        self._watch.tell(self.root.lower, self.upper)

    def _learn(self, stage: Node) -> None:
        """Make what has been found a policy to start over with, as long as that helps."""
        self._learnt = self._search.tried
        self._imitation.more()
        for _ in range(_MOST_LEARNT if self._learns else 0):
            if not self._add(self._search, stage) or self._watch():
                return
            spread(self._search, self._endless, _SETTLED_CHANGE * self._gap)
