"""Theorem 4 and Assumption 1: the conditions on step sizes and parameters, as the preset ``theorem`` meets them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dadc_net.coordinator.prescription import Box
from dadc_net.coordinator.schedule import step_size
from dadc_net.coordinator.settings.schedule import ScheduleSettings
from dadc_net.errors import ConfigError
from tests.paper.one_update import AS_PRINTED, one_update, theorem_settings

POWERS = range(20)


def sizes(component: str, kind: str = "robbins-monro") -> list[float]:
    """Step sizes at updates 1, 2, 4, 8, ..; 1 at the first."""
    settings = theorem_settings(f"schedule.kind={kind}", updates=2**20)
    return [step_size(settings, component, 1.0, 0.5, 2**j) for j in POWERS]


@pytest.mark.parametrize("component", ["ais", "critic", "actor"])
def test_step_sizes_meet_the_standard_conditions(component: str) -> None:
    """Below (4), (5) and (6): sum a_k diverges and sum a_k^2 does not, likewise b_k and c_k.

    By Cauchy's condensation a falling sequence and 2^j a_{2^j} have sums that both converge or both diverge. The condensed
    terms do not fall; those of the squares fall at least geometrically.
    """
    found = sizes(component)
    assert found == sorted(found, reverse=True)
    condensed = [2.0**j * a for j, a in zip(POWERS, found, strict=True)]
    assert condensed == sorted(condensed)
    squares = [2.0**j * a * a for j, a in zip(POWERS, found, strict=True)]
    assert all(later < 0.9 * sooner for sooner, later in pairwise(squares))


def test_the_time_scales_separate() -> None:
    """Below (5): lim b_k / a_k = 0; below (6): lim c_k / b_k = 0. The ratios fall by one factor whenever k doubles."""
    a, b, c = (np.array(sizes(component)) for component in ("ais", "critic", "actor"))
    for ratio in (b / a, c / b):
        assert (ratio[1:] < 0.95 * ratio[:-1]).all()
        assert ratio[-1] < 0.2


def test_the_schedule_of_e_1_meets_none_of_them() -> None:
    """The negative control: step sizes that fall to a share of themselves, or are constant as in E.1, keep their ratios,
    and the sum of their squares would diverge as well."""
    a, b = (np.array(sizes(component, "linear")) for component in ("ais", "critic"))
    assert (b / a == 1.0).all()
    squares = [2.0**j * x * x for j, x in zip(POWERS, a, strict=True)]
    assert squares == sorted(squares)


@pytest.mark.parametrize(
    "exponents", [(0.5, 0.75, 0.9), (0.6, 0.75, 1.01), (0.6, 0.6, 0.9), (0.6, 0.75, 0.75), (0.9, 0.75, 0.6)]
)
def test_exponents_that_break_a_condition_are_refused(exponents: tuple[float, float, float]) -> None:
    """k^-p has the required sums for 1/2 < p <= 1 alone, and ratios vanish only if the exponents rise."""
    with pytest.raises(ConfigError, match="schedule"):
        ais, critic, actor = exponents
        ScheduleSettings(
            kind="robbins-monro", optimiser="sgd", ais_exponent=ais, critic_exponent=critic, actor_exponent=actor
        )


def test_parameters_are_projected_onto_a_convex_bounded_set() -> None:
    """Assumption 1 (1): after a step each parameter is the nearest point of its box; the step itself is that of no box."""
    rates = ["ais.learning_rate=3", "q.critic_learning_rate=3", "learner.learning_rate=3", *AS_PRINTED]
    free = one_update(theorem_settings(*rates, "schedule.parameter_bound=1000"))
    boxed = one_update(theorem_settings(*rates, "schedule.parameter_bound=0.7"))
    assert all((np.abs(array) <= 0.7).all() for group in boxed.after.values() for array in group.values())
    bitten = 0
    for component in ("ais", "critic"):  # the actor's step is made with the critic that was projected
        for name, array in free.after[component].items():
            assert np.array_equal(boxed.after[component][name], np.minimum(np.maximum(array, -0.7), 0.7))
            bitten += int((np.abs(array) > 0.7).sum())
    assert bitten > 0


def test_theta_lies_in_a_closed_convex_set() -> None:
    """Section 5: theta lies in a closed convex set. Deviation: a Gaussian draw outside is played as the nearest point."""
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 5.0])
    drawn = np.random.Generator(np.random.Philox(4)).uniform(-4, 8, (200, 2))
    played = Box(low, high).played(drawn)
    assert ((played >= low) & (played <= high)).all()
    others = low + (high - low) * np.random.Generator(np.random.Philox(5)).uniform(0, 1, (100, 2))
    distance = np.linalg.norm(drawn - played, axis=1)
    assert (distance[:, None] <= np.linalg.norm(drawn[:, None] - others[None], axis=2) + 1e-12).all()
    inside = ((drawn >= low) & (drawn <= high)).all(axis=1)
    assert inside.any()
    assert np.array_equal(played[inside], drawn[inside])
