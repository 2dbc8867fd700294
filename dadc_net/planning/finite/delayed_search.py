"""Search without end under delayed sharing, where a prescription falls apart into what is done after each oldest symbol.

The oldest symbols of all agents become common with the next step. So what a joint prescription is worth is a sum, over the
joint oldest symbols x, of what follows once x is known and the rest of the words is acted on by the functions g that the
prescription has for x (paper, dynamic program (2), for delayed sharing):

    Q(belief, (g_x)) = sum_x P(x) U(belief after x, g_x^1 .. g_x^K),   U(S, g) = reward + discount * E V(what follows S, g)

U is one table for each belief S with words that are one symbol shorter. Few S stand for many beliefs, and the best
prescription is the best joint one of tables, so that prescriptions need not be tried one by one. Tables begin with the same
sum of the search with a delay that is one step shorter, where more is known: no entry is too little, and entries fall to
what follows when they are looked at. Trials go down by the greatest upper bound and up again (heuristic search value
iteration, Smith and Simmons 2004).

If actions are common at once (control sharing), the same holds with several beliefs after S and g.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.bound_search import BoundSearch
from dadc_net.planning.finite.controllers import Begun
from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.outlook import DiscountedOutlook
from dadc_net.planning.finite.prescription_search import PrescriptionSearch
from dadc_net.planning.finite.search_nodes import Node
from dadc_net.planning.finite.team_belief import TeamBelief, TeamBeliefs, fresh

_MOST_AT_ONCE = 1_000_000
"""Entries of all joint choices at once, up to which the best is read off a table."""
_MOST_ROUNDS = 20
_NODE_BYTES = 900
_MANY_WORDS, _MOST_BITS = 10_000, 900.0
"""So many words and no fewer, and functions that take so many bits to number, are too many for any table."""


@dataclass(eq=False, slots=True)
class Step:
    """What is done with some memories, and what follows."""

    actions: Numbers
    """[T, K]"""
    reward: float
    children: list[tuple[float, DelayedNode]]


class Part(NamedTuple):
    """What may become common next."""

    chance: float
    symbols: tuple[int, ...]
    """[K] the oldest symbols"""
    revealed: Revealed


@dataclass(eq=False, slots=True)
class Revealed:
    """A belief whose oldest symbols are common."""

    belief: TeamBelief
    upper: Array
    """[product of G^k] no joint function of what stays private is worth more"""
    tried: dict[int, Step] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class DelayedNode:
    """A team belief and what is known of its value."""

    belief: TeamBelief
    lower: float
    upper: float
    parts: list[Part] = field(default_factory=list)
    """Nothing until it is opened."""
    choice: tuple[int, ...] = ()
    """What the upper bound rests on: for each part an entry of its table."""
    lower_choice: tuple[int, ...] = ()
    """What the lower bound rests on; nothing: one joint action repeated."""
    best: Step | None = None
    """What ``lower_choice`` does in all joint memories, where it has been spelled out."""
    last_actions: Numbers | None = None
    stage: int = 0

    @property
    def gap(self) -> float:
        """How far the bounds are apart."""
        return self.upper - self.lower


def table_entries(actions: tuple[int, ...], observations: tuple[int, ...], length: int) -> float:
    """How many joint functions from words of ``length`` observations to actions there are; infinite beyond float64."""
    words = [min(observation**length, _MANY_WORDS) for observation in observations]
    if sum(count * math.log2(action) for action, count in zip(actions, words, strict=True)) > _MOST_BITS:
        return math.inf
    return float(math.prod(action**count for action, count in zip(actions, words, strict=True)))


class DelayedSearch:
    """The search for one delay; ``coarser`` is that for a delay which is one step shorter. K agents, G^k functions."""

    def __init__(
        self,
        beliefs: TeamBeliefs,
        outlook: DiscountedOutlook,
        discount: float,
        tolerance: float,
        stop: Callable[[], bool],
        coarser: DelayedSearch | None,
    ) -> None:
        """
        Args:
            tolerance: gaps of at most this are closed.
            stop: asked now and then; when it is true the search ends early, with bounds that hold.
        """
        self.beliefs = beliefs
        self.joint = beliefs.joint
        self.outlook = outlook
        self.discount = discount
        self.tolerance = tolerance
        self.stop = stop
        self.nodes: dict[bytes, DelayedNode] = {}
        self.bytes_held = 0
        self.deviation = 0.0
        """The largest distance in total mass of beliefs that were taken for one."""
        self.tried = 0
        self.origins: dict[int, tuple[BoundSearch, Node]] = {}
        """No policies found here are begun anew."""
        self.begun: dict[int, Begun] = {}
        self._coarser = coarser
        self._revealed: dict[bytes, Revealed] = {}
        space = self.joint.model.joint_actions
        self._actions = space.sizes
        self._observations = self.joint.model.joint_observations.sizes
        self.root = self.node(0, fresh(0, beliefs.agents))

    def node(self, stage: int, belief: TeamBelief) -> DelayedNode:
        """The node of a belief, a new one if it has not been met; all stages are one."""
        found = self.nodes.get(belief.key)
        if found is not None:
            self.deviation = max(self.deviation, float(np.abs(found.belief.weights - belief.weights).sum()))
            return found
        upper = float(belief.weights @ self.outlook.upper(0, belief.numbers))
        if self._coarser is not None:
            more = sum(chance * self._coarser.node(0, after).upper for chance, _, after, _ in self._split(belief))
            upper = min(upper, more)
        lower = float((belief.weights @ self.outlook.lower(0, belief.numbers)).max())
        found = self.nodes[belief.key] = DelayedNode(belief, min(lower, upper), upper)
        self.bytes_held += _NODE_BYTES + 3 * belief.memories.nbytes + 4 * belief.weights.nbytes
        return found

    def is_closed(self, node: DelayedNode) -> bool:
        """Whether the bounds are as near to each other as they need be."""
        return node.gap <= self.tolerance

    def trial(self, start: DelayedNode) -> None:
        """Go down once from ``start`` and take the bounds back up."""
        path: list[DelayedNode] = []
        node, allowed = start, self.tolerance
        while node.gap > allowed and not self.stop():
            self._update(node, allowed)
            if not node.choice:
                break
            path.append(node)
            allowed = allowed / self.discount if self.discount > 0.0 else np.inf
            following = [
                (part.chance * chance * (child.gap - allowed), child)
                for part, entry in zip(node.parts, node.choice, strict=True)
                for chance, child in part.revealed.tried[entry].children
            ]
            excess, child = max(following, key=lambda pair: pair[0])
            if excess <= 0.0:
                break
            node = child
        for node in reversed(path):
            self._update(node, self.tolerance)

    def settle(self, change: float, most: int = 50) -> None:
        """Take all bounds up to where they come from, until none moves by more than ``change``."""
        opened = [node for node in self.nodes.values() if node.parts][::-1]
        for _ in range(most):
            moved = 0.0
            for node in opened:
                if self.stop():
                    return
                before = node.gap
                self._update(node, self.tolerance)
                moved = max(moved, before - node.gap)
            if moved <= change:
                return

    def prescriptions_upper(self, belief: TeamBelief) -> Array:
        """[product over agents of functions of whole words] no prescription of ``belief`` is worth more."""
        node = self.node(0, belief)
        if not node.parts:
            self._open(node)
        self.trial(node)
        if len(node.parts) == 1 and not self._reveals(belief):
            return node.parts[0].revealed.upper
        sizes = self._sizes(belief.length - 1)
        whole = np.zeros([size for k, size in enumerate(sizes) for _ in range(self._observations[k])])
        firsts = np.cumsum((0, *self._observations))
        for part in node.parts:
            # A prescription's number has the function for the symbol x as digit x: the last axis is that of the least.
            shape = [1] * whole.ndim
            for k, symbol in enumerate(part.symbols):
                shape[firsts[k + 1] - 1 - symbol] = sizes[k]
            whole += part.chance * part.revealed.upper.reshape(shape)
        return whole.reshape(-1)

    def _sizes(self, length: int) -> tuple[int, ...]:
        """[K] functions from words of ``length`` to actions."""
        return tuple(a ** (o**length) for a, o in zip(self._actions, self._observations, strict=True))

    def _reveals(self, belief: TeamBelief) -> bool:
        """Whether words are so long that their oldest symbols become common."""
        return belief.length == self.beliefs.sharing.delay_steps

    def spell_out(self, node: DelayedNode) -> bool:
        """Give a node the actions that its lower bound rests on, memory by memory; True: they are known."""
        if node.lower_choice:
            actions = np.empty_like(node.belief.memories)
            for part, entry, split in zip(node.parts, node.lower_choice, self._split(node.belief), strict=True):
                actions[split[3]] = part.revealed.tried[entry].actions
            node.best = Step(actions, 0.0, [])
        return True

    def _split(self, belief: TeamBelief) -> Iterator[tuple[float, tuple[int, ...], TeamBelief, Numbers]]:
        """Chances, oldest symbols [K] and beliefs once they are common, and which rows of the whole belief they are."""
        if not self._reveals(belief):
            yield 1.0, (0,) * self.beliefs.agents, belief, np.arange(len(belief.weights))
            return
        place = self.beliefs.symbols ** (belief.length - 1)
        oldest, rest = belief.memories // place - 1, belief.memories % place
        groups, inverse = np.unique(oldest, axis=0, return_inverse=True)
        for group, symbols in enumerate(groups.tolist()):
            rows = np.flatnonzero(inverse.reshape(-1) == group)
            chance = float(belief.weights[rows].sum())
            after = TeamBelief(rest[rows], belief.numbers[rows], belief.weights[rows] / chance, belief.length - 1)
            yield chance, tuple(symbols), after, rows

    def _open(self, node: DelayedNode) -> None:
        node.parts = [Part(chance, symbols, self._table_of(after)) for chance, symbols, after, _ in self._split(node.belief)]
        self.bytes_held += 200 * len(node.parts)

    def _table_of(self, belief: TeamBelief) -> Revealed:
        found = self._revealed.get(belief.key)
        if found is not None:
            self.deviation = max(self.deviation, float(np.abs(found.belief.weights - belief.weights).sum()))
            return found
        if self._coarser is None:
            upper = self.outlook.upper_q(0, belief.numbers)[0]
        else:
            upper = self._coarser.prescriptions_upper(belief).copy()
        found = self._revealed[belief.key] = Revealed(belief, upper)
        self.bytes_held += _NODE_BYTES + upper.nbytes + 3 * belief.memories.nbytes
        return found

    def _update(self, node: DelayedNode, allowed: float) -> None:
        """Bounds of a node from its tables, and those entries of tables that they rest on from what follows."""
        if not node.parts:
            self._open(node)
        slack = 1e-3 * allowed
        for _ in range(_MOST_ROUNDS):
            if not node.choice or self._worth(node, node.choice) < node.upper - slack:
                upper, node.choice = self._best_choice(node)
                node.upper = max(node.lower, min(node.upper, upper))
            if not node.choice:
                return  # There was no time to find one.
            before = self._worth(node, node.choice)
            for part, entry in zip(node.parts, node.choice, strict=True):
                self._look(part.revealed, entry)
            if before - self._worth(node, node.choice) <= slack or self.stop():
                break
        for choice in (node.choice, node.lower_choice):
            lower = self._lower(node, choice) if choice else -np.inf
            if lower > node.lower:
                node.lower, node.lower_choice = min(lower, node.upper), choice

    def _worth(self, node: DelayedNode, choice: tuple[int, ...]) -> float:
        return sum(part.chance * float(part.revealed.upper[entry]) for part, entry in zip(node.parts, choice, strict=True))

    def _lower(self, node: DelayedNode, choice: tuple[int, ...]) -> float:
        total = 0.0
        for part, entry in zip(node.parts, choice, strict=True):
            step = part.revealed.tried[entry]
            ahead = sum(chance * child.lower for chance, child in step.children)
            total += part.chance * (step.reward + self.discount * ahead)
        return total

    def _look(self, revealed: Revealed, entry: int) -> None:
        """Lower an entry to what follows it."""
        step = revealed.tried.get(entry)
        if step is None:
            step = revealed.tried[entry] = self._try(revealed, entry)
        ahead = sum(chance * child.upper for chance, child in step.children)
        revealed.upper[entry] = min(revealed.upper[entry], step.reward + self.discount * ahead)

    def _try(self, revealed: Revealed, entry: int) -> Step:
        belief = revealed.belief
        actions = self._spell(belief, entry)
        joint_actions = self.joint.model.joint_actions.index(actions)
        rewards = self.joint.reward(belief.numbers)[np.arange(len(joint_actions)), joint_actions]
        found = self.beliefs.following(belief, actions, 1)
        self.tried += 1
        self.bytes_held += 2 * actions.nbytes + 150 * len(found) + 300
        return Step(actions, float(belief.weights @ rewards), [(p, self.node(0, after)) for p, after in found])

    def _spell(self, belief: TeamBelief, entry: int) -> Numbers:
        """[T, K] the actions that an entry of a table means."""
        numbers = np.unravel_index(entry, self._sizes(belief.length))
        actions = np.empty_like(belief.memories)
        for k, (action, observation) in enumerate(zip(self._actions, self._observations, strict=True)):
            word, place = belief.memories[:, k], np.zeros(len(belief.memories), dtype=np.int64)
            for position in range(belief.length):
                symbol = word // int(self.beliefs.symbols[k]) ** position % int(self.beliefs.symbols[k])
                place += (symbol - 1) * observation**position
            actions[:, k] = int(numbers[k]) // action**place % action
        return actions

    def _hold(self, change: int) -> None:
        self.bytes_held += change

    def _best_choice(self, node: DelayedNode) -> tuple[float, tuple[int, ...]]:
        """The greatest sum of tables over joint functions, and the entry of each part."""
        sizes = self._sizes(node.belief.length - 1 if self._reveals(node.belief) else node.belief.length)
        if len(node.parts) == 1:
            entry = int(np.argmax(node.parts[0].revealed.upper))
            return float(node.parts[0].revealed.upper[entry]), (entry,)
        table = np.stack([part.chance * part.revealed.upper for part in node.parts])
        symbols = np.array([part.symbols for part in node.parts])
        ranks = np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in symbols.T], axis=1)
        counts = ranks.max(axis=0) + 1
        best = _best_of_two(table.reshape(len(table), *sizes), ranks, counts) if len(sizes) == 2 else None
        if best is not None:
            value, chosen = best
        else:
            search = PrescriptionSearch(symbols, table, sizes, hold=self._hold)
            promise = search.pop(stop=self.stop)
            search.release()
            if promise is None:
                return search.bound, node.choice
            value, chosen = promise.value, promise.actions
        entries = np.ravel_multi_index(tuple(chosen.T), sizes)
        return value, tuple(entries.tolist())


def _best_of_two(table: Array, ranks: Numbers, counts: Numbers) -> tuple[float, Numbers] | None:
    """The best of two agents' functions: value, [parts, 2] functions; None where too many have to be tried.

    Functions of the first agent that cannot be as good as a choice at hand are left out, then all others are tried.
    """
    own, other = table.shape[1:]
    filled = np.zeros((counts[0], counts[1], own, other))
    filled[ranks[:, 0], ranks[:, 1]] = table
    most = filled.max(axis=2)
    rest = most.sum(axis=0) - most
    promised = (filled + rest[:, :, None]).max(axis=3).sum(axis=1)
    at_hand = _one_after_the_other(filled, most.sum(axis=0).argmax(axis=1))
    noise = 1e-12 * max(1.0, float(np.abs(promised).max()))
    kept = [np.flatnonzero(row >= at_hand - noise) for row in promised]
    if math.prod(map(len, kept)) * int(counts[1]) * other > _MOST_AT_ONCE:
        return None
    total = np.zeros((1, counts[1], other))
    for row, functions in zip(filled, kept, strict=True):
        total = (total[:, None] + row[:, functions].transpose(1, 0, 2)[None]).reshape(-1, counts[1], other)
    best = total.max(axis=2).sum(axis=1)
    first = int(best.argmax())
    places = np.unravel_index(first, [len(functions) for functions in kept])
    owns = np.array([functions[place] for functions, place in zip(kept, places, strict=True)])
    answers = total[first].argmax(axis=1)
    return float(best[first]), np.stack([owns[ranks[:, 0]], answers[ranks[:, 1]]], axis=1)


def _one_after_the_other(filled: Array, answers: Numbers) -> float:
    """The value of functions that are each the best for the other agent's, found from ``answers`` on."""
    value, columns = -np.inf, np.arange(filled.shape[1])
    for _ in range(8):
        owns = filled[:, columns, :, answers].sum(axis=0).argmax(axis=1)
        against = filled[np.arange(len(filled)), :, owns].sum(axis=0)
        answers = against.argmax(axis=1)
        reached = float(against.max(axis=1).sum())
        if reached <= value:
            break
        value = reached
    return value
