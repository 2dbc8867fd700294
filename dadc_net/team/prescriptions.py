"""Families of prescriptions: what theta means with local information (paper, Section 5, parameterized prescriptions).

A family maps a parameter theta to one distribution over actions per agent and local value. Theta is an entry of a finite
menu, a choice in each of several finite factors, or a point of a box, which is the closed convex set of the paper. The
coordinator is told the space of theta and nothing else; the family itself is data that goes to the passive agents.

A family's distributions are integer weights: what is sampled is their exact ratio, and a planner that asks for
probabilities computes with the very distribution that agents sample from.

Axis letters: n copies, K agents (1 where all share one table), L local values, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError, UsageError
from dadc_net.exact.streams import categorical
from dadc_net.schema import Checked, Range
from dadc_net.team.spaces import FiniteSpace, Space, space_text

Theta = NDArray[Any]
"""int64 [n] entries of a menu, int64 [n, F] choices, or float64 [n, D] points of a box."""


def finite_theta(space: FiniteSpace, entries: NDArray[np.int64]) -> Theta:
    """Prescriptions by their number [n] among all of a finite space: [n] of a menu, [n, F] of several factors."""
    return entries if space.columns == 1 else space.values(entries)


def certain_weights(actions: NDArray[np.int64], num_actions: int) -> NDArray[np.int64]:
    """1 for the action that is said, 0 for all others: [...] -> [..., A]."""
    weights: NDArray[np.int64] = (actions[..., None] == np.arange(num_actions)).astype(np.int64)
    return weights


def sure_logits(actions: NDArray[np.int64], num_actions: int, bound: float) -> NDArray[np.float64]:
    """Logits in [-bound, bound] that make ``actions`` [...] as likely as there they can be: [..., A]."""
    logits: NDArray[np.float64] = bound * (2.0 * certain_weights(actions, num_actions).astype(np.float64) - 1.0)
    return logits


@dataclass(frozen=True)
class ThetaSettings(Checked, section="theta"):
    """The set that theta lies in, where it is continuous and the family does not say it itself."""

    bound: Annotated[float, Range(0, 8, "Give a number in (0, 8].", above=True)] = 5.0
    """|theta| <= this in every coordinate. With logits, 5 costs 0.01 % of the demand-response optimum, 2 costs 5 %."""
    shared: bool = False
    """Whether all agents share one table or map, in the prescriptions that every task has. One each is more general."""
    units: Annotated[int, Range(1, 64)] = 4
    """Hidden units of each network, in the prescriptions ``neural``."""


class PrescriptionFamily(ABC):
    """What theta means. A class with a ``kind`` of its own can be found by it once its module is imported."""

    kind: ClassVar[str]
    name: str
    kinds: ClassVar[dict[str, type[PrescriptionFamily]]] = {}

    def __init_subclass__(cls) -> None:
        kind = vars(cls).get("kind")
        if kind is not None:
            held = PrescriptionFamily.kinds.setdefault(kind, cls)
            if (held.__module__, held.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"the kind {kind!r} of {cls.__qualname__} is that of {held.__qualname__}. Name another.")
            PrescriptionFamily.kinds[kind] = cls

    @property
    @abstractmethod
    def space(self) -> Space:
        """Of theta: one finite factor for a menu, several for choices, or a box."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(K or 1, L, A) of the tables."""

    @abstractmethod
    def weights(self, theta: Theta) -> NDArray[np.int64]:
        """Integer weights of the actions, [n, K or 1, L, A], totals in 1 .. 2^32; copy e depends on row e only."""

    @abstractmethod
    def to_plain(self) -> dict[str, Any]:
        """Plain data for the wire; its ``kind`` says which family it is."""

    @classmethod
    @abstractmethod
    def from_plain(cls, record: Mapping[str, Any]) -> PrescriptionFamily:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""

    @property
    def is_random(self) -> bool:
        """Whether an agent draws its action; otherwise the prescription says it."""
        return True

    def always(self, actions: NDArray[np.int64]) -> Theta | None:
        """Prescriptions to take one action whatever is known, as nearly as there are any; None where nobody can tell.

        Args:
            actions: [n, K], or [n, 1] where all agents share one table or map.

        Returns:
            theta [n, F] or [n, D].
        """
        return None

    def probabilities(self, theta: Theta) -> NDArray[np.float64]:
        """h^k(a | l): [n, K or 1, L, A]."""
        weights = self.weights(theta).astype(np.float64)
        result: NDArray[np.float64] = weights / weights.sum(axis=3, keepdims=True)
        return result

    def require_local(self, space: Space, structure: str) -> None:
        """Refuse a space of local information that these prescriptions cannot be asked about.

        Raises:
            UsageError: if so; a table has a row for each of finitely many local values.
        """
        if not isinstance(space, FiniteSpace) or space.num_values > self.shape[1]:
            raise UsageError(
                f"under {structure} an agent's local information is {space_text(space)}, but the prescriptions {self.name} "
                f"are tables of {self.shape[1]} local values. They do not fit. Choose other prescriptions, or an "
                "information structure that keeps finitely many values."
            )

    def look_up(self, space: Space, local: NDArray[Any]) -> NDArray[Any]:
        """What ``draw`` is asked about, for local values [n, L] of ``space``: here their index [n]."""
        if not isinstance(space, FiniteSpace):
            raise InvariantError(f"the prescriptions {self.name} are tables and were asked about {space}")
        return space.index(local)

    def draw(
        self,
        theta: Theta,
        agents: NDArray[np.int64],
        local_index: NDArray[np.int64],
        words: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.int64]:
        """The actions of some agents, each drawn with words of its own.

        Args:
            theta: [n].
            agents: [m] which of 1..K.
            local_index: [n, m] their local values.
            words: uint64 [n, m]; needed where ``is_random``.

        Returns:
            int64 [n, m], values 0 .. A-1.

        Raises:
            InvariantError: if words are missing.
        """
        if words is None:
            raise InvariantError(f"the prescriptions {self.name} are randomised, but no random words were given")
        weights = self.weights(theta)
        table = np.zeros_like(agents) if weights.shape[1] == 1 else agents - 1
        taken = weights[np.arange(len(weights))[:, None], table[None, :], local_index]
        drawn = categorical(words.reshape(-1), taken.reshape(-1, taken.shape[2]))
        return drawn.reshape(local_index.shape)
