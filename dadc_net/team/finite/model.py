"""Finite models: a team problem whose every number is known (a Dec-POMDP; Oliehoek and Amato 2016, chapter 2).

Time runs s_0, a_0, (s_1, o_1), a_1, (s_2, o_2), ..: nothing is observed before the first decision, an observation depends
on the action just taken and the state *arrived at*, and the reward of step t is r(s_t, a_t, s_{t+1}). A horizon counts
decisions.

A joint action or observation has one index; the last agent's part runs fastest.

Tables are sparse and are kept by joint action: a model whose states have few successors costs what it has.

Axis letters: S states, K agents, A^k actions and O^k observations of agent k, JA and JO joint ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.exact.canonical import encode
from dadc_net.exact.digest import digest
from dadc_net.team.finite.sparse_rows import SparseRows, sums_at
from dadc_net.team.spaces import FiniteSpace

SUM_TOLERANCE = 1e-6
"""Probabilities may be this far from summing to 1 (files hold rounded numbers); they are divided by their sum then."""
EXACT_ENOUGH = 1e-12
"""Sums this near to 1 are left alone, so that dividing once more changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FiniteModel:
    """A Dec-POMDP. Its arrays cannot be written; it is equal to another if all that it says is."""

    name: str
    states: tuple[str, ...]
    """[S] names"""
    actions: tuple[tuple[str, ...], ...]
    """[K][A^k] names"""
    observations: tuple[tuple[str, ...], ...]
    """[K][O^k] names"""
    start: NDArray[np.float64] = field(repr=False)
    """[S] P(s_0)"""
    transitions: tuple[SparseRows, ...] = field(repr=False)
    """[JA] of [S, S']: P(s' | s, a)"""
    observation_probabilities: tuple[SparseRows, ...] = field(repr=False)
    """[JA] of [S', JO]: P(o | a, s')"""
    rewards: tuple[NDArray[np.float64] | SparseRows, ...] = field(repr=False)
    """[JA] of [S] r(s, a), or of [S, S'] r(s, a, s') where the reward depends on the state arrived at;
    of moves that cannot happen no reward is kept, and where none is left, the table is that of r(s, a) = 0"""
    discount: float
    """From 0 to 1; 1 needs a horizon wherever the model is run or planned for."""
    horizon: int | None = None
    """Decisions of an episode; None: it goes on for ever."""
    largest_row_error: float = field(init=False, default=0.0)
    """How far the given probabilities were from summing to 1, at most."""

    def __post_init__(self) -> None:
        self._check_names()
        sizes = f"{self.num_states} states and {self.num_joint_actions} joint actions"
        for key in ("transitions", "observation_probabilities", "rewards"):
            tables = getattr(self, key)
            if len(tables) != self.num_joint_actions:
                raise self._error(
                    f"{len(tables)} tables of {key} are given", f"It has {sizes}", "Give one per joint action."
                )
        start, start_error = self._distribution(np.array(self.start, dtype=np.float64))
        start.flags.writeable = False
        columns = {"transitions": self.num_states, "observation_probabilities": self.num_joint_observations}
        worst = start_error
        for key, width in columns.items():
            rows = []
            seen: dict[int, tuple[SparseRows, float]] = {}
            for a, table in enumerate(getattr(self, key)):
                if id(table) not in seen:
                    seen[id(table)] = self._normalised(table, width, key, a)
                rows.append(seen[id(table)][0])
                worst = max(worst, seen[id(table)][1])
            object.__setattr__(self, key, tuple(rows))
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "rewards", tuple(self._reward(table, a) for a, table in enumerate(self.rewards)))
        object.__setattr__(self, "largest_row_error", worst)
        if not 0.0 <= self.discount <= 1.0:
            raise self._error(f"the discount is {self.discount}", "It weighs later rewards", "Give a number from 0 to 1.")
        if self.horizon is not None and self.horizon < 1:
            raise self._error(f"the horizon is {self.horizon}", "It counts decisions", "Give at least 1, or None for none.")

    @property
    def num_agents(self) -> int:
        """K."""
        return len(self.actions)

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.states)

    @cached_property
    def joint_actions(self) -> FiniteSpace:
        """One factor per agent; its ``index`` and ``values`` turn joint actions [.., K] into indices and back."""
        return FiniteSpace(tuple(map(len, self.actions)))

    @cached_property
    def joint_observations(self) -> FiniteSpace:
        """The same for observations."""
        return FiniteSpace(tuple(map(len, self.observations)))

    @property
    def num_joint_actions(self) -> int:
        """JA."""
        return self.joint_actions.num_values

    @property
    def num_joint_observations(self) -> int:
        """JO."""
        return self.joint_observations.num_values

    @cached_property
    def expected_rewards(self) -> NDArray[np.float64]:
        """[JA, S] R(s, a), the mean over the states arrived at."""
        rows = []
        for table, moves in zip(self.rewards, self.transitions, strict=True):
            if isinstance(table, SparseRows):
                weights = table.at(moves.rows, moves.indices) * moves.data
                rows.append(sums_at(moves.rows, weights, self.num_states))
            else:
                rows.append(table)
        rewards = np.stack(rows)
        rewards.flags.writeable = False
        return rewards

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tables and sizes, in hexadecimal: the same for the same problem, whatever it is called."""
        parts = [encode([list(self.joint_actions.sizes), list(self.joint_observations.sizes)]), encode(self.start)]
        for table in (*self.transitions, *self.observation_probabilities, *self.rewards):
            if isinstance(table, SparseRows):
                parts.append(encode([table.num_columns, table.indptr, table.indices, table.data]))
            else:
                parts.append(encode(table))
        return digest(*parts).hex()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FiniteModel):
            return NotImplemented
        keys = ("name", "states", "actions", "observations", "discount", "horizon", "digest")
        return all(getattr(self, key) == getattr(other, key) for key in keys)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def _error(self, what: str, where: str, remedy: str) -> UsageError:
        return UsageError(f"the finite model {self.name!r} is unsound: {what}. {where}. {remedy}")

    def _check_names(self) -> None:
        if not self.actions or len(self.actions) != len(self.observations):
            raise self._error(
                f"it has actions of {len(self.actions)} agents and observations of {len(self.observations)}",
                "Every agent has both",
                "Give one list of names per agent, and at least one agent.",
            )
        lists: list[tuple[str, Sequence[str]]] = [("states", self.states)]
        for k, (actions, observations) in enumerate(zip(self.actions, self.observations, strict=True), start=1):
            lists += [(f"actions of agent {k}", actions), (f"observations of agent {k}", observations)]
        for what, names in lists:
            counted = Counter(names)
            double = next((name for name in names if counted[name] > 1), None)
            if not names or double is not None:
                given = f"{double!r} stands twice" if names else "there is no name"
                raise self._error(f"{given} among the {what}", "Names are told apart", "Give at least one, each once.")

    def _distribution(self, start: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        if start.shape != (self.num_states,):
            raise self._error(
                f"start has the shape {start.shape}", f"There are {self.num_states} states", "Give one probability for each."
            )
        table, error = self._normalised(SparseRows.from_dense(start[None, :]), self.num_states, "start", 0)
        return table.dense()[0], error

    def _normalised(self, table: SparseRows, width: int, key: str, joint_action: int) -> tuple[SparseRows, float]:
        """Rows that sum to 1, and how far they were from it."""
        rows = 1 if key == "start" else self.num_states
        if table.shape != (rows, width):
            raise self._error(
                f"{key} has a table of shape {table.shape} for {self._joint_action_words(joint_action)}",
                f"Rows are states, and the shape must be {(rows, width)}",
                "Correct the table.",
            )
        sound = np.isfinite(table.data) & (table.data > 0.0)
        if not sound.all():
            entry = int(np.argmin(sound))
            raise self._error(
                f"{key} holds {float(table.data[entry])!r}",
                f"It stands {self._place(key, joint_action, int(table.rows[entry]))}, column {int(table.indices[entry])}",
                "Give probabilities from 0 to 1.",
            )
        sums = table.row_sums()
        errors = np.abs(sums - 1.0)
        worst = int(np.argmax(errors))
        if errors[worst] > SUM_TOLERANCE:
            given = "nothing is given" if sums[worst] == 0.0 else f"probabilities sum to {float(sums[worst])!r}"
            raise self._error(
                f"{given} in {key} {self._place(key, joint_action, worst)}",
                f"They must sum to 1 within {SUM_TOLERANCE}",
                "Correct the row.",
            )
        off = np.flatnonzero(errors > EXACT_ENOUGH)
        if len(off):
            data = table.data.copy()
            for row in off:
                part = slice(table.indptr[row], table.indptr[row + 1])
                data[part] /= math.fsum(data[part])
            table = SparseRows(table.indptr, table.indices, data, width)
        return table, float(errors[worst])

    def _reward(self, table: NDArray[np.float64] | SparseRows, joint_action: int) -> NDArray[np.float64] | SparseRows:
        shape = (self.num_states, self.num_states) if isinstance(table, SparseRows) else (self.num_states,)
        array = table if isinstance(table, SparseRows) else np.array(table, dtype=np.float64) + 0.0
        if array.shape != shape:
            raise self._error(
                f"rewards has a table of shape {array.shape} for {self._joint_action_words(joint_action)}",
                f"There are {self.num_states} states",
                f"Give {shape}.",
            )
        values = array.data if isinstance(array, SparseRows) else array
        finite = np.isfinite(values)
        if not finite.all():
            raise self._error(
                f"a reward is {float(values[int(np.argmin(finite))])!r}",
                f"It is one of {self._joint_action_words(joint_action)}",
                "Every reward must be a finite number.",
            )
        if isinstance(array, SparseRows):
            possible = self.transitions[joint_action].at(array.rows, array.indices) > 0.0
            kept = np.where(possible, array.data, 0.0)
            array = SparseRows.from_entries(array.rows, array.indices, kept, array.shape)
            if len(array.data):
                return array
            array = np.zeros(self.num_states)
        array.flags.writeable = False
        return array

    def _joint_action_words(self, joint_action: int) -> str:
        parts = self.joint_actions.values(np.array(joint_action))
        return "the joint action " + " ".join(names[i] for names, i in zip(self.actions, parts, strict=True))

    def _place(self, key: str, joint_action: int, row: int) -> str:
        if key == "start":
            return "of the start"
        relation = "from" if key == "transitions" else "on arrival at"
        return f"{relation} the state {self.states[row]!r} under {self._joint_action_words(joint_action)}"
