"""The coordinator's belief: the law of the state and of all private memories given the common information (Theorem 2).

A belief is a list of joint memories that are possible, each with its probability and the number of the joint belief on the
state that it implies. After a prescription and a common observation comes another such list. Nothing in it depends on how
a memory came about, so equal lists are one belief.

Memories of one agent that say the same of the state and of the other agents' memories are merged: such an agent would only
draw lots with what tells them apart, and a team gains nothing by that. This holds where memory becomes common as a whole or
never. Under delayed sharing a part of it becomes common while the rest stays private, and only the newest observation may
be merged, among memories with the same older part; merging whole memories there loses value (Oliehoek et al. 2009 prove it
without sharing only).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.planning.finite.joint_beliefs import Array, JointBeliefs, Numbers
from dadc_net.planning.finite.sharing import Sharing

ROUNDING = 1e-10
_ODD = np.array([(0x9E3779B97F4A7C15 * (2 * i + 1) & (2**64 - 1)) | 1 for i in range(64)], dtype=np.uint64)
"""Odd multipliers that mix the columns of a row."""


@dataclass(frozen=True, eq=False)
class TeamBelief:
    """Axis letters: T joint memories, K agents."""

    memories: Numbers
    """[T, K] each agent's word, read as a number; rows differ and rise lexicographically"""
    numbers: Numbers
    """[T] joint belief on the state"""
    weights: Array
    """[T] probability, summing to 1"""
    length: int
    """Symbols in a word, where that matters."""
    words: tuple[tuple[Numbers, Numbers], ...] = ()
    """[K] private words on arrival, rising, and the memories that they became; empty: they are the memories"""

    @property
    def key(self) -> bytes:
        """Equal for equal beliefs, up to rounding of the probabilities."""
        rounded = np.rint(self.weights * (1.0 / ROUNDING)).astype(np.int64)
        return bytes((self.length,)) + self.memories.tobytes() + self.numbers.tobytes() + rounded.tobytes()


def fresh(number: int, agents: int) -> TeamBelief:
    """Everything is common, and the belief on the state is ``number``."""
    return TeamBelief(np.zeros((1, agents), dtype=np.int64), np.array([number]), np.ones(1), 0)


