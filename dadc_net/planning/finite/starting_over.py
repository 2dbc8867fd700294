"""Values of found policies from every state, which make them policies to start over with: the vectors of the lower bound.

Agents can always forget what they have seen and begin again as at the first decision. What that is worth is linear in the
law of the state, whatever they remember: a vector by state. A policy that was found over some decisions, and that starts
over with itself after them, is one for ever; its vector solves a linear equation. The coordinator's value is at least the
greatest of the vectors at the state's law (the alpha vectors of point-based value iteration; Smallwood and Sondik 1973).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.joint_beliefs import Array, Numbers, joint_moves
from dadc_net.planning.finite.search_nodes import Node
from dadc_net.planning.finite.team_belief import TeamBelief

_MOST_CELLS = 4_000_000
"""Entries of the laws of all starting states at once."""
_MOST_STATES = 300
_ROUNDING = 1e-11
"""Relative error of float64 in a vector, which is taken off."""


class StateLaws(NamedTuple):
    """Laws of memories and state at a node, one for each starting state: R rows, K agents, S states."""

    memories: Numbers
    """[R, K]"""
    states: Numbers
    """[R]"""
    mass: Array
    """[R, S] discounted probability from each starting state"""


class Unrolled(NamedTuple):
    """A policy's value until it starts over, and the state's laws then."""

    reward: Array
    """[S]"""
    again: dict[int, Array]
    """Vector -> [S, S] discounted law of the state where the policy goes on with that vector"""


def starting_over(search: BoundSearch, root: Node, vectors: Array) -> list[Array]:
    """Vectors [S] of the policy at ``root``, a fresh belief: going on as its bound says, and with itself instead.

    ``vectors`` [S, V] are those known so far. Only where memories are whole, and stages count what is looked at, so that
    no belief comes up twice.
    """
    states = search.joint.model.num_states
    search.spell_out(root)
    if _actions(root) is None or states > _MOST_STATES:
        return []
    found = _unroll(search, root)
    if found is None:
        return []
    ahead = sum((law @ vectors[:, place] for place, law in found.again.items()), np.zeros(states))
    law = sum(found.again.values(), np.zeros((states, states)))
    itself: Array = np.linalg.solve(np.eye(states) - law, found.reward).astype(np.float64)
    # Solving leaves an error: taking off the residual over the smallest growth leaves a value that is never too much.
    left = float(np.abs(found.reward + law @ itself - itself).max()) / max(1e-9, 1.0 - float(law.sum(axis=1).max()))
    margin = _ROUNDING * (1.0 + float(np.abs(vectors).max()))
    return [found.reward + ahead - margin, itself - left - margin]


def _unroll(search: BoundSearch, root: Node) -> Unrolled | None:
    """Follow the policy from every state at once; None where the laws are too large, or time is up."""
    model, agents = search.joint.model, search.beliefs.agents
    states = model.num_states
    reward, again = np.zeros(states), dict[int, Array]()
    start = StateLaws(np.zeros((states, agents), dtype=np.int64), np.arange(states), np.eye(states))
    level = [(root, start)]
    while level:
        arrived: dict[int, tuple[Node, list[StateLaws]]] = {}
        for node, laws in level:
            if laws.mass.size > _MOST_CELLS or search.stop():
                return None
            search.spell_out(node)
            actions = _actions(node)
            if actions is None:
                belief = node.belief
                place = int((belief.weights @ search.outlook.lower(node.stage, belief.numbers)).argmax())
                law = again.setdefault(place, np.zeros((states, states)))
                np.add.at(law.T, laws.states, laws.mass)
                continue
            joint_action = _played(search, node.belief, actions, laws)
            reward += model.expected_rewards[joint_action, laws.states] @ laws.mass
            for after, part in _follow(search, node, actions, laws, joint_action, again):
                arrived.setdefault(id(after), (after, []))[1].append(part)
        # Many histories can lead to one belief, from which the policy goes on as one.
        level = [(node, _joined(parts)) for node, parts in arrived.values()]
    return Unrolled(reward, again)


def _actions(node: Node) -> Numbers | None:
    """[T, K] what is played at a node; None where the policy starts over."""
    return node.last_actions if node.best is None else node.best.actions


def _played(search: BoundSearch, belief: TeamBelief, actions: Numbers, laws: StateLaws) -> Numbers:
    """[R] joint actions; memories of an agent that the belief does not hold act like its first one."""
    columns = []
    for agent in range(search.beliefs.agents):
        known, first = np.unique(belief.memories[:, agent], return_index=True)
        place = np.minimum(np.searchsorted(known, laws.memories[:, agent]), len(known) - 1)
        columns.append(actions[first, agent][place])
    return search.joint.model.joint_actions.index(np.stack(columns, axis=1))


def _follow(
    search: BoundSearch,
    node: Node,
    actions: Numbers,
    laws: StateLaws,
    joint_action: Numbers,
    again: dict[int, Array],
) -> list[tuple[Node, StateLaws]]:
    """The nodes after actions [T, K] and the laws there; what the belief holds to be impossible goes on with vector 0."""
    following = search.outlook.next(node.stage)
    told = search.beliefs.following(node.belief, actions, search.outlook.step(node.stage) + 1)
    moved, group = _moved(search, laws, joint_action)
    if search.beliefs.sharing.name != "control-sharing":
        group = np.zeros_like(group)
        expected = np.zeros(1, dtype=np.int64)
    else:
        expected = np.unique(search.joint.model.joint_actions.index(actions))
    result = []
    for value, (_, after) in zip(expected.tolist(), told, strict=True):
        rows = group == value
        if rows.any():
            part = StateLaws(moved.memories[rows], moved.states[rows], moved.mass[rows])
            result.append((search.node(following, after), _renamed(part, after)))
    rest = ~np.isin(group, expected)
    if rest.any():
        states = search.joint.model.num_states
        np.add.at(again.setdefault(0, np.zeros((states, states))).T, moved.states[rest], moved.mass[rest])
    return result


def _moved(search: BoundSearch, laws: StateLaws, joint_action: Numbers) -> tuple[StateLaws, Numbers]:
    """Laws of words on arrival and states, and the joint action before each row."""
    model = search.joint.model
    words, reached, mass, played = [], [], [], []
    for action in np.unique(joint_action).tolist():
        rows = np.flatnonzero(joint_action == action)
        indptr, column, chance = joint_moves(model, action)
        first, counts = indptr[laws.states[rows]], np.diff(indptr)[laws.states[rows]]
        ends = np.cumsum(counts)
        place = np.arange(int(ends[-1])) + np.repeat(first - (ends - counts), counts)
        origin = np.repeat(rows, counts)
        symbol = model.joint_observations.values(column[place] // model.num_states) + 1
        words.append(laws.memories[origin] * search.beliefs.symbols + symbol)
        reached.append(column[place] % model.num_states)
        mass.append(laws.mass[origin] * (search.discount * chance[place])[:, None])
        played.append(np.full(len(place), action))
    return StateLaws(np.concatenate(words), np.concatenate(reached), np.concatenate(mass)), np.concatenate(played)


def _renamed(laws: StateLaws, belief: TeamBelief) -> StateLaws:
    """Words on arrival become the memories that stand for them; words that the belief does not hold, any of them."""
    if not belief.words:
        return laws
    columns = []
    for agent, (arrived, became) in enumerate(belief.words):
        place = np.minimum(np.searchsorted(arrived, laws.memories[:, agent]), len(arrived) - 1)
        columns.append(became[place])
    return StateLaws(np.stack(columns, axis=1), laws.states, laws.mass)


def _joined(parts: list[StateLaws]) -> StateLaws:
    """Laws at one belief as one, equal rows as one."""
    rows = np.concatenate([np.concatenate((part.memories, part.states[:, None]), axis=1) for part in parts])
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    mass = np.zeros((len(unique), parts[0].mass.shape[1]))
    np.add.at(mass, inverse.reshape(-1), np.concatenate([part.mass for part in parts]))
    return StateLaws(unique[:, :-1], unique[:, -1], mass)
