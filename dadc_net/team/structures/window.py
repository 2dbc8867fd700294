"""Local information that is a window of the agent's own last observations and actions, the oldest first."""

from __future__ import annotations

import numpy as np

from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.structures.structure import InformationStructure, Integers, bounded, finite


def window_space(
    structure: InformationStructure, observation_space: Space, action_space: FiniteSpace, observations: int, actions: int
) -> FiniteSpace:
    """The space of a window of so many observations, then so many actions."""
    own = finite(observation_space, structure, "an agent's observation")
    return bounded(own * observations + action_space.sizes * actions, structure)


def moved_window(
    local: Integers, action: Integers, observation_next: Integers, step: Integers, observations: int, actions: int
) -> Integers:
    """The window [E, L] one step later; at step 0 the new observation alone, 0 in the places of older ones."""
    split = observations * observation_next.shape[1]
    seen = np.concatenate((local[:, observation_next.shape[1] : split], observation_next), axis=1)
    done = np.concatenate((local[:, split:], action[:, None]), axis=1)[:, 1:] if actions else local[:, split:]
    moved = np.concatenate((seen, done), axis=1)
    fresh = np.zeros_like(moved)
    fresh[:, split - observation_next.shape[1] : split] = observation_next
    return np.where(step[:, None] == 0, fresh, moved)
