"""What makes large batches fast changes no bit: blocks of products, sums by BLAS, coarse tests, maxima by columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, functions, grid
from dadc_net.exact.array import Array
from tests.exact import oracle


def numbers(seed: int, *shape: int) -> Array:
    """Numbers whose exponents spread over forty binades, with zeros of both signs among them."""
    generator = np.random.Generator(np.random.Philox(seed))
    x: Array = generator.normal(size=shape) * 2.0 ** generator.integers(-40, 1, size=shape)
    x[generator.random(shape) < 0.05] = 0.0
    x[generator.random(shape) < 0.05] = -0.0
    return x


@pytest.mark.parametrize(("rows", "terms", "columns"), [(300, 7, 5), (7, 300, 5), (40, 9000, 3), (2, 5, 300)])
def test_blocks_of_a_product(rows: int, terms: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = numbers(1, rows, terms), numbers(2, terms, columns)
    bias = numbers(3, columns)
    whole = [grid.product(a, b), grid.product(a, b.T.copy().T), grid.product(a.T.copy().T, b), grid.product(a, b, bias=bias)]
    monkeypatch.setattr(grid, "_SMALL_PRODUCT", 1)
    monkeypatch.setattr(grid, "_LEAST_BLOCK", 11)
    cut = [grid.product(a, b), grid.product(a, b.T.copy().T), grid.product(a.T.copy().T, b), grid.product(a, b, bias=bias)]
    assert all(oracle.same_bits(one, other) for one, other in zip(whole, cut, strict=True))
    assert oracle.same_bits(whole[0], whole[1])
    assert oracle.same_bits(whole[3], grid.product(a, b) + bias)


def test_blocks_that_round_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same blocks over operands that were not rounded."""
    a, b = numbers(1, 7, 3000), numbers(2, 3000, 5)
    whole = grid._multiply(a, b)
    monkeypatch.setattr(grid, "_SMALL_PRODUCT", 1)
    monkeypatch.setattr(grid, "_LEAST_BLOCK", 11)
    assert not oracle.same_bits(whole, grid._multiply(a, b))


def test_a_gradient_of_more_than_one_chunk_of_rows() -> None:
    x = numbers(4, grid.CHUNK_TERMS + 5, 2)
    left, right, sums = grid.gradient_parts(x, True)
    assert oracle.same_bits(sums, grid.column_sums(x))
    assert oracle.same_bits(right.values, grid.operand(x, x.shape[0]).values)
    assert oracle.same_bits(grid.product(left, x[:2]), grid.product(x, x[:2]))


def test_an_operand_of_another_number_of_terms_is_refused_on_either_side() -> None:
    x = numbers(5, 3, 3)
    for pair in ((grid.operand(x, 4), x), (x, grid.operand(x, 4))):
        with pytest.raises(ValueError, match="prepared for 4 terms entered a product over 3"):
            grid.product(*pair)


@pytest.mark.parametrize("bound", [1.0, 4096.0])
def test_doubts_are_those_that_each_value_has_for_itself(bound: float) -> None:
    """The bound only says which values need no test of their own."""
    step, ulp = elementary.TANH_GRID, 2.0**-53
    offsets = np.array([0.0, *(0.5 * step - k * ulp for k in (1, 40, 63, 64, 65, 100, 500, 2**20))])
    candidate = 0.5 + np.concatenate((offsets, -offsets))
    rounded = grid.round_to_grid(candidate, step)
    margin = 0.5 * step - np.abs(candidate) * elementary.TOLERANCE
    expected = np.flatnonzero(np.abs(candidate - rounded) >= margin)
    assert 0 < len(expected) < len(candidate)
    assert np.array_equal(elementary.doubts(candidate, rounded, step, bound), expected)
    assert elementary.doubts(np.array([0.5, np.nan]), np.array([0.5, np.nan]), step, bound).tolist() == [1]
    with pytest.raises(NumericError):
        elementary.tanh(np.full(10, np.nan))


@pytest.mark.parametrize("entries", [1, 2, 16, 17])
def test_maxima_of_rows(entries: int) -> None:
    x = numbers(6, 200, entries)
    assert np.array_equal(elementary._row_maxima(x), x.max(axis=1))
    x[3, 0] = np.nan
    assert np.isnan(elementary._row_maxima(x)[3])


def test_a_fixed_scale_is_kept_or_refused() -> None:
    weight, bias = torch.ones(3, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for wrong in (1.5, -2.0, np.nan, np.inf):
        x = torch.full((4, 3), 0.5, dtype=torch.float64)
        x[2, 1] = wrong
        with pytest.raises(NumericError, match="fixed scale"):
            functions.affine(x, weight, bias, 0)
    kept = functions.affine(torch.full((4, 3), -1.0, dtype=torch.float64), weight, bias, 0)
    assert kept.tolist() == [[-3.0, -3.0]] * 4
