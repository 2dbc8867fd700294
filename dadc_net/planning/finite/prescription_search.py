"""Joint prescriptions in the order of what they promise, without enumerating them.

A joint prescription gives an action to every private memory of every agent; what it promises is a sum over joint memories
of a table of that memory and the joint action taken there. The best is found by branch and bound and the next ones after
it, one by one. Agents are taken in order and their memories by falling probability. While some memories of an agent are
open, each of them is allowed another action against every memory of the last agent; the last agent's own answer is then
exact, memory by memory, because the sum falls apart. With one open agent (K = 2) nothing else is relaxed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dadc_net.planning.finite.joint_beliefs import Array, Numbers
from dadc_net.planning.finite.tightening import SWEEPS, tighten

_POPS_BETWEEN_LOOKS = 64
_ENTRY_BYTES = 400
"""Of what is open, choices and arrays aside."""
_NOTHING: Array = np.zeros(0)


class Promise(NamedTuple):
    """A joint prescription and the value of its table."""

    value: float
    actions: Numbers
    """[T, K] what each agent does in each joint memory"""


@dataclass(eq=False)
class _Level:
    """One agent's choice where the earlier agents have chosen. Letters: l, a own memories and actions; m, b the last's."""

    gain: Array
    """[l, a, m, b]"""
    rest: Array
    """[l + 1, m, b] the most that memories from the l-th on can add"""
    before: tuple[tuple[int, ...], ...]
    """The earlier agents' actions, memory by memory"""
    entries: int = 0
    """How many of what is open need it"""

    @property
    def bytes_held(self) -> int:
        """Of its arrays and actions."""
        return self.gain.nbytes + self.rest.nbytes + 8 * sum(map(len, self.before))


@dataclass(eq=False)
class _Answers:
    """The last agent's answers in falling order of value."""

    values: Array
    """[m, b] per memory, falling"""
    order: Numbers
    """[m, b] which action has that value"""
    before: tuple[tuple[int, ...], ...]
    by_cost: Numbers
    """[m] memories by what their second best answer costs"""
    entries: int = 0
    """How many of what is open need it"""

    @property
    def bytes_held(self) -> int:
        """Of its arrays and actions."""
        return self.values.nbytes + self.order.nbytes + self.by_cost.nbytes + 8 * sum(map(len, self.before))


