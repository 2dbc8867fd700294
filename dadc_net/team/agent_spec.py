"""What one agent of a team sees and does: all that its own process knows of an environment."""

from __future__ import annotations

from dataclasses import dataclass

from dadc_net.team.spaces import FiniteSpace, Space


@dataclass(frozen=True)
class AgentSpec:
    """One agent's spaces."""

    observation_space: Space
    """Of its private observation O^k."""
    action_space: FiniteSpace
    """Of its action; one factor."""


def equal_agents(num_agents: int, observation_space: Space, action_space: FiniteSpace) -> tuple[AgentSpec, ...]:
    """K agents that see and do the same things."""
    return (AgentSpec(observation_space, action_space),) * num_agents
