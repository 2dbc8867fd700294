"""Prescriptions for local information that is a vector, such as measurements, and not one of a few values.

theta holds the parameters of a map of phi(l), the code of local information (``Space.features``) with entries of magnitude
at most 1, to the logits of a softmax over actions. Maps are summed from left to right, one multiplication and one addition
at a time, so that every host has the same bits; what follows are the integer weights of ``gibbs``.

Axis letters: n copies, m agents, A actions of the agent that has most, F entries of phi.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError, ProtocolError, UsageError
from dadc_net.exact import elementary
from dadc_net.exact.grid import ceil_log2
from dadc_net.exact.streams import categorical
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.prescriptions import PrescriptionFamily, Theta, sure_logits
from dadc_net.team.spaces import BoxSpace, Space, space_text

_EXP_BITS = 30
_THRESHOLD_BITS = 32


@dataclass(frozen=True, kw_only=True)
class VectorFamily(PrescriptionFamily):
    """A map for each agent, or one that all share; maps follow one another in theta."""

    name: str
    tables: int
    """Maps: K, or 1 when all agents share one."""
    features: int
    """F, of the agent whose local information has the longest code."""
    num_actions: int
    """A"""
    bound: float
    """|theta| <= this."""
    own_actions: tuple[int, ...] = ()
    """[K] where agents differ: how many actions each has; empty: all have A."""

    @property
    @abstractmethod
    def map_size(self) -> int:
        """Numbers of one map."""

    @abstractmethod
    def logits(self, maps: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the actions [n, m, A]: ``maps`` [n, m, map size] of ``phi`` [n, m, F'], where F' <= F and the rest is 0."""

    @abstractmethod
    def constant_maps(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The maps [n, m, map size] that give ``logits`` [n, m, A] whatever phi is."""

    def always(self, actions: NDArray[np.int64]) -> Theta:
        maps = self.constant_maps(sure_logits(actions, self.num_actions, self.bound))
        return maps.reshape(len(actions), -1)

    @property
    def space(self) -> BoxSpace:
        size = self.tables * self.map_size
        return BoxSpace((-self.bound,) * size, (self.bound,) * size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """No rows: there is no table over local values."""
        return self.tables, 0, self.num_actions

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        """Raises InvariantError: there is no table over local values."""
        raise InvariantError(f"the prescriptions {self.name} are maps of vectors and were asked for a table")

    def require_local(self, space: Space, structure: str) -> None:
        if space.feature_size > self.features:
            raise UsageError(
                f"under {structure} an agent's local information is {space_text(space)}, whose code has "
                f"{space.feature_size} numbers, but the prescriptions {self.name} are maps of {self.features}. They do not "
                "fit. Choose another information structure, or other prescriptions."
            )

    def look_up(self, space: Space, local: NDArray[Any]) -> NDArray[np.float64]:
        """phi of local values [n, L]: [n, F']; F' <= F."""
        return space.features(local)

    def draw(
        self,
        theta: Theta,
        agents: NDArray[np.int64],
        local_index: NDArray[Any],
        words: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.int64]:
        """As of every family; ``local_index`` is phi [n, m, F']."""
        if words is None:
            raise InvariantError(f"the prescriptions {self.name} are randomised, but no random words were given")
        weights = self.vector_weights(theta, agents, local_index)
        return categorical(words.reshape(-1), weights.reshape(-1, self.num_actions)).reshape(words.shape)

    def vector_weights(self, theta: Theta, agents: NDArray[np.int64], phi: NDArray[np.float64]) -> NDArray[np.int64]:
        """Integer weights of the actions [n, m, A] of ``agents`` [m] (1..K) that know ``phi`` [n, m, F']."""
        maps = theta.reshape(len(theta), self.tables, self.map_size)
        logits = self.logits(maps[:, np.zeros_like(agents) if self.tables == 1 else agents - 1], phi)
        has = np.ones((len(agents), self.num_actions), dtype=np.bool_)
        if self.own_actions:
            has = np.arange(self.num_actions) < np.array(self.own_actions)[agents - 1][:, None]
        # An action that an agent does not have must not be the largest; action 0 always is one that it has.
        logits = np.where(has, logits, logits[..., :1])
        _, weights = elementary.softmax_weights(logits.reshape(-1, self.num_actions))
        bits = min(_EXP_BITS, _THRESHOLD_BITS - ceil_log2(self.num_actions))
        integers = np.rint(weights * math.ldexp(1.0, bits)).astype(np.int64).reshape(logits.shape)
        return np.where(has, integers, 0)

    def to_plain(self) -> dict[str, Any]:
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return {"kind": self.kind, **own, "own_actions": list(self.own_actions)}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""
        try:
            own = {one.name: record[one.name] for one in fields(cls)}
            counts = {key: int(value) for key, value in own.items() if key not in ("name", "bound", "own_actions")}
            actions = tuple(int(count) for count in own["own_actions"])
            return cls(name=str(own["name"]), bound=float(own["bound"]), own_actions=actions, **counts)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe a {cls.kind} family: {error}") from error


def affine(maps: NDArray[np.float64], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """b + w_1 x_1 + w_2 x_2 + ..., in this order: maps [..., O, I+1], last column b, of [..., I'], I' <= I: [..., O]."""
    result = maps[..., -1].copy()
    for column in range(inputs.shape[-1]):
        result += maps[..., column] * inputs[..., None, column]
    return result


def only_constants(logits: NDArray[np.float64], inputs: int) -> NDArray[np.float64]:
    """Flat maps [..., O (I+1)] of ``affine`` with b = ``logits`` [..., O] and no weights of their I ``inputs``."""
    maps = np.zeros((*logits.shape, inputs + 1))
    maps[..., -1] = logits
    return maps.reshape(*logits.shape[:-1], -1)


def own_actions(spec: EnvironmentSpec) -> tuple[int, tuple[int, ...]]:
    """The most actions that an agent has, and how many each has where they differ."""
    counts = tuple(agent.action_space.num_values for agent in spec.agents)
    return max(counts), counts if len(set(counts)) > 1 else ()