class PrescriptionSearch:
    """Yields joint prescriptions by falling value."""

    def __init__(
        self,
        memories: Numbers,
        table: Array,
        actions: tuple[int, ...],
        enough: float = -np.inf,
        hold: Callable[[int], None] = lambda change: None,
    ) -> None:
        """
        Args:
            memories: [T, K]
            table: [T, JA] value of a joint memory and action, weight included.
            enough: a bound that is no greater need not be tighter.
            hold: told by how many bytes what is held has grown, also in the middle of a ``pop``, before ``stop`` is asked.
        """
        self._enough = enough
        self._sizes = actions
        self._agents = len(actions)
        self._ranks = [np.unique(memories[:, k], return_inverse=True)[1].reshape(-1) for k in range(self._agents)]
        self._count = [int(rank.max()) + 1 for rank in self._ranks]
        for k in range(self._agents - 1):
            # The memories that matter most come first.
            share = np.bincount(self._ranks[k], weights=np.abs(table).max(axis=1))
            self._ranks[k] = np.argsort(np.argsort(-share, kind="stable"), kind="stable")[self._ranks[k]]
        self._table = table.reshape(len(table), *actions)
        # What is still possible for agents after the k-th is the best of it, whatever the last one does.
        self._open = [self._table]
        for k in range(self._agents - 2, 0, -1):
            self._open.insert(0, self._open[0].max(axis=k + 1))
        self._heap: list[tuple[float, int, _Answers | _Level, tuple[int, ...], Array]] = []
        self._made = 0
        self._bytes, self._hold, self._told = 3 * self._table.nbytes, hold, 0
        # Bounds that differ by float64's own error are equal: a search that told them apart would go wide.
        self._noise = 1e-13 * max(1.0, float(np.abs(table).sum()))
        self._enter(0, (), np.inf)
        self._tell()

    def release(self) -> None:
        """It is not needed any more: what was held is given back."""
        self._hold(-self._told)
        self._told = 0

    def _tell(self) -> None:
        change = self._bytes - self._told
        self._told += change
        self._hold(change)

    @property
    def bound(self) -> float:
        """No prescription that has not been yielded has a greater value; minus infinity when all have been."""
        return -self._heap[0][0] if self._heap else -np.inf

    def _push(self, bound: float, parent: float, at: _Answers | _Level, chosen: tuple[int, ...], gained: Array) -> None:
        if bound > parent - self._noise:
            bound = parent if parent < np.inf else bound
        self._made -= 1  # the newest of equal bounds first: deep before wide
        heapq.heappush(self._heap, (-bound, self._made, at, chosen, gained))
        self._bytes += _ENTRY_BYTES + 8 * len(chosen) + gained.nbytes + (0 if at.entries else at.bytes_held)
        at.entries += 1

    def _take(self) -> tuple[float, _Answers | _Level, tuple[int, ...], Array]:
        negative, _, at, chosen, gained = heapq.heappop(self._heap)
        at.entries -= 1
        self._bytes -= _ENTRY_BYTES + 8 * len(chosen) + gained.nbytes + (0 if at.entries else at.bytes_held)
        return -negative, at, chosen, gained

    def _enter(self, agent: int, before: tuple[tuple[int, ...], ...], parent: float) -> None:
        """Open the choice of ``agent``, the earlier ones having chosen."""
        last = self._agents - 1
        rows = np.arange(len(self._table))
        taken = tuple(np.array(before[k])[self._ranks[k]] for k in range(agent))
        if agent == last:
            per_memory = np.zeros((self._count[last], self._sizes[last]))
            np.add.at(per_memory, self._ranks[last], self._table[(rows, *taken)])
            self._answer(per_memory, before, parent)
            return
        gain = np.zeros((self._count[agent], self._sizes[agent], self._count[last], self._sizes[last]))
        if self._agents == 2:
            gain[self._ranks[agent], :, self._ranks[last]] = self._table
        else:
            by_memory = gain.transpose(0, 2, 1, 3)
            np.add.at(by_memory, (self._ranks[agent], self._ranks[last]), self._open[agent][(rows, *taken)])
        bound, most = _bounded(gain)
        for sweeps in SWEEPS if gain.shape[0] > 1 and gain.shape[2] > 1 else ():
            if bound <= self._enough:
                break
            tighten(gain, sweeps)
            bound, most = _bounded(gain)
        rest = np.zeros((len(gain) + 1, *most.shape[1:]))
        rest[:-1] = np.cumsum(most[::-1], axis=0)[::-1]
        self._push(bound, parent, _Level(gain, rest, before), (), np.zeros(most.shape[1:]))

    def _answer(self, per_memory: Array, before: tuple[tuple[int, ...], ...], parent: float) -> None:
        order = np.argsort(-per_memory, axis=1, kind="stable")
        values = np.take_along_axis(per_memory, order, axis=1)
        # Where the second best costs least comes first, so that successors fall in value.
        cost = values[:, 0] - values[:, min(1, values.shape[1] - 1)]
        by_cost = np.argsort(cost, kind="stable")
        answers = _Answers(values, order, before, by_cost)
        self._push(float(values[:, 0].sum()), parent, answers, (), _NOTHING)

    def pop(self, above: float = -np.inf, stop: Callable[[], bool] = lambda: False) -> Promise | None:
        """The best that has not been yielded.

        None if it is no better than ``above``, or if ``stop`` says so: ``bound`` holds all the same.
        """
        found: Promise | None = None
        pops = 0
        while found is None and self._heap and -self._heap[0][0] > above:
            pops += 1
            if pops % _POPS_BETWEEN_LOOKS == 0:
                self._tell()
                if stop():
                    break
            found = self._step()
        self._tell()
        return found

    def _step(self) -> Promise | None:
        """Take what promises most: a joint prescription is yielded, of anything else its successors are opened."""
        value, at, chosen, gained = self._take()
        if isinstance(at, _Answers):
            self._push_next_answers(value, at, chosen)
            return Promise(value, self._spell(at, chosen))
        position = len(chosen)
        if position == len(at.gain):
            self._enter(len(at.before) + 1, (*at.before, chosen), value)
            return None
        options = gained + at.gain[position]
        bounds = (options + at.rest[position + 1]).max(axis=2).sum(axis=1)
        for action in np.argsort(bounds, kind="stable").tolist():
            # A copy: a view would keep all options alive for one.
            self._push(float(bounds[action]), value, at, (*chosen, action), options[action].copy())
        return None

    def _push_next_answers(self, value: float, at: _Answers, ranks: tuple[int, ...]) -> None:
        """Answers just below: ``ranks`` holds the ranks along ``at.by_cost``, up to the last that is not 0."""
        width = at.values.shape[1]
        sorted_values = at.values[at.by_cost]
        end = len(ranks) - 1

        def step(place: int, rank: int) -> float:
            return float(sorted_values[place, rank + 1] - sorted_values[place, rank])

        if end >= 0 and ranks[end] + 1 < width:
            self._push(value + step(end, ranks[end]), value, at, (*ranks[:end], ranks[end] + 1), _NOTHING)
        if width > 1 and end + 1 < len(sorted_values):
            self._push(value + step(end + 1, 0), value, at, (*ranks, 1), _NOTHING)
            if end >= 0 and ranks[end] == 1:
                self._push(value - step(end, 0) + step(end + 1, 0), value, at, (*ranks[:end], 0, 1), _NOTHING)

    def _spell(self, at: _Answers, ranks: tuple[int, ...]) -> Numbers:
        rank = np.zeros(len(at.order), dtype=np.int64)
        rank[at.by_cost[: len(ranks)]] = ranks
        answer = at.order[np.arange(len(rank)), rank]
        columns = [np.array(at.before[k])[self._ranks[k]] for k in range(self._agents - 1)] + [answer[self._ranks[-1]]]
        return np.stack(columns, axis=1).astype(np.int64)


def _bounded(gain: Array) -> tuple[float, Array]:
    """The bound where every own memory may act differently against each of the others, and [l, m, b] what it rests on."""
    most: Array = gain.max(axis=1)
    return float(most.sum(axis=0).max(axis=1).sum()), most
