"""What makes large batches fast changes no bit: blocks of products, sums by BLAS, coarse tests, maxima by columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dadc_net.errors import NumericError
from dadc_net.exact import compiled, elementary, functions, grid
from dadc_net.exact.grid import Array
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


def test_the_scale_that_a_gradient_shares_is_the_one_that_each_use_finds() -> None:
    x = numbers(4, 500, 6)
    scale = grid.scale_exponent(x)
    assert grid.shared_scale(x) == (None if compiled.kernels is not None else scale)
    assert oracle.same_bits(grid.column_sums(x), grid.column_sums(x, scale))
    assert oracle.same_bits(grid.product(x.T, x), grid.product(x.T, x, scale, scale))


def test_the_coarse_test_of_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.concatenate((numbers(5, 6000) * 20.0, [0.0, -0.0, 40.0, -40.0, 3.725290298461916e-08, -0.006755521841032828]))
    fine = [elementary.tanh(part) for part in np.array_split(x, 6)]
    coarse = elementary.tanh(x)
    monkeypatch.setattr(elementary, "_MANY", 1)
    assert oracle.same_bits(coarse, np.concatenate(fine))
    assert oracle.same_bits(coarse, elementary.tanh(x))
    assert elementary._all_certain(np.array([0.5]), np.array([0.5]), elementary.TANH_GRID, 1.0)
    assert not elementary._all_certain(np.array([np.nan]), np.array([np.nan]), elementary.TANH_GRID, 1.0)
    middle = 0.5 + 0.5 * elementary.TANH_GRID
    assert not elementary._all_certain(np.array([middle]), np.array([0.5]), elementary.TANH_GRID, 1.0)
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
