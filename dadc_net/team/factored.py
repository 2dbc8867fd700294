"""Factored prescriptions: one choice of an action for each agent and local value, made one by one (paper, Section 7).

Theta holds a choice for every agent and local value that has more than one action to choose from; where all agents share
one table, for every local value. The number of prescriptions is the product of the choices, and the length of theta's code
is their sum: eight thousand prescriptions of two agents with four local values and three actions are 24 numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError
from dadc_net.team.prescriptions import PrescriptionFamily, Theta, certain_weights
from dadc_net.team.spaces import FiniteSpace

Allowed = tuple[tuple[tuple[int, ...], ...], ...]
"""[K or 1][L^k] the actions to choose from at each local value."""


@dataclass(frozen=True, kw_only=True)
class FactoredFamily(PrescriptionFamily):
    """A table whose entries are chosen one by one; agents may have different numbers of local values and actions."""

    kind = "factored"

    name: str
    allowed: Allowed

    def __post_init__(self) -> None:
        if not self.allowed or not all(own and all(own) for own in self.allowed):
            raise ValueError(f"factored prescriptions need an action at every local value, got {self.allowed}")

    @cached_property
    def _free(self) -> list[tuple[int, int]]:
        """Table and local value of each factor."""
        tables = enumerate(self.allowed)
        return [(k, value) for k, own in tables for value, actions in enumerate(own) if len(actions) > 1]

    @property
    def space(self) -> FiniteSpace:
        """A factor for each table and local value with a choice; one of a single value where there is none at all."""
        return FiniteSpace(tuple(len(self.allowed[k][value]) for k, value in self._free) or (1,))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K or 1, L, A) of the agent with most local values, and of the one with most actions."""
        most = max(action for own in self.allowed for actions in own for action in actions)
        return len(self.allowed), max(map(len, self.allowed)), most + 1

    @property
    def is_random(self) -> bool:
        """A choice says the action."""
        return False

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """[K or 1, L] the first action of each; 0 at local values that an agent does not have."""
        table = np.zeros(self.shape[:2], dtype=np.int64)
        for k, own in enumerate(self.allowed):
            table[k, : len(own)] = [actions[0] for actions in own]
        return table

    @cached_property
    def _actions(self) -> NDArray[np.int64]:
        """[F, most choices] the action that each choice means; padded."""
        rows = [self.allowed[k][value] for k, value in self._free]
        widest = max(map(len, rows), default=1)
        return np.array([row + (row[-1],) * (widest - len(row)) for row in rows], dtype=np.int64).reshape(-1, widest)

    def places(self, num_agents: int) -> list[NDArray[np.int64]]:
        """Of agent 1 .. K, the factor of each local value [L^k]; F where there is no choice."""
        found = [np.full(len(own), len(self._free), dtype=np.int64) for own in self.allowed]
        for factor, (table, value) in enumerate(self._free):
            found[table][value] = factor
        return found if len(found) == num_agents else found * num_agents

    def tables(self, theta: Theta) -> NDArray[np.int64]:
        """Actions int64 [n, K or 1, L] under theta [n, F], or [n] where there is one factor or none."""
        tables = np.repeat(self._first[None], len(theta), axis=0)
        if self._free:
            chosen = theta.reshape(len(theta), -1)
            where = np.array(self._free)
            tables[:, where[:, 0], where[:, 1]] = self._actions[np.arange(len(where)), chosen]
        return tables

    def always(self, actions: NDArray[np.int64]) -> Theta:
        """Where an agent cannot choose the action, it takes the first that it can."""
        columns = [actions[:, table, None] == np.array(self.allowed[table][value]) for table, value in self._free]
        chosen = [np.argmax(column, axis=1) for column in columns]
        return np.stack(chosen, axis=1) if chosen else np.zeros((len(actions), 1), dtype=np.int64)

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        """1 for the chosen action: [n, K or 1, L, A]."""
        return certain_weights(self.tables(theta), self.shape[2])

    def draw(
        self,
        theta: Theta,
        agents: NDArray[np.int64],
        local_index: NDArray[np.int64],
        words: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.int64]:
        """The actions of ``agents`` [m] under theta at local values [n, m]: [n, m]; no word is used."""
        tables = np.zeros_like(agents) if len(self.allowed) == 1 else agents - 1
        actions: NDArray[np.int64] = self.tables(theta)[np.arange(len(theta))[:, None], tables[None, :], local_index]
        return actions

    def to_plain(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "allowed": [[list(actions) for actions in own] for own in self.allowed],
        }

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> FactoredFamily:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""
        try:
            allowed = tuple(tuple(tuple(int(a) for a in actions) for actions in own) for own in record["allowed"])
            return cls(name=str(record["name"]), allowed=allowed)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe factored prescriptions: {error}") from error
