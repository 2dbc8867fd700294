"""Symmetries of a finite model: other names for agents, states, actions and observations under which it is the same model.

Team beliefs that differ by a symmetry have the same optimum. Names are told apart by what the tables say of them (colour
refinement); names that this leaves alike are fixed one after the other (individualisation, McKay 1981), and what comes out
is compared with all tables, so that no symmetry rests on a hash. Only what a belief is written in is kept: which agent is
which, and which state is which.

Axis letters: K agents, S states, JA joint actions, JO joint observations, E entries of tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.team.finite.model import FiniteModel

Colours = NDArray[np.uint64]

_MOST_ENTRIES = 60_000
"""Of tables; larger ones are not looked at."""
_MOST_LOOKS = 60
"""Refinements in all."""
_MOST_SYMMETRIES, _MOST_AGENTS = 16, 4
_MOST_ROUNDS = 30
_SAME = 1e-13
"""Numbers this near to each other are the same but for rounding; what they are apart is counted."""
_ROUNDED = 1e-10
_ODD = np.array([(0x9E3779B97F4A7C15 * (2 * i + 1) & (2**64 - 1)) | 1 for i in range(64)], dtype=np.uint64)


class Symmetry(NamedTuple):
    """One of them."""

    agents: tuple[int, ...]
    """[K] the agent whose place agent k takes"""
    states: Numbers
    """[S] the state that each state becomes"""
    deviation: float = 0.0
    """How far rows of tables that become one another are apart, in total mass, and rewards, as a share of their span."""


def mixed(numbers: Colours) -> Colours:
    """Hashes of 64-bit numbers."""
    numbers = (numbers ^ (numbers >> np.uint64(33))) * _ODD[0]
    numbers = (numbers ^ (numbers >> np.uint64(29))) * _ODD[1]
    return numbers ^ (numbers >> np.uint64(32))


def symmetries(model: FiniteModel) -> list[Symmetry]:
    """The identity, and others as far as they are found."""
    found = [Symmetry(tuple(range(model.num_agents)), np.arange(model.num_states))]
    entries = sum(len(table.data) for table in (*model.transitions, *model.observation_probabilities))
    if entries > _MOST_ENTRIES or model.num_agents > _MOST_AGENTS:
        return found
    plain = _Tables(model, found[0].agents)
    looks = [_MOST_LOOKS]
    for agents in _orders(model):
        named = plain if agents == found[0].agents else _Tables(model, agents)
        for states, deviation in _matches(plain, named, plain.first(), named.first(), looks):
            known = any(agents == other.agents and bool((states == other.states).all()) for other in found)
            if not known and len(found) < _MOST_SYMMETRIES:
                found.append(Symmetry(agents, states, deviation))
    return found


def _orders(model: FiniteModel) -> Iterator[tuple[int, ...]]:
    """Orders of agents that have as many actions and observations as one another."""
    sizes = list(zip(model.joint_actions.sizes, model.joint_observations.sizes, strict=True))

    def grown(order: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(order) == len(sizes):
            yield order
        for agent in range(len(sizes)):
            if agent not in order and len(order) < len(sizes) and sizes[agent] == sizes[len(order)]:
                yield from grown((*order, agent))

    return grown(())


class _Part(NamedTuple):
    """One table of entries: what each is of, and its value."""

    joint_action: Numbers
    """[E]"""
    first: Numbers
    """[E] state"""
    second: Numbers
    """[E] state or joint observation"""
    value: Array
    """[E]"""


class _Tables:
    """The model with its agents in some order. Names are numbered: states, then each agent's actions, then observations."""

    def __init__(self, model: FiniteModel, agents: tuple[int, ...]) -> None:
        self.model, self.agents = model, agents
        order = np.array(agents)
        space, seen = model.joint_actions, model.joint_observations
        kinds = [model.num_states, *(space.sizes[k] for k in agents), *(seen.sizes[k] for k in agents)]
        self.firsts = np.concatenate(([0], np.cumsum(kinds)))
        self.kinds = np.repeat(np.arange(len(kinds)), kinds)
        count = len(agents)
        self.actions = space.values(np.arange(space.num_values))[:, order] + self.firsts[1 : 1 + count]
        self.observations = seen.values(np.arange(seen.num_values))[:, order] + self.firsts[1 + count : 1 + 2 * count]
        self.moves = _Part(*map(np.concatenate, zip(*_rows(model.transitions), strict=True)))
        self.sights = _Part(*map(np.concatenate, zip(*_rows(model.observation_probabilities), strict=True)))

    def first(self) -> Colours:
        """Colours that tell kinds of names apart."""
        return mixed(self.kinds.astype(np.uint64) + np.uint64(1))

    def refined(self, colours: Colours) -> Colours:
        """Colours that tell apart what the tables do."""
        for _ in range(_MOST_ROUNDS):
            before = len(np.unique(colours))
            colours = self._once(colours)
            if len(np.unique(colours)) == before:
                break
        return colours

    def _once(self, colours: Colours) -> Colours:
        model = self.model
        states = colours[: model.num_states]
        did = mixed((colours[self.actions] * _ODD[2 : 2 + len(self.agents)]).sum(axis=1, dtype=np.uint64))
        saw = mixed((colours[self.observations] * _ODD[12 : 12 + len(self.agents)]).sum(axis=1, dtype=np.uint64))
        fresh = mixed(colours) * _ODD[22]
        acted, sighted = np.zeros(len(did), dtype=np.uint64), np.zeros(len(saw), dtype=np.uint64)
        for place, (part, other) in enumerate(((self.moves, states), (self.sights, saw))):
            entry = did[part.joint_action] + _whole(part.value) * _ODD[23 + place]
            whole = mixed(entry + states[part.first] * _ODD[25 + place] + other[part.second] * _ODD[27 + place])
            np.add.at(fresh, part.first, whole * _ODD[29 + place])
            np.add.at(acted, part.joint_action, whole * _ODD[31 + place])
            if place == 0:
                np.add.at(fresh, part.second, whole * _ODD[33])
            else:
                np.add.at(sighted, part.second, whole)
        earned = mixed(_whole(model.expected_rewards) * _ODD[34] + did[:, None] + states * _ODD[35])
        fresh[: model.num_states] += earned.sum(axis=0, dtype=np.uint64) * _ODD[36]
        acted += earned.sum(axis=1, dtype=np.uint64) * _ODD[37]
        for k in range(len(self.agents)):
            np.add.at(fresh, self.actions[:, k], mixed(acted + did))
            np.add.at(fresh, self.observations[:, k], mixed(sighted + saw))
        return mixed(fresh)

    def deviation(self, other: _Tables, names: Numbers) -> float:
        """How far these tables are from ``other`` when each name becomes ``names`` of it; infinite if they are not alike."""
        model, count = self.model, len(self.agents)
        own = [names[self.actions] - other.firsts[1 : 1 + count], names[self.observations] - other.firsts[1 + count : -1]]
        back = np.argsort(other.agents)
        did, saw = model.joint_actions.index(own[0][:, back]), model.joint_observations.index(own[1][:, back])
        states = names[: model.num_states]
        rewards = np.empty_like(model.expected_rewards)
        rewards[did[:, None], states] = model.expected_rewards
        apart = float(np.abs(rewards - model.expected_rewards).max()) / max(float(np.ptp(rewards)), _SAME)
        for part, second in ((self.moves, states), (self.sights, saw)):
            became = np.lexsort((second[part.second], states[part.first], did[part.joint_action]))
            for given, column in ((did, part.joint_action), (states, part.first), (second, part.second)):
                if (given[column][became] != column).any():
                    return np.inf
            apart += float(np.abs(part.value[became] - part.value).sum())
        return apart


