"""Prescription menus: finitely many prescriptions, each a table from local information to actions (paper, Section 3).

Entry m gives agent k with local value l the action ``actions[m][k-1][l]``; where entries have a single table, it is
symmetric: all agents share it. A menu is data, declared by the task and sent to the agents; the coordinator is told only
how many entries there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError
from dadc_net.team.prescriptions import PrescriptionFamily, Theta, certain_weights
from dadc_net.team.spaces import FiniteSpace

OWN = "own"
"""Name of the prescriptions of independent learners: each chooses its own part, and only that."""
Table = tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class PrescriptionMenu(PrescriptionFamily):
    """A named menu; axis letters: M entries, K agents or 1 table for all, L local values."""

    kind = "menu"

    name: str
    entries: tuple[str, ...]
    """What each entry means, in words."""
    actions: Table
    """[M][K or 1][L]"""

    def __post_init__(self) -> None:
        shape = {(len(entry), len(row)) for entry in self.actions for row in entry}
        if len(self.entries) != len(self.actions) or len(shape) != 1:
            raise ValueError(f"menu {self.name!r} needs one [K][L] table for each of its {len(self.entries)} entries")

    @property
    def space(self) -> FiniteSpace:
        """One factor: the entry."""
        return FiniteSpace((len(self.entries),))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K or 1, L, A), A as far as the entries use it."""
        _, tables, values = self._table.shape
        return tables, values, int(self._table.max()) + 1

    @property
    def is_random(self) -> bool:
        """Entries say the action."""
        return False

    def table(self) -> NDArray[np.int64]:
        """int64 [M, K or 1, L]."""
        return np.array(self.actions, dtype=np.int64)

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        """1 for the action that the entry says: [n, K or 1, L, A]."""
        return certain_weights(self._table[theta], self.shape[2])

    def draw(
        self,
        theta: Theta,
        agents: NDArray[np.int64],
        local_index: NDArray[np.int64],
        words: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.int64]:
        """The actions of ``agents`` [m] under entries theta [n] at local values [n, m]: [n, m]; no word is used."""
        if len(agents) == 1:
            own: NDArray[np.int64] = self._table[theta, min(int(agents[0]), self._table.shape[1]) - 1, local_index[:, 0]]
            return own[:, None]
        tables = np.zeros_like(agents) if self._table.shape[1] == 1 else agents - 1
        actions: NDArray[np.int64] = self._table[theta[:, None], tables[None, :], local_index]
        return actions

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        return self.table()

    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {
            "kind": self.kind,
            "name": self.name,
            "entries": list(self.entries),
            "actions": [[list(row) for row in entry] for entry in self.actions],
        }

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> PrescriptionMenu:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""
        try:
            actions = tuple(tuple(tuple(int(a) for a in row) for row in entry) for entry in record["actions"])
            return cls(str(record["name"]), tuple(map(str, record["entries"])), actions)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe a prescription menu: {error}") from error


def own_parts(menu: PrescriptionMenu) -> PrescriptionMenu:
    """The menu of agents that choose for themselves: entry m is for agent k the m-th of its own parts in ``menu``.

    Together they can play every combination of parts, whether or not ``menu`` has it.
    """
    columns = [sorted({entry[k] for entry in menu.actions}) for k in range(len(menu.actions[0]))]
    count = max(map(len, columns))
    actions = tuple(tuple(column[m % len(column)] for column in columns) for m in range(count))
    return PrescriptionMenu(OWN, tuple(f"own part {m}" for m in range(count)), actions)


def own_actions(actions: Sequence[int], local_values: int) -> PrescriptionMenu:
    """The same where there is no menu: entry a is action a, whatever the local value.

    Args:
        actions: [K] how many each agent has, one number where all have equally many; whoever has fewer begins again at 0.
    """
    count = max(actions)
    entries = tuple(f"take action {action}" for action in range(count))
    tables = tuple(tuple((action % own,) * local_values for own in actions) for action in range(count))
    return PrescriptionMenu(OWN, entries, tables)


def all_combinations(menu: PrescriptionMenu, menus: Mapping[str, PrescriptionMenu]) -> str:
    """Name of the menu among ``menus`` that holds just the combinations of the own parts in ``menu``; empty if none does."""
    columns = [{entry[k] for entry in menu.actions} for k in range(len(menu.actions[0]))]
    wanted = set(itertools.product(*columns))
    return next((name for name, found in menus.items() if set(found.actions) == wanted), "")
