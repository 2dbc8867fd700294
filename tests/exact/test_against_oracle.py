"""Every primitive against exact rational arithmetic, bit for bit, on inputs chosen to be unpleasant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, grid, slow, streams
from dadc_net.exact.adam import Adam, clip_norm, gradient_norm
from tests.exact import oracle

moderate = st.floats(-8.0, 8.0, allow_nan=False, allow_subnormal=False)
awkward = st.one_of(
    moderate,
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0**-24, -(2.0**-25), 3 * 2.0**-26, 1e-300, 2.0**-1074, 1e30, -1e60]),
    st.integers(-(2**27), 2**27).map(lambda n: n * 2.0**-26 + 2.0**-27),  # middles between grid points
)


def matrix(rows: int, columns: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(awkward, min_size=columns, max_size=columns), min_size=rows, max_size=rows)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.data())
def test_product(rows: int, terms: int, columns: int, data: st.DataObject) -> None:
    a, b = data.draw(matrix(rows, terms)), data.draw(matrix(terms, columns))
    assert oracle.same_bits(grid.product(np.array(a), np.array(b)), oracle.product(a, b))


@given(st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=5), st.data())
def test_product_with_a_fixed_scale(row: list[float], data: st.DataObject) -> None:
    b = data.draw(matrix(5, 2))
    assert oracle.same_bits(grid.product(np.array([row]), np.array(b), 0), oracle.product([row], b, 0))


@given(st.lists(awkward, min_size=1, max_size=40))
def test_sums(values: list[float]) -> None:
    expected = oracle.total(values)
    assert oracle.same_bits(grid.total(np.array(values)), expected)
    assert oracle.same_bits(grid.column_sums(np.array(values)[:, None]), [expected])
    assert oracle.same_bits(grid.row_sums(np.array(values)[None, :]), [expected])


def test_long_sums_and_products_are_cut_into_chunks() -> None:
    values = np.cos(np.arange(2**13 + 5) * 1.7)
    assert oracle.same_bits(grid.total(values), oracle.total(values.tolist()))
    a, b = values[None, :], np.sin(np.arange(2**13 + 5) * 0.3)[:, None]
    assert oracle.same_bits(grid.product(a, b), oracle.product(a.tolist(), b.tolist()))


@pytest.mark.parametrize("terms", [1, 2, 5, 15, 64, 320, 4800, 8192])
def test_the_bit_budget_holds(terms: int) -> None:
    assert 2 * grid.operand_bits(terms) + math.ceil(math.log2(terms)) <= 53


def test_order_does_not_matter() -> None:
    """What the arithmetic is for: any order of the terms gives the same bits, also of the worst operands."""
    generator = np.random.Generator(np.random.Philox(5))
    a, b = np.ones((1, 8192)), np.ones((8192, 1))
    a[0] -= 2.0**-20 * (np.arange(8192) % 3)
    b[:, 0] *= np.where(np.arange(8192) % 7 == 0, -0.75, 1.0)
    expected = grid.product(a, b)
    for _ in range(5):
        order = generator.permutation(8192)
        assert oracle.same_bits(grid.product(a[:, order], b[order]), expected)
    assert oracle.same_bits(grid.product(np.repeat(a, 3, axis=0), b)[1:2], expected)


def test_plain_float_sums_do_depend_on_order() -> None:
    """The control: without the grid, order shows."""
    x = np.cos(np.arange(1000) * 1.7) * 1e3
    assert len({float(np.cumsum(x[::step])[-1]) for step in (1, -1)}) == 2
    assert len({grid.total(x[::step]) for step in (1, -1)}) == 1


def test_zeros_have_one_sign() -> None:
    zero = grid.product(np.array([[-1.0, 0.0]]), np.array([[0.0], [5.0]]))
    assert oracle.same_bits(zero, [[0.0]])
    assert oracle.same_bits(grid.round_to_grid(np.array([-0.0, -1e-30]), 2.0**-24), [0.0, 0.0])
    assert oracle.same_bits(elementary.tanh(np.array([-0.0, -1e-12])), [0.0, 0.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2.0**300])
def test_what_is_not_a_number_raises(bad: float) -> None:
    x = np.array([[1.0, bad]])
    for call in (lambda: grid.product(x, np.ones((2, 1))), lambda: grid.total(x), lambda: grid.column_sums(x)):
        with pytest.raises(NumericError):
            call()


def test_elementary_functions_refuse_what_is_outside_their_domain() -> None:
    for function, bad in (
        (elementary.exp, 8.1),
        (elementary.exp, math.nan),
        (elementary.log, 0.0),
        (elementary.log, -1.0),
        (elementary.log, math.nan),
        (elementary.tanh, math.nan),
    ):
        with pytest.raises(NumericError):
            function(np.array([0.5, bad]))


wide = st.one_of(
    st.floats(-50.0, 50.0), st.floats(-1e-3, 1e-3), st.sampled_from([0.0, -0.0, 2.0**-27, 20.0, -700.0, 1e-300])
)


@given(st.lists(wide, min_size=1, max_size=12))
def test_tanh_and_sigmoid(values: list[float]) -> None:
    assert oracle.same_bits(elementary.tanh(np.array(values)), [oracle.tanh(v) for v in values])
    assert oracle.same_bits(elementary.sigmoid(np.array(values)), [oracle.sigmoid(v) for v in values])


@given(st.lists(wide.map(lambda v: min(v, 8.0)), min_size=1, max_size=12))
def test_exp(values: list[float]) -> None:
    assert oracle.same_bits(elementary.exp(np.array(values)), [oracle.exp(v) for v in values])


@given(st.lists(st.floats(2.0**-30, 2.0**30), min_size=1, max_size=12))
def test_log(values: list[float]) -> None:
    assert oracle.same_bits(elementary.log(np.array(values)), [oracle.log(v) for v in values])


@given(st.lists(wide, min_size=1, max_size=6))
def test_the_slow_path_alone_gives_the_same(values: list[float]) -> None:
    assert oracle.same_bits([slow.tanh(v) for v in values], [oracle.tanh(v) for v in values])
    low = [min(v, 8.0) for v in values]
    assert oracle.same_bits([slow.exp(v) for v in low], [oracle.exp(v) for v in low])


def test_forcing_the_slow_path_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-5.0, 5.0, 60)
    fast = elementary.tanh(x), elementary.exp(x), elementary.log(x + 6.0), elementary.log_softmax(x.reshape(20, 3))
    monkeypatch.setattr(elementary, "TOLERANCE", 1.0)
    calls: list[float] = []
    original = slow.tanh

    def counted(v: float) -> float:
        calls.append(v)
        return original(v)

    monkeypatch.setattr(slow, "tanh", counted)
    forced = elementary.tanh(x), elementary.exp(x), elementary.log(x + 6.0), elementary.log_softmax(x.reshape(20, 3))
    assert len(calls) > 50
    assert all(oracle.same_bits(a, b) for a, b in zip(fast, forced, strict=True))


def test_a_library_error_of_64_ulp_changes_no_bit() -> None:
    """The rounding test's promise: whatever a library returns within its tolerance, the defined value comes out."""
    x = np.concatenate([np.linspace(-4.0, 4.0, 4001), [2.0**-27, 3 * 2.0**-27]])
    exact = np.tanh(x)
    for ulps in (-60, -1, 1, 60):
        disturbed = exact + ulps * np.spacing(np.abs(exact))
        settled = elementary.settle(x, lambda _, values=disturbed: values.copy(), elementary.TANH_GRID, slow.tanh, 1.0)
        assert oracle.same_bits(settled, elementary.tanh(x))