def _rows(tables: tuple[object, ...]) -> Iterator[tuple[Numbers, Numbers, Numbers, Array]]:
    for action, table in enumerate(tables):
        rows, columns, data = table.rows, table.indices, table.data  # type: ignore[attr-defined]
        yield np.full(len(data), action), rows, columns, data


def _whole(values: Array) -> Colours:
    return np.rint(values * (1.0 / _ROUNDED)).astype(np.int64).astype(np.uint64)


def _matches(
    plain: _Tables, named: _Tables, ours: Colours, theirs: Colours, looks: list[int]
) -> Iterator[tuple[Numbers, float]]:
    """[S] what states can become so that ``plain`` becomes ``named``, and the deviation."""
    if looks[0] <= 0:
        return
    looks[0] -= 1
    ours, theirs = plain.refined(ours), named.refined(theirs)
    values, counts = np.unique(ours, return_counts=True)
    others, other_counts = np.unique(theirs, return_counts=True)
    if len(values) != len(others) or (values != others).any() or (counts != other_counts).any():
        return
    if counts.max() == 1:
        names = np.empty(len(ours), dtype=np.int64)
        names[np.argsort(ours)] = np.argsort(theirs)
        deviation = plain.deviation(named, names)
        if deviation <= _SAME * len(plain.moves.value):
            yield names[: plain.model.num_states], deviation
        return
    # The smallest class of names that are alike: fix one of ours, and try all of theirs for it.
    colour = values[counts > 1][np.argmin(counts[counts > 1])]
    marked = ours.copy()
    marked[np.flatnonzero(ours == colour)[0]] = mixed(colour[None] + np.uint64(1))[0]
    for candidate in np.flatnonzero(theirs == colour).tolist():
        tried = theirs.copy()
        tried[candidate] = mixed(colour[None] + np.uint64(1))[0]
        yield from _matches(plain, named, marked, tried, looks)
