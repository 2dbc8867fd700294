"""Every bug that a simulation found, with the seed that found it; the table grows and nothing leaves it.

A seed means the same faults only as long as the simulation draws its random numbers in the same order. Where that has
changed since, the line keeps its story, and the rule has a test of its own beside the seed.
"""

from __future__ import annotations

import pytest

from tests.simulation.chaos import KINDS
from tests.simulation.test_faults import _expect, undisturbed  # noqa: F401 - a fixture

FOUND = (
    # seed, kinds, share, what was wrong, and where the rule is tested besides
    (
        *(12992, KINDS, 0.35),
        "a server lost power after its agents had kept the result and left; its last records were gone and nobody was there "
        "to supply them: both sides sync before End and before Bye (each kind alone: power)",
    ),
    (
        *(21475, KINDS, 0.35),
        "an agent was stopped and started again within a tenth of a second; its first process's last Alive arrived after "
        "the second one's Join, passed for the answer to the Probe, and the second was refused with exit 14: Probes that "
        "decide are numbered (test_a_duplicate_is_refused_while_the_first_answers)",
    ),
    (
        *(12515, KINDS, 0.35),
        "the simulated disk, not the product: a checkpoint's content followed its name, so a kill left a name without one",
    ),
)


@pytest.mark.parametrize(("seed", "kinds", "share", "story"), FOUND, ids=[str(line[0]) for line in FOUND])
def test_found_before(
    seed: int, kinds: tuple[str, ...], share: float, story: str, undisturbed: set[str], recalled: None  # noqa: F811
) -> None:
    _expect(undisturbed, seed, kinds, share)
