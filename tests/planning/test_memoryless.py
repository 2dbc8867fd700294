"""The best rule without memory: its value is that of the rule, and it is the best of all where all can be tried."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.experiment.finite_valuation import rule_values
from dadc_net.planning.finite.best_constant import best_constant
from dadc_net.planning.finite.memoryless import best_memoryless
from dadc_net.team.menu import PrescriptionMenu

LISTEN, LEFT = 0, 1


class ByCommon:
    """Entries by the present common observation."""

    is_memoryless = True

    def __init__(self, entries: Mapping[tuple[int, ...], int]) -> None:
        self._entries = entries

    def begin(self, copies: int) -> None:
        pass

    def choose(self, common: NDArray[np.int64]) -> NDArray[Any]:
        return np.array([self._entries[tuple(z)] for z in common.tolist()])


@pytest.mark.parametrize(("task", "structure"), [("recycling", "control-sharing"), ("dec-tiger", "delayed-sharing")])
def test_what_is_found_is_worth_what_is_said_and_no_less_than_a_constant(task: str, structure: str) -> None:
    config = resolve(task, [f"structure={structure}", "env.horizon=3", "discount=1.0"])
    values = rule_values(config, config.family)
    constant = best_constant(values, config.family)
    assert constant is not None
    assert constant.entry is not None
    found = best_memoryless(values, config.family, constant.entry)
    assert found is not None
    played = dict(zip(found.commons, found.rule.tolist(), strict=True))
    assert values.exact(ByCommon(played)) == pytest.approx(found.value, abs=1e-9)
    assert found.value >= constant.value - 1e-9


def test_of_few_rules_it_is_the_best() -> None:
    """Two entries for the tiger: listen, or open the left door, which is right after both have heard it on the right."""
    config = resolve("dec-tiger", ["structure=delayed-sharing", "env.horizon=3", "discount=1.0"])
    menu = PrescriptionMenu("few", ("listen", "left"), (((LISTEN,) * 2,) * 2, ((LEFT,) * 2,) * 2))
    values = rule_values(config, menu)
    constant = best_constant(values, menu)
    assert constant is not None
    assert constant.entry is not None
    found = best_memoryless(values, menu, constant.entry)
    assert found is not None
    # Both do the same.
    met = [z for z in found.commons if z[2:4] in ((LISTEN, LISTEN), (LEFT, LEFT))]
    assert len(met) == 8 < len(found.commons)
    other = dict.fromkeys(found.commons, 0)
    every = [
        values.exact(ByCommon({**other, **dict(zip(met, entries, strict=True))}))
        for entries in itertools.product(range(2), repeat=len(met))
    ]
    assert found.value == pytest.approx(max(one for one in every if one is not None), abs=1e-9)
    assert found.value > constant.value + 1.0


def test_what_is_too_much_is_not_looked_for() -> None:
    config = resolve("box-pushing", ["prescriptions=factored", "env.horizon=3", "discount=1.0"])
    assert best_memoryless(rule_values(config, config.family), config.family, 0) is None
