"""Grid arithmetic at its ends: huge and tiny scales, ties, any memory layout, chunk borders, broken promises."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import NumericError
from dadc_net.exact import compiled, functions, grid
from tests.exact import oracle

LARGEST = math.nextafter(2.0**300, 0.0)
ends = st.one_of(
    st.sampled_from([0.0, -0.0, LARGEST, -LARGEST, 2.0**299, 2.0**-299, 2.0**-300, -(2.0**-301), 2.0**-326, 2.0**-327]),
    st.sampled_from([3 * 2.0**-327, 2.0**-1074, -(2.0**-1022), 1e-310, 1.0, -1.0]),
    st.tuples(st.floats(-1.0, 1.0), st.integers(-340, 299)).map(lambda pair: math.ldexp(*pair)),
)
tiny = st.tuples(st.floats(-1.0, 1.0), st.integers(-340, -290)).map(lambda pair: math.ldexp(*pair))


@given(st.lists(ends, min_size=4, max_size=4), st.lists(ends, min_size=4, max_size=4))
def test_products_over_all_scales(left: list[float], right: list[float]) -> None:
    a, b = np.array(left).reshape(1, 4), np.array(right).reshape(4, 1)
    assert oracle.same_bits(grid.product(a, b), oracle.product(a.tolist(), b.tolist()))


@given(st.lists(tiny, min_size=6, max_size=6))
def test_at_the_lowest_scale_nothing_is_subnormal(values: list[float]) -> None:
    """Two clamped scales multiply to 2^-652 at the least, far above 2^-1022."""
    a = np.array(values).reshape(2, 3)
    found = grid.product(a, a.T)
    assert oracle.same_bits(found, oracle.product(a.tolist(), a.T.tolist()))
    assert not ((found != 0.0) & (np.abs(found) < 2.0**-660)).any()
    assert oracle.same_bits(grid.column_sums(a), oracle.column_sums(a.tolist()))


@given(st.lists(ends, min_size=1, max_size=30))
def test_sums_over_all_scales(values: list[float]) -> None:
    assert oracle.same_bits(grid.total(np.array(values)), oracle.total(values))


@given(st.integers(-(2**51), 2**51), st.sampled_from([-0.5, -0.25, 0.0, 0.25, 0.5]), st.integers(-100, 100))
def test_rounding_over_its_whole_range(units: int, fraction: float, power: int) -> None:
    step = math.ldexp(1.0, power)
    x = (units + fraction) * step
    if abs(x) > 2.0**51 * step:
        return
    expected = float(oracle.nearest(Fraction(x), Fraction(step))) + 0.0
    assert oracle.same_bits(grid.round_to_grid(np.array([x]), step), [expected])


def test_every_bit_count_at_full_load() -> None:
    """All operands at their largest: the sum reaches 2^53 and is still exact, in every length."""
    for terms in [1, 2, 3, 4, 5, 7, 8, 9, 100, 4096, 8191, 8192]:
        bits = grid.operand_bits(terms)
        top = 1.0 - math.ldexp(1.0, -bits)
        a, b = np.full((1, terms), top), np.full((terms, 1), -top)
        assert oracle.same_bits(grid.product(a, b, 0, 0), [[float(-terms * Fraction(top) ** 2)]])
        ones = np.ones((1, terms))
        assert oracle.same_bits(grid.product(ones, ones.T, 0, 0), [[float(terms)]])


@settings(max_examples=8)
@given(st.integers(2**13 - 2, 2**13 + 2), st.integers(0, 2**31))
def test_around_the_border_of_a_chunk(terms: int, seed: int) -> None:
    generator = np.random.Generator(np.random.Philox(seed))
    x = generator.normal(size=(terms, 1)) * 2.0 ** generator.integers(-30, 30, size=(terms, 1))
    assert oracle.same_bits(grid.total(x), oracle.total(x[:, 0].tolist()))
    assert oracle.same_bits(grid.product(x.T, x), oracle.product(x.T.tolist(), x.tolist()))


def test_chunks_are_added_in_index_order() -> None:
    """Three chunks whose sums do not add up exactly: order shows, and it is the index's."""
    x = np.zeros((1, 3 * 2**13))
    x[0, 0], x[0, 2**13], x[0, 2**14] = 2.0**70, 1.0, -(2.0**70)
    y = np.ones((3 * 2**13, 1))
    y[0], y[2**14] = 2.0**-10, 2.0**-10
    assert oracle.same_bits(grid.product(x, y), oracle.product(x.tolist(), y.tolist()))
    sums = [2.0**60 + 2.0**9, 1.0, -(2.0**60)]
    long = np.concatenate([np.full(2**13, v / 2**13) for v in sums])
    assert oracle.same_bits(grid.total(long), oracle.total(long.tolist()))


