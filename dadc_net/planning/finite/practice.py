"""Short problems without sharing, whose optimal policies, begun again and again, are finite-state controllers.

An agent's nodes are its memories at each decision; after the last one it begins again. All agents count decisions, so that
they begin again together, and a controller needs nothing in common: what it is worth bounds every structure from below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.controllers import Controller
from dadc_net.planning.finite.joint_beliefs import JointBeliefs, Numbers
from dadc_net.planning.finite.outlook import HorizonOutlook
from dadc_net.planning.finite.relaxations import FullSharingValues
from dadc_net.planning.finite.search_nodes import Node
from dadc_net.planning.finite.search_view import Held
from dadc_net.planning.finite.sharing import Sharing
from dadc_net.planning.finite.team_belief import TeamBeliefs

_ENUMERATED = 3_000
"""Joint beliefs for which V_full is worth computing; beyond them V_mdp bounds."""
_ROOM = 1 << 24
"""Bytes of a look."""
_TRIED, _LONGEST = 200, 4
"""Options of a problem; its decisions, at most."""


def practised(
    joint: JointBeliefs,
    discount: float,
    gap: float,
    stop: Callable[[], bool],
    hold: Callable[[Held], None] = lambda held: None,
) -> Iterator[Controller]:
    """Controllers for 1, 2, .. decisions, as long as those problems are easy; ``hold`` is told what takes memory."""
    beliefs = TeamBeliefs(joint, Sharing.from_record("no-sharing"))
    full = FullSharingValues(joint, discount, _ENUMERATED, stop)
    hold(full)
    for horizon in range(1, _LONGEST + 1):
        search = BoundSearch(beliefs, HorizonOutlook(full, horizon, 1), discount, gap, stop, room=_ROOM)
        hold(search)
        search.scout(search.root)
        while search.root.gap > gap and search.tried <= _TRIED and not stop():
            search.trial(search.root)
        if stop():
            return  # Spelling a policy out takes time of its own.
        yield controller_of(search)
        if search.root.gap > gap:
            return


class _Decision(NamedTuple):
    """One decision of a policy."""

    memories: list[Numbers]
    """[K] of [N], rising"""
    actions: list[Numbers]
    """[K] of [N]"""
    node: Node | None
    """The belief; None where one joint action is repeated"""


def controller_of(search: BoundSearch) -> Controller:
    """The policy that the lower bound of a search without sharing rests on, begun again after its last decision."""
    decisions = _decisions(search)
    found = Controller([], [])
    for agent in range(search.beliefs.agents):
        firsts = np.cumsum([0, *(len(decision.memories[agent]) for decision in decisions)])
        following = [
            firsts[place + 1] + _after(search, decision.memories[agent], decisions[place + 1], agent)
            for place, decision in enumerate(decisions[:-1])
        ]
        last = np.zeros((len(decisions[-1].memories[agent]), search.beliefs.observations[agent]), dtype=np.int64)
        found.actions.append(np.concatenate([decision.actions[agent] for decision in decisions]))
        found.following.append(np.concatenate([*following, last]))
    return found


def _decisions(search: BoundSearch) -> list[_Decision]:
    decisions: list[_Decision] = []
    node, agents = search.root, range(search.beliefs.agents)
    while not search.outlook.is_over(node.stage):
        search.spell_out(node)
        belief, played = node.belief, node.last_actions if node.best is None else node.best.actions
        if played is None:
            repeated = int((belief.weights @ search.outlook.lower(node.stage, belief.numbers)).argmax())
            action = search.joint.model.joint_actions.values(np.array([repeated]))[0]
            once = _Decision([np.zeros(1, dtype=np.int64)] * len(agents), [action[k : k + 1] for k in agents], None)
            return [*decisions, *([once] * node.stage)]
        own = [np.unique(belief.memories[:, k], return_index=True) for k in agents]
        decisions.append(_Decision([m for m, _ in own], [played[first, k] for k, (_, first) in enumerate(own)], node))
        if node.best is None:
            break
        node = node.best.children[0][1]
    return decisions


def _after(search: BoundSearch, memories: Numbers, after: _Decision, agent: int) -> Numbers:
    """[N, O] which memories follow; where the next belief holds that to be impossible, any of them."""
    words = memories[:, None] * search.beliefs.symbols[agent] + np.arange(search.beliefs.observations[agent]) + 1
    if after.node is not None and after.node.belief.words:
        arrived, became = after.node.belief.words[agent]
        words = became[np.minimum(np.searchsorted(arrived, words), len(arrived) - 1)]
    known = after.memories[agent]
    place: Numbers = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return place
