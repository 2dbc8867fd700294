"""Finite models: sparse tables, validation, equality and digest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dadc_net.errors import UsageError
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.dec_tiger import dec_tiger
from dadc_net.team.finite.models.meeting_grid import meeting_grid
from dadc_net.team.finite.sparse_rows import SparseRows

_ENTRIES = [0.0, -0.0, 0.0, 1.0, -2.5]
MATRICES = arrays(np.float64, (4, 5), elements=st.sampled_from([*_ENTRIES, 1e-300]))
SUMMABLE = arrays(np.float64, (4, 5), elements=st.sampled_from(_ENTRIES))
"""Their products with small integers are exact in whatever order a host's BLAS adds."""
TIGER = dec_tiger()


@given(MATRICES)
def test_a_sparse_matrix_is_the_matrix(dense: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    sparse = SparseRows.from_dense(dense)
    assert np.array_equal(sparse.dense(), dense)
    rows, columns = np.indices(dense.shape)
    assert np.array_equal(sparse.at(rows, columns), dense)
    for r in range(4):
        indices, values = sparse.row(r)
        assert np.array_equal(dense[r, indices], values)
    assert sparse == SparseRows.from_dense(sparse.dense())


@given(SUMMABLE)
def test_products_with_a_sparse_matrix_are_those_with_the_matrix(dense: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    sparse = SparseRows.from_dense(dense)
    assert np.array_equal(sparse.dot(np.arange(5.0)), dense @ np.arange(5.0))
    assert np.array_equal(sparse.left_dot(np.arange(4.0)), np.arange(4.0) @ dense)


def test_of_entries_at_one_place_the_last_counts() -> None:
    sparse = SparseRows.from_entries([1, 0, 1, 1], [2, 0, 2, 1], [5.0, 1.0, 7.0, 0.0], (2, 3))
    assert sparse.dense().tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 7.0]]
    assert len(sparse.data) == 2


@pytest.mark.parametrize(
    ("indptr", "indices", "data"),
    [
        ([0, 2], [1, 0], [1.0, 1.0]),
        ([0, 1], [3], [1.0]),
        ([0, 2], [0], [1.0]),
        ([0, 1], [0], [0.0]),
        ([0, 2, 1, 3], [0, 1, 2], [1.0] * 3),
    ],
)
def test_arrays_that_are_no_matrix_are_refused(indptr: list[int], indices: list[int], data: list[float]) -> None:
    with pytest.raises(ValueError, match=r"columns of a row|describe a sparse matrix|zeros are not kept"):
        SparseRows(np.array(indptr), np.array(indices), np.array(data), 3)


def test_columns_may_fall_from_one_row_to_the_next_only() -> None:
    sparse = SparseRows(np.array([0, 1, 1, 3]), np.array([2, 0, 1]), np.ones(3), 3)
    assert sparse.dense().tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0]]


def test_an_entry_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        SparseRows.from_entries([0], [3], [1.0], (1, 3))


def test_a_model_has_one_digest_whatever_it_is_called() -> None:
    again = dec_tiger()
    assert again == TIGER
    assert hash(again) == hash(TIGER)
    named = replace(again, name="tiger")
    assert named.digest == TIGER.digest
    assert named != TIGER
    assert dec_tiger(hearing=0.8).digest != TIGER.digest
    assert replace(again, discount=0.5) != TIGER
    assert replace(again, horizon=3) != TIGER


def test_nothing_in_a_model_can_be_written() -> None:
    for array in (TIGER.start, TIGER.transitions[0].data, TIGER.rewards[0], TIGER.expected_rewards):
        assert isinstance(array, np.ndarray)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_model_does_not_keep_the_arrays_it_was_given() -> None:
    start = np.array([0.5, 0.5])
    model = replace(TIGER, start=start)
    start[0] = 9.0
    assert model.start.tolist() == [0.5, 0.5]


def test_joint_indices_run_fastest_with_the_last_agent() -> None:
    model = replace(
        TIGER,
        actions=(("a", "b"), ("x", "y", "z")),
        transitions=TIGER.transitions[:6],
        observation_probabilities=TIGER.observation_probabilities[:6],
        rewards=TIGER.rewards[:6],
    )
    assert model.num_joint_actions == 6
    assert model.joint_actions.index(np.array([1, 0])) == 3
    assert model.joint_actions.values(np.array(4)).tolist() == [1, 1]


