"""R specifications become rewards r(s, a) or r(s, a, s'), in either of the two readings that exist.

    added       MADP: a line for all end states and observations sets R(s, a); any other adds its share,
                P(s' | s, a) [P(o | a, s')] r, to what is there
    last-line   Cassandra: R(s, a, s', o) is a table, of which the last line that mentions an entry counts

The two differ only where both kinds of line meet in one (s, a), or lines of the second kind mention an entry twice. Rewards
are kept for moves that can happen only; an observation's part is its mean over P(o | a, s').
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.dpomdp.source import Source
from dadc_net.team.finite.dpomdp.specifications import Specification
from dadc_net.team.finite.dpomdp.symbols import Joint, States
from dadc_net.team.finite.sparse_rows import SparseRows

Floats = NDArray[np.float64]
Places = slice | NDArray[np.int64]
Reward = Floats | SparseRows
ADDED, LAST_LINE = "added", "last-line"
READINGS = (ADDED, LAST_LINE)


@dataclass(frozen=True)
class RewardLine:
    """One R specification."""

    line: int
    joint_actions: tuple[int, ...]
    state: int | None
    """None: all of them."""
    arrival: int | None
    observations: tuple[int, ...] | None
    """None: all of them."""
    values: float | Floats
    """A number; [JO]; or [S', JO]."""

    @property
    def sets(self) -> bool:
        """Whether the reward depends on neither the state arrived at nor the observation."""
        return self.arrival is None and self.observations is None and isinstance(self.values, float)

    @property
    def form(self) -> str:
        """Such as ``R(s, a, s')``."""
        if self.sets:
            return "R(s, a)"
        return "R(s, a, s')" if self.observations is None and isinstance(self.values, float) else "R(s, a, s', o)"


def reward_line(
    source: Source, found: Specification, actions: Joint, states: States, observations: Joint, num_states: int
) -> RewardLine:
    """What a specification says. Raises UsageError with its line."""
    line, fields = found.line, found.fields
    joint = actions.all(fields[0], line)
    if len(fields) == 1:
        source.fail(line, repr(fields[0]), "a state, or *, behind the joint action")
    state = states.find(fields[1], line)
    if found.value:
        arrival = states.find(fields[2], line) if len(fields) > 2 else None
        seen = observations.find(fields[3], line) if len(fields) > 3 else None
        return RewardLine(line, joint, state, arrival, seen, float(found.value))
    if len(fields) == 3:
        row = source.numbers(found.block, observations.count, "one per joint observation")
        return RewardLine(line, joint, state, states.find(fields[2], line), None, np.array(row))
    what = f"a matrix of {num_states} rows of {observations.count}"
    matrix = np.array(source.numbers(found.block, num_states * observations.count, what))
    return RewardLine(line, joint, state, None, None, matrix.reshape(num_states, observations.count))


class _Moves:
    """The moves (s, s') that can happen under one joint action, N of them, and what is said of their rewards."""

    def __init__(self, transitions: SparseRows, observed: SparseRows) -> None:
        self._transitions, self.observed = transitions, observed
        self.rows, self.arrivals = transitions.rows, transitions.indices
        self._by_arrival = np.argsort(self.arrivals, kind="stable")
        self._arrival_starts = np.searchsorted(self.arrivals[self._by_arrival], np.arange(transitions.num_rows + 1))

    def places(self, line: RewardLine) -> Places:
        """Which moves a line is about."""
        if line.state is None:
            if line.arrival is None:
                return slice(None)
            first, end = self._arrival_starts[line.arrival : line.arrival + 2]
            return self._by_arrival[first:end]
        first, end = self._transitions.indptr[line.state : line.state + 2]
        if line.arrival is None:
            return slice(first, end)
        left, right = np.searchsorted(self.arrivals[first:end], [line.arrival, line.arrival + 1])
        return slice(first + left, first + right)

    def table(self, values: Floats) -> SparseRows:
        """The rewards [N] as a matrix [S, S']."""
        return SparseRows.from_entries(self.rows, self.arrivals, values, self._transitions.shape)


def added(lines: Sequence[RewardLine], transitions: SparseRows, observed: SparseRows) -> Reward:
    """MADP's reading of the lines of one joint action."""
    base = np.zeros(transitions.num_rows)
    if all(line.sets for line in lines):
        return _base(base, lines)
    moves = _Moves(transitions, observed)
    extra = np.zeros(len(moves.rows))
    for line in lines:
        places = moves.places(line)
        if line.sets:
            base[slice(None) if line.state is None else line.state] = line.values
            extra[places] = 0.0
            continue
        arrivals = moves.arrivals[places]
        if not isinstance(line.values, float):
            seen = observed.dot(line.values) if line.values.ndim == 1 else _row_means(observed, line.values)
            extra[places] += seen[arrivals]
        elif line.observations is None:
            extra[places] += line.values
        else:
            for observation in line.observations:
                extra[places] += line.values * observed.at(arrivals, observation)
    return moves.table(base[moves.rows] + extra)


def last_line(lines: Sequence[RewardLine], transitions: SparseRows, observed: SparseRows) -> Reward:
    """Cassandra's reading of the same lines."""
    if all(line.sets for line in lines):
        return _base(np.zeros(transitions.num_rows), lines)
    moves = _Moves(transitions, observed)
    if all(line.observations is None and isinstance(line.values, float) for line in lines):
        rewards = np.zeros(len(moves.rows))
        for line in lines:
            rewards[moves.places(line)] = line.values
        return moves.table(rewards)
    table = np.zeros((len(moves.rows), observed.num_columns))
    for line in lines:
        places = moves.places(line)
        if not isinstance(line.values, float):
            table[places] = line.values if line.values.ndim == 1 else line.values[moves.arrivals[places]]
        elif line.observations is None:
            table[places] = line.values
        else:
            for observation in line.observations:
                table[places, observation] = line.values
    columns = np.arange(observed.num_columns)
    means = [float((row * observed.at(arrival, columns)).sum()) for row, arrival in zip(table, moves.arrivals, strict=True)]
    return moves.table(np.array(means))


def _base(base: Floats, lines: Sequence[RewardLine]) -> Floats:
    for line in lines:
        base[slice(None) if line.state is None else line.state] = line.values
    return base


def _row_means(observed: SparseRows, values: Floats) -> Floats:
    """sum_o P(o | s') values[s', o]: [S']."""
    weighted = SparseRows.from_entries(
        observed.rows, observed.indices, observed.data * values[observed.rows, observed.indices], observed.shape
    )
    return weighted.row_sums()