def test_memory_layout_does_not_matter() -> None:
    generator = np.random.Generator(np.random.Philox(2))
    a, b = generator.normal(size=(6, 9)), generator.normal(size=(9, 4))
    expected = grid.product(a, b)
    wide = np.zeros((12, 18))
    wide[::2, ::2] = a
    for left in (np.asfortranarray(a), wide[::2, ::2], a[::-1][::-1]):
        for right in (np.asfortranarray(b), b.T.copy().T):
            assert oracle.same_bits(grid.product(left, right), expected)
        assert oracle.same_bits(grid.column_sums(left), grid.column_sums(a))
        assert oracle.same_bits(grid.row_sums(left), grid.row_sums(a))


def test_one_row_or_the_batch() -> None:
    generator = np.random.Generator(np.random.Philox(3))
    a, weight = generator.uniform(-1, 1, (50, 7)), grid.operand(generator.normal(size=(7, 5)), 7)
    whole = grid.product(a, weight, 0)
    for i in range(50):
        assert oracle.same_bits(grid.product(a[i : i + 1], weight, 0), whole[i : i + 1])


def test_empty_tensors_sum_to_zero() -> None:
    assert grid.total(np.zeros(0)) == 0.0
    assert oracle.same_bits(grid.column_sums(np.zeros((0, 2))), [0.0, 0.0])
    assert oracle.same_bits(grid.product(np.zeros((1, 0)), np.zeros((0, 2))), [[0.0, 0.0]])


def test_broken_promises_are_refused() -> None:
    ones = np.ones((3, 4))
    with pytest.raises(ValueError, match="prepared for 5 terms entered a product over 4"):
        grid.product(ones, grid.operand(ones.T, 5))
    grid.require_within(ones, 0)
    grid.require_within(np.zeros(0), 0)
    for beyond in (1.0 + 2.0**-52, -2.0, math.nan, math.inf):
        with pytest.raises(NumericError, match="whose fixed scale is"):
            grid.require_within(np.array([0.5, beyond]), 0)
    weight, bias = torch.ones(4, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    with pytest.raises(NumericError, match="fixed scale"):
        functions.affine(torch.full((3, 4), 1.5, dtype=torch.float64), weight, bias, 0)
    with pytest.raises(TypeError, match="float64"):
        functions.tanh(torch.ones(3))


def test_a_scale_beyond_its_promise_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: operands beyond their fixed scale overrun the 53 bits, and the order of the terms shows.

    Kernels refuse them as they round; on NumPy it is for the caller to check, as ``functions`` does.
    """
    generator = np.random.Generator(np.random.Philox(9))
    a, b = generator.uniform(-1, 1, (1, 64)) * 2.0**12, generator.uniform(-1, 1, (64, 1))
    orders = [generator.permutation(64) for _ in range(40)]
    if compiled.kernels is not None:
        with pytest.raises(NumericError, match="fixed scale"):
            grid.product(a, b, 0, 0)
        monkeypatch.setattr(compiled, "kernels", None)
    assert len({grid.product(a[:, order], b[order], 0, 0)[0, 0] for order in orders}) > 1
    assert len({grid.product(a[:, order], b[order], 12, 0)[0, 0] for order in orders}) == 1
