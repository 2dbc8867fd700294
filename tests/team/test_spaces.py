"""Spaces of every kind: what lies in them, how they are joined, coded, described and compared."""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.errors import ProtocolError
from dadc_net.team.spaces import SIZE_MAX, BoxSpace, FiniteSpace, ProductSpace, Space, product, space_from_plain

PLAIN, ORDERED, BOX = FiniteSpace((2, 3)), FiniteSpace((5,), ordered=True), BoxSpace((-1.0, 10.0), (1.0, 30.0))
MIXED = product(PLAIN, BOX, ORDERED)
SPACES: list[Space] = [PLAIN, ORDERED, BOX, MIXED, product(PLAIN, ORDERED)]


def samples(space: Space, count: int = 50) -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(3))
    columns = []
    for part in space.parts:
        if isinstance(part, BoxSpace):
            columns.append(rng.uniform(part.low, part.high, (count, part.columns)))
        else:
            columns.append(rng.integers(0, part.sizes, (count, part.columns)))
    return np.concatenate(columns, axis=1).astype(space.dtype)


def test_neighbours_of_one_kind_become_one() -> None:
    assert product(FiniteSpace((2,)), FiniteSpace((2, 3))) == FiniteSpace((2, 2, 3))
    assert product(BoxSpace((0.0,), (1.0,)), BoxSpace((2.0,), (3.0,))) == BoxSpace((0.0, 2.0), (1.0, 3.0))
    assert product(PLAIN) == PLAIN
    assert product(product(PLAIN, BOX), ORDERED) == MIXED == product(PLAIN, product(BOX, ORDERED))
    assert product(FiniteSpace((2,)), FiniteSpace((2,), ordered=True)) != FiniteSpace((2, 2))
    with pytest.raises(ValueError, match="no spaces"):
        product()
    with pytest.raises(ValueError, match="at least two"):
        ProductSpace((PLAIN,))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_is_its_plain_data(space: Space) -> None:
    assert space_from_plain(space.to_plain()) == space
    assert hash(space_from_plain(space.to_plain())) == hash(space)
    assert len(space.column_types) == space.columns
    assert product(*space.parts) == space


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_codes_have_magnitude_at_most_one_and_tell_values_apart(space: Space) -> None:
    values = samples(space)
    assert space.contains(values)
    codes = space.features(values)
    assert (codes.shape, codes.dtype) == ((50, space.feature_size), np.float64)
    assert np.abs(codes).max() <= 1.0
    assert len(np.unique(codes, axis=0)) == len(np.unique(values, axis=0))


def test_a_box_is_coded_from_end_to_end() -> None:
    assert BOX.features(np.array([[-1.0, 10.0], [0.0, 20.0], [1.0, 30.0], [9.0, 0.0]])).tolist() == [
        [-1.0, -1.0],
        [0.0, 0.0],
        [1.0, 1.0],
        [1.0, -1.0],
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        [0.0, 0.5, 0.0, 10.0, 0.0],  # a half where whole numbers are
        [0.0, np.nan, 0.0, 10.0, 0.0],
        [0.0, np.inf, 0.0, 10.0, 0.0],
        [0.0, 0.0, np.nan, 10.0, 0.0],
        [0.0, 0.0, np.inf, 10.0, 0.0],
        [0.0, 0.0, 1.5, 10.0, 0.0],
        [2.0, 0.0, 0.0, 10.0, 0.0],
        [-1.0, 0.0, 0.0, 10.0, 0.0],
        [0.0, 0.0, 0.0, 10.0, 5.0],
        [0.0, 0.0, 0.0, 10.0],
    ],
)
def test_what_does_not_lie_in_a_product_is_seen(wrong: list[float]) -> None:
    assert MIXED.contains(np.array([[1.0, 2.0, 1.0, 30.0, 4.0]]))
    assert not MIXED.contains(np.array([[1.0, 2.0, 1.0, 30.0, 4.0][: len(wrong)], wrong]))


@pytest.mark.parametrize(
    ("size", "kind"), [(1, "u1"), (256, "u1"), (257, "<u2"), (65536, "<u2"), (65537, "<u4"), (SIZE_MAX, "<u4")]
)
def test_a_factor_travels_in_the_smallest_type_that_holds_it(size: int, kind: str) -> None:
    assert FiniteSpace((size,)).column_types == (kind,)
    assert np.array([size - 1]).astype(kind).astype(np.int64)[0] == size - 1


def test_spaces_that_cannot_be_are_refused() -> None:
    for sizes in ((), (0,), (SIZE_MAX + 1,)):
        with pytest.raises(ValueError, match="at least one factor of size >= 1"):
            FiniteSpace(sizes)
    for low, high in (((), ()), ((1.0,), (1.0,)), ((0.0,), (np.inf,)), ((np.nan,), (1.0,)), ((-1e308,), (1e308,))):
        with pytest.raises(ValueError, match="finite low < high"):
            BoxSpace(low, high)
    for record in ({}, {"kind": "ring"}, {"kind": "product", "parts": [PLAIN.to_plain()]}, {"kind": "product", "parts": 3}):
        with pytest.raises(ProtocolError):
            space_from_plain(record)