def test_rewards_on_arrival_have_their_mean() -> None:
    grid = meeting_grid()
    met = np.array([float(s // 4 == s % 4) for s in range(16)])
    for table, row in zip(grid.transitions, grid.expected_rewards, strict=True):
        assert row == pytest.approx(table.dense() @ met)


def test_rewards_of_impossible_moves_are_not_kept() -> None:
    stay = SparseRows.from_dense(np.eye(2))
    tables = {"transitions": (stay,) * 9, "rewards": (SparseRows.from_dense([[1.0, 5.0], [0.0, 2.0]]),) * 9}
    model = replace(TIGER, **tables)  # type: ignore[arg-type]
    assert isinstance(model.rewards[0], SparseRows)
    assert model.rewards[0].dense().tolist() == [[1.0, 0.0], [0.0, 2.0]]


def test_rewards_that_are_all_0_have_one_form() -> None:
    nothing = SparseRows.from_entries([], [], [], (2, 2))
    impossible = SparseRows.from_entries([0], [1], [5.0], (2, 2))
    stay = (SparseRows.from_dense(np.eye(2)),) * 9
    models = [replace(TIGER, transitions=stay, rewards=(table,) * 9) for table in (nothing, impossible, np.zeros(2))]
    assert models[0] == models[1] == models[2]


def test_rounded_probabilities_are_divided_by_their_sum_once() -> None:
    thirds = SparseRows.from_dense([[0.3333333, 0.6666666], [0.0, 1.0]])
    model = replace(TIGER, transitions=(thirds,) * 9)
    assert model.largest_row_error == pytest.approx(1e-7, rel=1e-6)
    assert model.transitions[0].row_sums() == pytest.approx([1.0, 1.0], abs=1e-15)
    assert replace(model) == model
    assert TIGER.largest_row_error < 1e-15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": np.array([0.5, 0.4])}, r"probabilities sum to 0\.9 in start of the start"),
        ({"start": np.array([0.5, 0.5, 0.0])}, r"start has the shape \(3,\)\. There are 2 states\."),
        ({"start": np.array([1.5, -0.5])}, r"start holds -0\.5"),
        ({"start": np.array([np.nan, 1.0])}, "start holds nan"),
        ({"discount": 1.5}, r"the discount is 1\.5"),
        ({"horizon": 0}, "the horizon is 0"),
        ({"states": ("a", "a")}, "'a' stands twice among the states"),
        ({"actions": ((),) * 2}, "there is no name among the actions of agent 1"),
        ({"observations": (("l", "r"),)}, "actions of 2 agents and observations of 1"),
        ({"rewards": (np.zeros(2),) * 8}, "8 tables of rewards"),
        ({"rewards": (np.zeros(3),) * 9}, r"rewards has a table of shape \(3,\) for the joint action listen listen"),
        ({"rewards": (np.array([np.inf, 0.0]),) * 9}, "a reward is inf"),
        (
            {"transitions": (*TIGER.transitions[:8], SparseRows.from_dense([[1.0, 0.0], [0.0, 0.0]]))},
            r"nothing is given in transitions from the state 'tiger-right' under the joint action open-right open-right\.",
        ),
        (
            {"observation_probabilities": (SparseRows.from_dense([[0.25] * 4, [0.25, 0.25, 0.25, 0.2]]),) * 9},
            r"0\.95 in observation_probabilities on arrival at the state 'tiger-right' under the joint action listen listen",
        ),
        ({"transitions": (SparseRows.from_dense(np.ones((2, 3)) / 3),) * 9}, r"shape \(2, 3\).*must be \(2, 2\)"),
    ],
)
def test_an_unsound_model_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        replace(TIGER, **change)
    assert str(raised.value).startswith("the finite model 'dec-tiger' is unsound: ")


def test_a_model_is_a_value_of_its_fields() -> None:
    assert isinstance(TIGER, FiniteModel)
    assert (TIGER == "dec-tiger") is False
