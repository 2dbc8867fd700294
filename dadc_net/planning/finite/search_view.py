"""What a policy's description and a plan read of a search, whichever kind it is."""

from __future__ import annotations

from typing import Any, Protocol

from dadc_net.planning.finite.controllers import Begun
from dadc_net.planning.finite.joint_beliefs import JointBeliefs, Numbers
from dadc_net.planning.finite.team_belief import TeamBelief, TeamBeliefs


class Held(Protocol):
    """Whatever takes memory and says how much."""

    @property
    def bytes_held(self) -> int:
        """Now."""
        ...


class SearchNode(Protocol):
    """What a policy's description reads of a node."""

    stage: int
    belief: TeamBelief
    lower: float
    upper: float
    best: Any
    """What the lower bound rests on, with its ``actions`` [T, K], or None."""
    last_actions: Numbers | None


class Search(Protocol):
    """A search of either kind, after it is over."""

    beliefs: TeamBeliefs
    joint: JointBeliefs
    nodes: Any
    bytes_held: int
    deviation: float
    outlook: Any
    root: Any
    origins: dict[int, tuple[Any, Any]]
    begun: dict[int, Begun]

    def node(self, stage: int, belief: TeamBelief) -> Any:
        """The node of a belief."""
        ...

    def spell_out(self, node: Any) -> bool:
        """Give a node the actions that its lower bound rests on, also when time is up; whether all were found soon."""
        ...