def test_without_the_rounding_test_two_libraries_would_part() -> None:
    """The control: next to a middle, a one-ulp difference between libraries rounds to different grid points."""
    half = 1.5 * elementary.TANH_GRID
    below, above = np.array([np.nextafter(half, 0.0)]), np.array([np.nextafter(half, 1.0)])
    a, b = (grid.round_to_grid(v, elementary.TANH_GRID) for v in (below, above))
    assert not oracle.same_bits(a, b)


def test_adam_against_plain_floats() -> None:
    generator = np.random.Generator(np.random.Philox(3))
    start, gradients = generator.normal(size=7), generator.normal(size=(40, 7))
    gradients[:, 0] = 0.0  # a dead unit
    gradients[5:, 1] = 0.0
    current, optimiser = start.copy(), Adam(size=7)
    for gradient in gradients:
        optimiser.step(current, gradient, 0.03)
    assert oracle.same_bits(current, oracle.adam(start.tolist(), gradients.tolist(), 0.03))


def test_moments_and_powers_never_become_subnormal() -> None:
    optimiser, parameters = Adam(size=1), np.zeros(1)
    optimiser.step(parameters, np.array([1.0]), 0.1)
    for _ in range(8000):
        optimiser.step(parameters, np.zeros(1), 0.1)
    assert optimiser.first[0] == 0.0
    assert optimiser.second[0] == 0.0 or optimiser.second[0] > 2.0**-300
    assert optimiser.powers[0] == 0.0
    assert optimiser.powers[1] > 2.0**-300


def test_adam_refuses_what_is_not_finite() -> None:
    for gradient in (math.nan, math.inf, 1e200):
        with np.errstate(all="ignore"), pytest.raises(NumericError, match="NaN or infinite"):
            Adam(size=2).step(np.zeros(2), np.array([0.0, gradient]), 0.1)


def test_clipping() -> None:
    gradient = np.array([3.0, 4.0])
    assert gradient_norm(gradient) == 5.0
    assert clip_norm(gradient, 1.0) == 5.0
    assert oracle.same_bits(gradient, [3.0 * (1.0 / 5.0), 4.0 * (1.0 / 5.0)])
    small = np.array([0.1])
    clip_norm(small, 1.0)
    assert small[0] == 0.1


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**60), st.integers(0, 100), st.integers(0, 3))
def test_philox_against_python_integers(key: int, step: int, copy: int, block: int) -> None:
    words = streams.philox_blocks(key, step, copy, block, 2)
    for i in range(2):
        assert words[i].tolist() == oracle.philox(key, (step + i) | copy << 64 | block << 128)