class TeamBeliefs:
    """What follows a team belief under one information structure."""

    def __init__(self, joint: JointBeliefs, sharing: Sharing) -> None:
        self.joint = joint
        self.sharing = sharing
        self.agents = joint.model.num_agents
        self.actions = np.array(joint.model.joint_actions.sizes, dtype=np.int64)
        self.observations = np.array(joint.model.joint_observations.sizes, dtype=np.int64)
        with_actions = sharing.name == "no-sharing" and sharing.memory_steps is not None
        self.symbols = self.observations * (self.actions if with_actions else 1) + 1
        """[K] symbols of a word and one for "none"."""
        self._check_words(joint.model.name)
        self.with_actions = with_actions
        """Whether a symbol is an action and the observation after it."""
        self.deviation = 0.0
        """The largest error in total mass that merging memories has caused."""

    def _check_words(self, name: str) -> None:
        """Words must fit into 64 bits where they are not numbered afresh."""
        length = (self.sharing.delay_steps or (self.sharing.memory_steps or 0) + 1) + 1
        if not self.sharing.keeps_whole_words and int(self.symbols.max()) ** length >= 2**62:
            raise UsageError(
                f"{self.sharing.text()} keeps words of {length - 1} symbols of {int(self.symbols.max())}, which do not fit "
                f"into 64 bits. The model is {name}. Give a smaller delay or memory."
            )

    def private_words(self, agent: int, belief: TeamBelief, memory: int, action: int, step: int) -> list[int]:
        """[O^k] the private word of ``agent`` on arrival at ``step``, by its own observation."""
        before = np.zeros((self.observations[agent], self.agents), dtype=np.int64)
        symbol = np.zeros_like(before)
        before[:, agent] = memory
        symbol[:, agent] = (
            np.arange(self.observations[agent]) + (action * self.observations[agent] if self.with_actions else 0) + 1
        )
        rows = np.arange(len(before))
        point = TeamBelief(before, rows, np.ones(len(before)), belief.length)
        words: list[int] = self._share(point, rows, symbol, rows, step)[0][:, agent].tolist()
        return words

    def following(self, belief: TeamBelief, actions: Numbers, step: int) -> list[tuple[float, TeamBelief]]:
        """Probabilities of common observations and the beliefs after them.

        Args:
            actions: [T, K] what each agent does with each of its memories.
            step: the step that is arrived at.
        """
        model = self.joint.model
        joint_actions = model.joint_actions.index(actions)
        found = self.joint.following(belief.numbers, joint_actions)
        weight = belief.weights[found.pair] * found.probability
        observed = model.joint_observations.values(found.observation)
        own = actions[found.pair]
        symbol = observed + (own * self.observations if self.with_actions else 0) + 1
        word, common, length = self._share(belief, found.pair, symbol, joint_actions[found.pair], step)
        if common is None:
            return [(1.0, self._gather(word, found.belief, weight, length))]
        groups, inverse = np.unique(common, return_inverse=True)
        if len(groups) == 1:
            return [(1.0, self._gather(word, found.belief, weight, length))]
        inverse = inverse.reshape(-1)
        order = np.argsort(inverse, kind="stable")
        ends = np.cumsum(np.bincount(inverse))
        result = []
        for start, end in zip((ends - np.diff(ends, prepend=0)).tolist(), ends.tolist(), strict=True):
            rows = order[start:end]
            chance = float(weight[rows].sum())
            result.append((chance, self._gather(word[rows], found.belief[rows], weight[rows] / chance, length)))
        return result

    def _share(
        self, belief: TeamBelief, pair: Numbers, symbol: Numbers, joint_action: Numbers, step: int
    ) -> tuple[Numbers, Numbers | None, int]:
        """Private words [m, K] after appending a symbol [m, K], what has become common [m] as one number, word length."""
        sharing, old = self.sharing, belief.memories[pair]
        if sharing.commons:
            whole = symbol.copy()
            whole[:, 0] = (symbol[:, 0] - 1) // sharing.commons + 1
            return whole, (symbol[:, 0] - 1) % sharing.commons, 1
        whole = old * self.symbols + symbol
        length = belief.length + 1
        if sharing.shares_all_at(step):
            if sharing.reading == "c":
                return symbol, pair, 1
            return np.zeros_like(whole), _as_one(np.concatenate((pair[:, None], symbol), axis=1)), 0
        if sharing.delay_steps:
            if length <= sharing.delay_steps:
                return whole, joint_action if sharing.name == "control-sharing" else None, length
            oldest = self.symbols**sharing.delay_steps
            return whole % oldest, _as_one(whole // oldest), sharing.delay_steps
        if sharing.memory_steps is not None:
            whole = whole % self.symbols ** (sharing.memory_steps + 1)
            if self.with_actions:
                # The action before the oldest observation is not kept.
                place = self.symbols**sharing.memory_steps
                oldest = whole // place
                whole = whole % place + np.where(oldest > 0, (oldest - 1) % self.observations + 1, 0) * place
            length = min(length, sharing.memory_steps + 1)
        return whole, joint_action if sharing.name == "control-sharing" else None, 0 if sharing.keeps_whole_words else length

    def _gather(self, word: Numbers, numbers: Numbers, weights: Array, length: int) -> TeamBelief:
        """One belief of rows in any order: equal words joined, memories that say the same merged."""
        order = np.lexsort(word.T[::-1])
        word, numbers, weights = word[order], numbers[order], weights[order]
        if len(word) > 1:
            new = np.concatenate(([True], (word[1:] != word[:-1]).any(axis=1)))
            if not new.all():
                word, numbers, weights = self._join(word, numbers, weights, np.flatnonzero(new))
        if self.sharing.memory_steps is None:
            return self._merged(word, numbers, weights, length)
        return TeamBelief(word, numbers, weights, length)

    def _join(self, word: Numbers, numbers: Numbers, weights: Array, starts: Numbers) -> tuple[Numbers, Numbers, Array]:
        """Rows with the same word become one, whose belief on the state is their mixture."""
        total = np.add.reduceat(weights, starts)
        stops = np.append(starts[1:], len(word))
        mixed = numbers[starts].copy()
        for place, (i, j) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            if j > i + 1 and (numbers[i:j] != numbers[i]).any():
                mixed[place] = self.joint.mixture(numbers[i:j], weights[i:j] / total[place])
        return word[starts], mixed, total

    def _merged(self, word: Numbers, numbers: Numbers, weights: Array, length: int) -> TeamBelief:
        """The belief with memories merged that say the same, until none do, and whole words numbered afresh."""
        arrived = [np.unique(word[:, k]) for k in range(self.agents)]
        became = list(arrived)
        changed = len(word) > 1
        while changed:
            changed = False
            for agent in range(self.agents):
                name = self._representatives(word, numbers, weights, agent)
                if name is None:
                    continue
                changed = True
                renamed = dict(zip(word[:, agent].tolist(), name.tolist(), strict=True))
                became[agent] = np.array([renamed[memory] for memory in became[agent].tolist()])
                word = word.copy()
                word[:, agent] = name
                order = np.lexsort(word.T[::-1])
                word, numbers, weights = word[order], numbers[order], weights[order]
                starts = np.flatnonzero(np.concatenate(([True], (word[1:] != word[:-1]).any(axis=1))))
                word, numbers, weights = word[starts], numbers[starts], np.add.reduceat(weights, starts)
        if self.sharing.keeps_whole_words:
            kept = [np.unique(memories) for memories in became]
            word = np.stack([np.searchsorted(kept[k], word[:, k]) for k in range(self.agents)], axis=1)
            became = [np.searchsorted(kept[k], became[k]) for k in range(self.agents)]
        return TeamBelief(word, numbers, weights, length, tuple(zip(arrived, became, strict=True)))

    def _representatives(self, word: Numbers, numbers: Numbers, weights: Array, agent: int) -> Numbers | None:
        """[T] the memory that stands for each row's memory of ``agent``; None if each stands for itself."""
        own, memory = np.unique(word[:, agent], return_inverse=True)
        if len(own) == 1:
            return None
        memory = memory.reshape(-1)
        share = np.bincount(memory, weights=weights)
        exact = weights / share[memory]
        given = np.rint(exact * (1.0 / ROUNDING)).astype(np.int64)
        says = np.concatenate((np.delete(word, agent, axis=1), numbers[:, None], given[:, None]), axis=1)
        # Sums of mixed words: what says the same has the same sum, so that different sums settle it.
        mixed = (says.astype(np.uint64) + np.uint64(1)) * _ODD[: says.shape[1]]
        mixed = (mixed ^ (mixed >> np.uint64(29))).sum(axis=1, dtype=np.uint64) * _ODD[0]
        order = np.argsort(memory, kind="stable")
        starts = np.flatnonzero(np.diff(memory[order], prepend=-1))
        sums = np.add.reduceat((mixed ^ (mixed >> np.uint64(32)))[order], starts)
        if len(np.unique(sums)) == len(own):
            return None
        stops = np.append(starts[1:], len(order)).tolist()
        older = self._told_apart(own, agent)
        first: dict[tuple[int, bytes], int] = {}
        names = [
            first.setdefault((int(older[place]), says[order[start:stop]].tobytes()), int(own[place]))
            for place, (start, stop) in enumerate(zip(starts.tolist(), stops, strict=True))
        ]
        if len(first) == len(own):
            return None
        at = {name: place for place, name in enumerate(own.tolist())}
        for place, name in enumerate(names):
            if at[name] != place:
                rows, stand_in = (order[starts[i] : stops[i]] for i in (place, at[name]))
                self.deviation = max(self.deviation, float(share[place] * np.abs(exact[rows] - exact[stand_in]).sum()))
        return np.array(names)[memory]

    def _told_apart(self, memories: Numbers, agent: int) -> Numbers:
        """Memories with different numbers here are never merged: those whose older parts will become common apart."""
        return np.zeros_like(memories) if self.sharing.keeps_whole_words else memories // self.symbols[agent]


def _as_one(columns: Numbers) -> Numbers:
    """Rows of columns [m, C] as numbers [m], equal where the rows are."""
    width = columns.max(axis=0) + 1
    number = columns[:, 0]
    for column in range(1, columns.shape[1]):
        number = number * width[column] + columns[:, column]
    return number
