"""The best constant prescription: of all where they are few, else what a search finds, with the value that it has."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.experiment.finite_valuation import rule_values
from dadc_net.planning.finite import best_constant as searching
from dadc_net.planning.finite.best_constant import best_constant
from dadc_net.planning.finite.rule_value import RuleValues
from dadc_net.team.factored import FactoredFamily
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.by_name import structure_by_name
from tests.planning.team_by_force import TinyTeam
from tests.planning.test_finite_against_force import team
from tests.planning.test_rule_value import values_of

PARTS = FactoredFamily(name="parts", allowed=(((0, 1), (0, 1)),) * 2)
"""A choice of two actions at each of two local values, of two agents."""
AGREED = [0, 1, 0, 1]
"""Both do what they see."""


def only_searched(monkeypatch: pytest.MonkeyPatch, changes: int = 10**9) -> None:
    """As if not all prescriptions could be tried, and no more than so many at a time."""
    monkeypatch.setattr(
        searching._Worth, "affords", lambda _, count: count not in (16, 81) and count <= changes
    )


def agreement(family: PrescriptionFamily = PARTS) -> RuleValues:
    """Both see the same bit and are paid for agreeing: 2 on what they see, 1 on the other, 0 where they do not agree."""
    joint = [(0, 0), (0, 1), (1, 0), (1, 1)]
    fresh = np.full((4, 2, 2), 0.5)
    seen = np.zeros((4, 2, 4))
    seen[:, 0, 0] = seen[:, 1, 3] = 1.0
    reward = np.array([[0.0 if first != other else 1.0 + (first == state) for state in (0, 1)] for first, other in joint])
    both = TinyTeam(np.array([0.5, 0.5]), fresh, seen, reward, (2, 2), (2, 2))
    return values_of(both, structure_by_name("control-sharing", {"memory_steps": 0}), family, 2, 1.0)


def test_all_are_tried_where_they_are_few() -> None:
    found = best_constant(agreement(), PARTS)
    assert found is not None
    assert found.theta.tolist() == AGREED
    assert PARTS.space.values(np.array([found.entry]))[0].tolist() == AGREED
    # The first decision is made before anybody has seen anything.
    assert found.value == pytest.approx(1.5 + 2.0)


@pytest.mark.parametrize(("changed_together", "worth"), [(4, True), (0, False)])
def test_agents_that_must_change_their_minds_together_are_found(
    monkeypatch: pytest.MonkeyPatch, changed_together: int, worth: bool
) -> None:
    """No single other choice betters always doing the same; two at once do, and are tried."""
    values = agreement()
    best = best_constant(values, PARTS)
    only_searched(monkeypatch)
    monkeypatch.setattr(searching, "_starts", lambda *_: np.zeros((1, 4), dtype=np.int64))
    monkeypatch.setattr(searching, "_FEW", changed_together)
    found = best_constant(values, PARTS)
    assert best is not None
    assert found is not None
    assert found.entry is None
    assert (found.theta.tolist() == AGREED) == worth
    assert (found.value == best.value) == worth


@pytest.mark.parametrize("seed", [3, 59, 71, 90, 117])
@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_what_is_searched_for_is_the_best_of_random_teams(
    monkeypatch: pytest.MonkeyPatch, seed: int, discount: float
) -> None:
    values = values_of(team(seed), structure_by_name("control-sharing", {"memory_steps": 0}), PARTS, 3, discount)
    best = best_constant(values, PARTS)
    only_searched(monkeypatch)
    found = best_constant(values, PARTS)
    assert best is not None
    assert found is not None
    assert found.value == best.value
    assert float(values.constant(found.theta[None])[0]) == found.value


def test_a_list_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve("recycling", ["env.horizon=2", "discount=1.0"])
    values = rule_values(config, config.family)
    assert best_constant(values, config.family) is not None
    only_searched(monkeypatch)
    assert best_constant(values, config.family) is None, "81 entries of a menu"


def test_what_is_too_much_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    only_searched(monkeypatch, 4 + 32 + 4)
    assert best_constant(agreement(), PARTS) is not None
    only_searched(monkeypatch, 4 + 32 + 3)
    assert best_constant(agreement(), PARTS) is None, "four joint actions, 32 draws and four changes of a choice"
    monkeypatch.undo()
    monkeypatch.setattr(searching, "_MOST_ROWS", 7)
    assert best_constant(agreement(), PARTS) is None, "two states and four joint local values"


def test_a_search_ends_when_it_has_worked_enough_and_is_worth_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False, True, False, False, False, False])
    monkeypatch.setattr(searching._Worth, "affords", lambda worth, count: next(asked))
    starts = np.array([[0, 0, 1, 1], [0, 0, 0, 0]])
    monkeypatch.setattr(searching, "_starts", lambda *_: starts)
    found = best_constant(agreement(), PARTS)
    assert found is not None
    assert found.theta.tolist() == [0, 0, 0, 0], "the better one of two that were not bettered"
    assert found.value == pytest.approx(3.0)
    assert next(asked, None) is None


def test_what_is_affordable_is_told_by_rows_that_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    values = agreement()
    worth = searching._Worth(values, searching._sample(PARTS.space))
    # All sixteen were the sample: two states, each moved to both, twice; what was seen tells the state.
    assert (worth.moved, values.moved) == (16 * (4 + 4), 16 * (4 + 4))
    worth.of(PARTS.space.values(np.arange(3)))
    assert worth.moved == 19 * 8
    monkeypatch.setattr(searching, "_MOST_WORK", worth.moved + 10 * 8)
    assert worth.affords(10)
    assert not worth.affords(11)


def test_a_sample_that_is_too_much_by_itself_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_MOST_WORK", 20)
    values = agreement()
    assert best_constant(values, PARTS) is None
    assert values.moved == 3 * 8


def test_more_prescriptions_than_numbers_can_count_are_searched() -> None:
    """Of box pushing with one more observation remembered 10^30."""
    config = resolve("box-pushing", ["structure.memory_steps=1", "prescriptions=factored", "env.horizon=2", "discount=1.0"])
    space = config.family.space
    assert isinstance(space, FiniteSpace)
    assert space.num_values > 2**64
    found = best_constant(rule_values(config, config.family), config.family)
    assert found is not None
    assert found.entry is None
    assert found.value > -1.0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = agreement()
    whole = best_constant(values, PARTS)
    monkeypatch.setattr(searching, "_BLOCK_ROWS", 1)
    parts = best_constant(values, PARTS)
    assert whole is not None
    assert parts is not None
    assert (parts.value, parts.entry) == (whole.value, whole.entry)


@pytest.mark.parametrize("corners", [True, False])
def test_of_a_box_corners_are_tried_or_one_action_each(corners: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chances of two actions in place of choices: corners come as near to the best choices as the bound lets them."""
    if not corners:
        monkeypatch.setattr(searching, "_MOST_CORNERS", 255)
    logits = GibbsFamily(name="gibbs", tables=2, local_values=2, num_actions=2, bound=8.0)
    found = best_constant(agreement(logits), logits)
    assert found is not None
    assert found.entry is None
    assert found.value == pytest.approx(3.5 if corners else 3.0, abs=1e-5)
    assert float(agreement(logits).constant(found.theta[None])[0]) == found.value
