"""Local information that is a window of the agent's own last observations and actions, the oldest first."""

from __future__ import annotations

import numpy as np

from dadc_net.team.spaces import FiniteSpace, Space, product
from dadc_net.team.structures.structure import InformationStructure, Integers, Values, bounded, with_zero


def window_space(
    structure: InformationStructure, observation_space: Space, action_space: FiniteSpace, observations: int, actions: int
) -> Space:
    """The space of a window of so many observations, then so many actions; where there are none, of one value."""
    # The present observation always exists; older ones may not.
    older = with_zero(observation_space) if observations > 1 else observation_space
    parts = [*[older] * (observations - 1), *[observation_space] * min(1, observations), *[action_space] * actions]
    return bounded(product(*parts) if parts else FiniteSpace((1,)), structure)


def moved_window(
    local: Values, action: Integers, observation_next: Values, step: Integers, observations: int, actions: int
) -> Values:
    """The window [E, L] one step later; at step 0 the new observation alone, 0 in the places of older ones."""
    split = observations * observation_next.shape[1]
    seen = np.concatenate((local[:, observation_next.shape[1] : split], observation_next), axis=1)
    done = np.concatenate((local[:, split:], action[:, None]), axis=1)[:, 1:] if actions else local[:, split:]
    moved = np.concatenate((seen, done), axis=1)
    fresh = np.zeros_like(moved)
    fresh[:, split - observation_next.shape[1] : split] = observation_next
    return np.where(step[:, None] == 0, fresh, moved)
