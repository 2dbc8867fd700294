"""Prescription menus: finitely many prescriptions, each a table from local information to actions (paper, Section 3).

Entry m gives agent k with local value l the action ``actions[m][k-1][l]``. A menu is data, declared by the task and sent
to the agents; the coordinator is told only how many entries there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError

Table = tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class PrescriptionMenu:
    """A named menu; axis letters: M entries, K agents, L local values."""

    name: str
    entries: tuple[str, ...]
    """What each entry means, in words."""
    actions: Table
    """[M][K][L]"""

    def __post_init__(self) -> None:
        shape = {(len(entry), len(row)) for entry in self.actions for row in entry}
        if len(self.entries) != len(self.actions) or len(shape) != 1:
            raise ValueError(f"menu {self.name!r} needs one [K][L] table for each of its {len(self.entries)} entries")

    def table(self) -> NDArray[np.int64]:
        """int64 [M, K, L]."""
        return np.array(self.actions, dtype=np.int64)

    def action(self, prescription: NDArray[np.int64], agent: int, local_index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Agent ``agent``'s (1..K) actions [E] under entries ``prescription`` [E] at local values [E]."""
        actions: NDArray[np.int64] = self._table[prescription, agent - 1, local_index]
        return actions

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        return self.table()

    def to_record(self) -> dict[str, Any]:
        """Plain data for the wire."""
        return {
            "name": self.name,
            "entries": list(self.entries),
            "actions": [[list(row) for row in entry] for entry in self.actions],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> PrescriptionMenu:
        """The inverse of ``to_record``. Raises ProtocolError for anything else."""
        try:
            actions = tuple(tuple(tuple(int(a) for a in row) for row in entry) for entry in record["actions"])
            return cls(str(record["name"]), tuple(map(str, record["entries"])), actions)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe a prescription menu: {error}") from error
