"""Which common observations are looked at one by one; of the others every factor is predicted in its turn."""

from __future__ import annotations

from dadc_net.team.spaces import FiniteSpace

MOST_ENUMERATED = 1024
"""Values of a common observation that are predicted by one softmax, and that planning looks at."""


def is_enumerated(space: FiniteSpace) -> bool:
    """Whether its values are; one factor alone always is, because there is nothing to split."""
    return len(space.sizes) == 1 or space.num_values <= MOST_ENUMERATED