def test_philox_known_answers() -> None:
    """Random123's vectors for philox4x64-10, zero counter and key, and digits of pi."""
    assert [hex(w) for w in streams.philox_blocks(0, 0, 0, 0, 1)[0].tolist()] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]


def test_streams_are_addresses() -> None:
    stream = streams.Stream("x", streams.seed_bytes(1))
    late = streams.Stream("x", streams.seed_bytes(1)).words(600, 3, 6)
    for step in (0, 255, 256, 600):
        last = stream.words(step, 3, 6)
    assert np.array_equal(last, late)
    assert np.array_equal(stream.words(600, 7, 6)[:3], late)
    assert np.array_equal(stream.words(600, 3, 2), late[:, :2])
    others = [
        streams.Stream("y", streams.seed_bytes(1)),
        streams.Stream("x", streams.seed_bytes(2)),
        streams.Stream("x", streams.seed_bytes(b"1")),
    ]
    assert all(not np.array_equal(other.words(600, 3, 6), late) for other in others)
    uniforms = stream.uniforms(0, 64, 64)
    assert uniforms.min() >= 0.0
    assert uniforms.max() < 1.0


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 120), st.integers(1, 3), st.integers(1, 6)), max_size=6))
def test_a_stream_gives_the_same_in_any_order(asked: list[tuple[int, int, int, int]]) -> None:
    """Runs of lock-steps, each from where it says, so that chunks grow, break off and begin anew."""
    stream = streams.Stream("x", streams.seed_bytes(1))
    for start, count, copies, draws in asked:
        for step in range(start, start + count):
            blocks = [stream._philox.blocks(step, copy, block, 1)[0] for copy in range(copies) for block in range(2)]
            expected = np.array(blocks).reshape(copies, 8)[:, :draws]
            assert np.array_equal(stream.words(step, copies, draws), expected)
            assert np.array_equal(stream.uniforms(step, copies, draws), (expected >> np.uint64(11)) * 2.0**-53)
        together = streams.Stream("x", streams.seed_bytes(1)).words_over(start, count, copies, draws)
        assert np.array_equal(together[-1], expected)


@pytest.mark.parametrize(("copies", "most"), [(1, 2**20), (40, 2**20), (40, 300), (40, 100)])
def test_several_streams_at_once_are_those_streams(copies: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few copies a chunk of them is 256 lock-steps long, with many two or a single one."""
    monkeypatch.setattr(streams, "_JOINT_WORDS", most)

    def named(name: str) -> streams.Stream:
        return streams.Stream(name, streams.seed_bytes(1))

    together = streams.JointStream([named("a"), named("b"), named("c")])
    for step, asked in ((0, copies), (255, copies), (256, copies), (3, 2), (3, copies)):
        alone = [named(name).words(step, asked, 1)[:, 0] for name in "abc"]
        assert np.array_equal(together.words(step, asked), np.stack(alone, axis=1))
    with pytest.raises(ValueError, match="read-only"):
        together.words(3, copies)[0, 0] = 0


@pytest.mark.parametrize(("rows", "entries"), [(1, 3), (47, 3), (48, 3), (500, 3), (500, 1), (20, 30)])
def test_draws_are_the_same_by_rows_and_by_columns(rows: int, entries: int) -> None:
    rng = np.random.Generator(np.random.Philox(4))
    weights = rng.integers(0, 2**20, (rows, entries))
    weights[:, -1] += 1
    words = rng.integers(0, 2**64, rows, dtype=np.uint64)
    given = weights.copy(order="F")
    found = streams.categorical(words, given)
    assert np.array_equal(given, weights)
    for word, row, chosen in zip(words.tolist(), weights.tolist(), found.tolist(), strict=True):
        threshold = (word >> 32) * sum(row) >> 32
        assert sum(row[:chosen]) <= threshold < sum(row[: chosen + 1])


def test_categorical_thresholds() -> None:
    weights = np.array([[1, 0, 3]] * 4, dtype=np.int64)
    words = np.array([0, 2**62 - 1, 2**62, 2**64 - 1], dtype=np.uint64)
    assert streams.categorical(words, weights).tolist() == [0, 0, 2, 2]


def test_permutation_is_one() -> None:
    words = streams.Stream("p", streams.seed_bytes(0)).words(0, 1, 50)[0]
    assert sorted(streams.permutation(words).tolist()) == list(range(50))
    assert streams.permutation(np.array([5, 5, 1], dtype=np.uint64)).tolist() == [2, 0, 1]


def test_seeds_are_checked() -> None:
    for bad in (-1, b""):
        with pytest.raises(ValueError, match="seed"):
            streams.seed_bytes(bad)
