"""The slow path: the defined values where a library's candidate cannot be trusted, whatever else the process does."""

from __future__ import annotations

import decimal
import math
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, grid, known_answers, slow
from tests.exact import oracle

FUNCTIONS = {
    "tanh": (elementary.tanh, slow.tanh, oracle.tanh, np.tanh, elementary.TANH_GRID),
    "exp": (elementary.exp, slow.exp, oracle.exp, np.exp, elementary.EXP_GRID),
    "log": (elementary.log, slow.log, oracle.log, np.log, elementary.LOG_GRID),
}


def bisect(name: str, target: Fraction, low: float, high: float) -> float:
    """The float at which an increasing function passes ``target``, by the oracle's series."""
    series = {"tanh": lambda x: 1 - 2 / (oracle._exp(2 * x) + 1), "exp": oracle._exp}[name]
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if series(Fraction(middle)) < target else (low, middle)
    return low


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_next_to_a_middle(name: str) -> None:
    """The fixed numbers do enter the slow path, and rounding the library's value would get some of them wrong."""
    exact, _, expected, library, step = FUNCTIONS[name]
    x = known_answers._MIDDLE[name]
    candidate = library(x)
    rounded = grid.round_to_grid(candidate, step)
    assert len(elementary.doubts(candidate, rounded, step, 4096.0)) == len(x)
    right = [expected(v) for v in x.tolist()]
    assert oracle.same_bits(exact(x), right)
    if name != "log":
        assert not oracle.same_bits(rounded, right)


@settings(max_examples=15)
@given(st.sampled_from(["tanh", "exp"]), st.integers(0, 2**25), st.booleans())
def test_middles_found_by_bisection(name: str, units: int, up: bool) -> None:
    exact, careful, expected, _, step = FUNCTIONS[name]
    low, high = (0.0, 5.0) if name == "tanh" else (-30.0, 0.0)
    x = bisect(name, (Fraction(units) + Fraction(1, 2)) * Fraction(step), low, high)
    x = math.nextafter(x, math.inf) if up else x
    assert oracle.same_bits(exact(np.array([x])), [expected(x)])
    assert oracle.same_bits([careful(x)], [expected(x)])


@pytest.mark.parametrize("side", [-1, 1])
def test_precision_is_raised_until_the_side_is_sure(side: int) -> None:
    """An approximation that is 4 units wrong in its last place, across the middle, as long as that is allowed."""
    truth = decimal.Decimal("1000.5" + 36 * "0" + "1" if side > 0 else "1000.4" + 37 * "9")
    asked: list[int] = []

    def evaluate(context: decimal.Context) -> decimal.Decimal:
        asked.append(context.prec)
        error = decimal.Decimal(-4 * side).scaleb(4 - context.prec)
        return context.add(truth, error)

    assert slow._nearest(evaluate, 0) == (1001.0 if side > 0 else 1000.0)
    assert asked == [40, 80]


def test_a_value_in_the_middle_is_never_guessed() -> None:
    with pytest.raises(NumericError, match="stayed in the middle"):
        slow._nearest(lambda _: decimal.Decimal("0.5"), 0)


ALL = st.one_of(
    st.floats(allow_nan=False),
    st.floats(-1e-6, 1e-6),
    st.sampled_from([40.0, -40.0, math.nextafter(40.0, 50.0), 2.0**-27]),
)


@given(ALL)
def test_slow_tanh_takes_every_number(x: float) -> None:
    finite = math.copysign(min(abs(x), 1e300), x)
    assert oracle.same_bits([slow.tanh(x)], [oracle.tanh(finite)])
    assert oracle.same_bits(elementary.tanh(np.array([x])), [oracle.tanh(finite)])


@given(st.one_of(ALL.map(lambda x: min(x, 8.0)), st.floats(-22.0, -21.0)))
def test_slow_exp(x: float) -> None:
    expected = oracle.exp(max(x, -1e6))
    assert oracle.same_bits([slow.exp(x)], [expected])
    assert oracle.same_bits(elementary.exp(np.array([x])), [expected])


@given(st.one_of(st.floats(2.0**-30, 2.0**30), st.floats(1.0 - 1e-8, 1.0 + 1e-8)))
def test_slow_log(x: float) -> None:
    assert oracle.same_bits([slow.log(x)], [oracle.log(x)])
    assert oracle.same_bits(elementary.log(np.array([x])), [oracle.log(x)])


def test_slow_log_beyond_the_domain_of_the_fast_one() -> None:
    for x in (1e-300, 2.0**-1074, 1e300):
        assert oracle.same_bits([slow.log(x)], [oracle.log(x)])


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("tanh", math.nan),
        ("exp", math.nan),
        ("exp", 8.5),
        ("log", 0.0),
        ("log", -1.0),
        ("log", math.inf),
        ("log", math.nan),
    ],
)
def test_what_has_no_value_is_refused(name: str, bad: float) -> None:
    with pytest.raises(NumericError, match=f"{name} was asked"):
        FUNCTIONS[name][1](bad)


def test_the_decimal_context_of_the_process_does_not_matter() -> None:
    """Code elsewhere may set three digits, trap inexact results and round down."""
    numbers = {name: known_answers._MIDDLE[name].tolist() for name in FUNCTIONS}
    before = {name: [FUNCTIONS[name][1](v) for v in numbers[name]] for name in FUNCTIONS}
    after: dict[str, list[float]] = {}

    def work() -> None:
        context = decimal.Context(prec=3, rounding=decimal.ROUND_DOWN, Emin=-5, Emax=5, traps=[decimal.Inexact])
        decimal.setcontext(context)
        after.update({name: [FUNCTIONS[name][1](v) for v in numbers[name]] for name in FUNCTIONS})

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert after == before


def test_a_tensor_of_any_shape_or_layout_goes_through_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-1.0, 1.0, 24).reshape(2, 3, 4)
    plain = elementary.tanh(x)
    monkeypatch.setattr(elementary, "TOLERANCE", 1.0)
    assert oracle.same_bits(elementary.tanh(x), plain)
    assert oracle.same_bits(elementary.tanh(np.asfortranarray(x)), plain)
    assert oracle.same_bits(elementary.tanh(x[:, ::-1, ::2]), plain[:, ::-1, ::2])
    assert oracle.same_bits(elementary.tanh(np.array(0.3)), slow.tanh(0.3))
    assert oracle.same_bits(elementary.sigmoid(np.array(0.3)), 0.5 * slow.tanh(0.15) + 0.5)


def test_log_softmax_against_exact_arithmetic() -> None:
    generator = np.random.Generator(np.random.Philox(6))
    logits = generator.normal(size=(40, 4)) * 6.0
    logits[0] = [0.0, -0.0, -0.0, 0.0]
    logits[1] = [-0.0, -800.0, -900.0, -1000.0]
    for row, found in zip(logits.tolist(), elementary.log_softmax(logits), strict=True):
        shifted = [v - max(row) + 0.0 for v in row]
        weight = float(sum(Fraction(oracle.exp(v)) for v in shifted))
        assert oracle.same_bits(found, [v - oracle.log(weight) for v in shifted])
    assert oracle.same_bits(elementary.log_softmax(np.array([[-0.0], [5.0]])), [[0.0], [0.0]])
    for row in ([0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]):
        assert oracle.same_bits(elementary.softmax_weights(np.array([row]))[0], [[0.0, 0.0]])
