"""Gibbs prescriptions: theta is a table of logits, an agent's action is drawn from the softmax of its local value's row.

    P(a | l) = exp(theta_{l a}) / sum_b exp(theta_{l b})        paper, Section 5: "Gibbs/Boltzmann functions"

One table for all agents makes the prescription symmetric; otherwise each agent has its own part of theta. The weights are
exp(theta - max theta) on the grid 2^-30, as integers: the arithmetic of ``exact.acting.draw``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError
from dadc_net.exact import acting, elementary
from dadc_net.exact.grid import ceil_log2
from dadc_net.team.prescriptions import PrescriptionFamily, Theta, sure_logits
from dadc_net.team.spaces import BoxSpace

_EXP_BITS = 30
_THRESHOLD_BITS = 32


@dataclass(frozen=True, kw_only=True)
class GibbsFamily(PrescriptionFamily):
    """Tables of logits [K or 1, L, A], flattened row by row into theta."""

    kind = "gibbs"

    name: str
    tables: int
    """K, or 1 when all agents share one table."""
    local_values: int
    num_actions: int
    """A, of the agent that has most."""
    bound: float
    """|theta| <= this."""
    own_actions: tuple[int, ...] = ()
    """[K] where agents differ: how many actions each has; empty: all have A."""

    @property
    def space(self) -> BoxSpace:
        """K L A logits."""
        size = self.tables * self.local_values * self.num_actions
        return BoxSpace((-self.bound,) * size, (self.bound,) * size)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.tables, self.local_values, self.num_actions

    def always(self, actions: NDArray[np.int64]) -> Theta:
        rows = sure_logits(actions, self.num_actions, self.bound)
        return np.repeat(rows[:, :, None], self.local_values, axis=2).reshape(len(actions), -1)

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        _, weights = elementary.softmax_weights(theta.reshape(-1, self.num_actions))
        bits = min(_EXP_BITS, _THRESHOLD_BITS - ceil_log2(self.num_actions))
        integers = np.rint(weights * math.ldexp(1.0, bits)).astype(np.int64).reshape(len(theta), *self.shape)
        if self.own_actions:
            # |theta| <= 8, so that no action that an agent has can vanish beside one that it does not have.
            integers *= (np.arange(self.num_actions) < np.array(self.own_actions)[:, None])[:, None, :]
        return integers

    def draw(
        self,
        theta: Theta,
        agents: NDArray[np.int64],
        local_index: NDArray[np.int64],
        words: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.int64]:
        tables, local_values, num_actions = self.shape
        if words is None or self.own_actions or len(agents) >= tables * local_values or type(self) is not GibbsFamily:
            return super().draw(theta, agents, local_index, words)
        # Few agents need few rows of the tables: their weights alone are made. The same numbers, so the same actions.
        table = np.zeros_like(agents) if tables == 1 else agents - 1
        rows = theta.reshape(len(theta), tables, local_values, num_actions)
        logits = rows[np.arange(len(theta))[:, None], table, local_index].reshape(-1, num_actions)
        return acting.draw(logits, words.reshape(-1)).reshape(local_index.shape)

    def to_plain(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "tables": self.tables,
            "local_values": self.local_values,
            "num_actions": self.num_actions,
            "bound": self.bound,
            "own_actions": list(self.own_actions),
        }

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> GibbsFamily:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""
        try:
            return cls(
                name=str(record["name"]),
                tables=int(record["tables"]),
                local_values=int(record["local_values"]),
                num_actions=int(record["num_actions"]),
                bound=float(record["bound"]),
                own_actions=tuple(int(own) for own in record["own_actions"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe a Gibbs family: {error}") from error
