"""The compiled kernels: that they are reached, that they equal NumPy and the oracle, and that hosts without them do too."""

from __future__ import annotations

import decimal
import functools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import NumericError
from dadc_net.exact import acting, compiled, elementary, entering, grid, scan, selftest
from dadc_net.exact.array import Array
from dadc_net.exact.streams import categorical
from dadc_net.runtime.host import host_facts
from tests.exact import oracle
from tests.exact.test_scan import arguments, traces_equal

ROOT = Path(__file__).parents[2]
Result = Any


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    """Each test says itself which implementation it means."""
    yield
    compiled.unload()


def both(compute: Callable[[], Result]) -> tuple[Result, Result]:
    """What NumPy and what the kernels give."""
    compiled.unload()
    plain = compute()
    assert compiled.load()
    return plain, compute()


def layers(seed: int, inputs: int, size: int, entries: int) -> SimpleNamespace:
    """Weights and biases with dead units and zeros of both signs, scaled from tiny to huge."""
    generator = np.random.Generator(np.random.Philox(seed))
    shapes = {"input": (inputs, size), "gates": (size, 3 * size), "recurrent": (size, 3 * size), "output": (size, entries)}
    arrays: dict[str, Array] = {}
    for name, shape in shapes.items():
        scale = 2.0 ** float(generator.integers(-30, 8))
        arrays[f"{name}.weight"] = generator.normal(size=shape) * scale
        arrays[f"{name}.bias"] = generator.normal(size=shape[1]) * scale
        arrays[f"{name}.weight"][:, 0], arrays[f"{name}.bias"][0] = -0.0, -0.0
    return SimpleNamespace(arrays=arrays)


def encoder(source: SimpleNamespace) -> acting.RecurrentEncoder:
    return acting.RecurrentEncoder(
        **{name: acting.PreparedLinear.of(source, name) for name in ("input", "gates", "recurrent")}
    )


def rows(seed: int, copies: int, inputs: int, size: int) -> tuple[Array, Array, Array]:
    generator = np.random.Generator(np.random.Philox(seed + 1))
    codes = (generator.random((copies, inputs)) < 0.3).astype(np.float64)
    keep = (generator.random((copies, 1)) > 0.3).astype(np.float64)
    return codes, keep, grid.round_to_grid(generator.uniform(-1, 1, (copies, size)), scan.STATE_GRID)


@settings(max_examples=80)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
def test_encoding_equals_numpy_and_the_oracle(seed: int, copies: int, inputs: int, size: int) -> None:
    source = layers(seed, inputs, size, 3)
    given_rows = rows(seed, copies, inputs, size)
    plain, fast = both(lambda: encoder(source)(*given_rows))
    assert oracle.same_bits(fast, plain)
    codes, keep, previous = (a.tolist() for a in given_rows)
    weight, bias = source.arrays["input.weight"].tolist(), source.arrays["input.bias"].tolist()
    embedded = [[oracle.tanh(v + b) for v, b in zip(row, bias, strict=True)] for row in oracle.product(codes, weight, 0)]
    weight, bias = source.arrays["gates.weight"].tolist(), source.arrays["gates.bias"].tolist()
    gates = [[v + b for v, b in zip(row, bias, strict=True)] for row in oracle.product(embedded, weight, 0)]
    recurrent = source.arrays["recurrent.weight"].tolist(), source.arrays["recurrent.bias"].tolist()
    expected = oracle.scan([gates], [[row[0] for row in keep]], previous, *recurrent)
    assert oracle.same_bits(fast, expected.states[0])


@settings(max_examples=80)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
def test_a_head_and_the_draw_equal_numpy_and_the_oracle(seed: int, copies: int, size: int, entries: int) -> None:
    source = layers(seed, size, size, entries)
    head = acting.PreparedTower((acting.PreparedLinear.of(source, "input"),), acting.PreparedLinear.of(source, "output"))
    states = rows(seed, copies, 1, size)[2]
    words = np.random.Generator(np.random.Philox(seed)).integers(0, 2**64, copies, dtype=np.uint64)
    plain, fast = both(lambda: (head(states), acting.draw(head(states), words)))
    assert oracle.same_bits(fast[0], plain[0])
    assert (fast[1] == plain[1]).all()
    bits = min(30, 32 - math.ceil(math.log2(entries)))
    for row, word, chosen in zip(fast[0].tolist(), words.tolist(), fast[1].tolist(), strict=True):
        scaled = [Fraction(oracle.exp(v - max(row) + 0.0)) * 2**bits for v in row]
        weights = np.array([[int(oracle.nearest(v, Fraction(1))) for v in scaled]], dtype=np.int64)
        assert chosen == categorical(np.array([word], dtype=np.uint64), weights)[0]


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([1, 35, 36, 95, 96]), st.sampled_from([1, 5, 64]), st.integers(1, 4))
def test_a_network_of_several_layers_equals_numpy_and_its_layers(seed: int, copies: int, size: int, depth: int) -> None:
    """With few rows and units a kernel makes each layer, with many of them NumPy does; a rectified one never has kernels."""
    square = acting.PreparedLinear.of(layers(seed, size, size, 3), "input")
    output = acting.PreparedLinear.of(layers(seed + 1, size, size, 3), "output")
    states = rows(seed, copies, 1, size)[2]
    y, z = states, states
    for _ in range(depth):
        y, z = elementary.tanh(square(y)), np.minimum(np.maximum(square(z), 0.0), acting.RELU_MAX)
    for found in both(lambda: acting.PreparedTower((square,) * depth, output)(states)):
        assert oracle.same_bits(found, output(y))
    for found in both(lambda: acting.PreparedTower((square,) * depth, output, rectified=True)(states)):
        assert oracle.same_bits(found, output(z))
    for found in both(lambda: square.activated(states)):
        assert oracle.same_bits(found, elementary.tanh(square(states)))


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 5, 60]), st.integers(1, 6), st.integers(1, 5))
def test_the_acting_step_in_one_has_the_bits_of_its_parts(seed: int, copies: int, size: int, entries: int) -> None:
    source, encode = layers(seed, 3, size, entries), encoder(layers(seed, 3, size, entries))
    source.arrays |= {f"hidden.{part}": source.arrays[f"gates.{part}"][..., :size] for part in ("weight", "bias")}
    tower = acting.PreparedTower((acting.PreparedLinear.of(source, "hidden"),), acting.PreparedLinear.of(source, "output"))
    codes, keep, previous = rows(seed, copies, 3, size)
    words = np.random.Generator(np.random.Philox(seed)).integers(0, 2**64, (copies, 1), dtype=np.uint64)
    compiled.unload()
    state = encode(codes, keep, previous)
    chosen = acting.draw(tower(state), words[:, 0])
    for found in both(lambda: entering.EntryStep(encode, tower)(codes, keep, previous, words)):
        assert oracle.same_bits(found[0], state)
        assert (found[1] == chosen).all()


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 4), st.sampled_from([1, 5, 31, 33, 40]))
def test_the_scan_equals_numpy_beyond_32_units_too(seed: int, steps: int, copies: int, size: int) -> None:
    gates, keep, start, weight, bias = arguments(seed, steps, copies, size, 0.2)
    plain, fast = both(lambda: scan.forward(gates, keep, start, weight, bias))
    assert traces_equal(plain, fast)
    gradient = np.random.Generator(np.random.Philox(seed)).normal(size=plain.states.shape) * 2.0 ** (seed % 500 - 250)
    for a, b in zip(*both(lambda: scan.backward(plain, keep, weight, gradient)), strict=True):
        assert oracle.same_bits(a, b)


@settings(max_examples=100)
@given(st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=40), st.integers(1, 2**13))
def test_operands_equal_numpy(values: list[float], terms: int) -> None:
    x = np.array(values)
    for shaped in (x, x[None, :], np.asfortranarray(np.stack((x, -x)))):
        plain, fast = both(lambda shaped=shaped: grid.operand(shaped, terms).values)
        assert oracle.same_bits(fast, plain)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=40), st.integers(1, 3))
def test_sums_equal_numpy_and_the_oracle(values: list[float], columns: int) -> None:
    x = np.array([[v * 3.0**-j for j in range(columns)] for v in values])
    plain, fast = both(lambda: (grid.column_sums(x), grid.row_sums(x), grid.total(x), grid.row_sums(x.T)))
    for a, b in zip(plain, fast, strict=True):
        assert oracle.same_bits(a, b)
    assert oracle.same_bits(fast[0], oracle.column_sums(x.tolist()))


@settings(max_examples=60)
@given(st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=40), st.integers(1, 3), st.booleans())
def test_the_parts_of_a_gradient_equal_what_each_use_finds_for_itself(
    values: list[float], columns: int, as_left: bool
) -> None:
    x = np.array([[v * 3.0**-j for j in range(columns)] for v in values])
    for left, right, sums in both(lambda: grid.gradient_parts(x, as_left)):
        assert oracle.same_bits(right.values, grid.operand(x, len(values)).values)
        assert oracle.same_bits(sums, oracle.column_sums(x.tolist()))
        assert not as_left or oracle.same_bits(left.values, grid.operand(x, columns).values)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-1e90, 1e90), st.floats(-1.0, 1.0)), min_size=1, max_size=40))
def test_the_gradient_of_tanh_equals_numpy_and_rational_arithmetic(pairs: list[tuple[float, float]]) -> None:
    gradient, y = np.array(pairs).T.copy()
    plain, fast = both(lambda: elementary.tanh_gradient(gradient, y))
    assert oracle.same_bits(plain, fast)
    stepwise = [float(Fraction(1.0 - float(Fraction(v) ** 2)) * Fraction(g)) for g, v in pairs]
    assert np.array_equal(plain, np.array(stepwise))


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0**-1074, 2.0**-1022, 2.0**-301, -(2.0**-300), 1.0, 2.0**299, 1e-320])
def test_scales_at_the_ends_of_their_range(value: float) -> None:
    x = np.array([value, 0.0, value / 3.0])
    plain, fast = both(lambda: grid.operand(x, 7).values)
    assert oracle.same_bits(fast, plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**300])
def test_what_has_no_scale_is_refused_by_both(value: float) -> None:
    gates, keep, start, weight, bias = arguments(1, 3, 2, 2)
    trace = scan.forward(gates, keep, start, weight, bias)
    gradient = np.ones((3, 2, 2))
    gradient[1, 0, 1] = value * 2.0**100  # the gates' slopes make it smaller
    for fast in (False, True):
        compiled.load() if fast else compiled.unload()
        with np.errstate(all="ignore"), pytest.raises(NumericError, match="not a finite number below"):
            grid.operand(np.array([1.0, value]), 2)
        with np.errstate(all="ignore"), pytest.raises(NumericError, match="not a finite number below"):
            grid.gradient_parts(np.array([[1.0, value]]), True)
        with np.errstate(all="ignore"), pytest.raises(NumericError, match="not a finite number below"):
            scan.backward(trace, keep, weight, gradient)


def test_a_logit_that_is_not_a_number_is_refused_by_both() -> None:
    words = np.zeros(1, dtype=np.uint64)
    for fast in (False, True):
        compiled.load() if fast else compiled.unload()
        for logits in ([[math.nan, 0.0]], [[0.0, math.nan]], [[math.inf, 0.0]]):
            with np.errstate(invalid="ignore"), pytest.raises(NumericError):
                acting.draw(np.array(logits), words)


def test_doubt_sends_every_kernel_back_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no trust in the library at all, the slow path does everything, and no bit changes."""
    source, given_rows = layers(5, 4, 3, 3), rows(5, 2, 4, 3)
    words = np.array([2**63, 5], dtype=np.uint64)
    head = acting.PreparedTower((acting.PreparedLinear.of(source, "gates"),), acting.PreparedLinear.of(source, "recurrent"))
    scanned = arguments(3, 5, 2, 3)
    assert compiled.load()

    def everything() -> tuple[Array, Array, Array, Array, scan.Trace]:
        state = encoder(source)(*given_rows)
        wide = elementary.tanh(np.linspace(-3.0, 3.0, 50))
        logits = elementary.log_softmax(state)
        return state, wide, logits, acting.draw(state, words), scan.forward(*scanned)

    trusted = everything()
    monkeypatch.setattr(elementary, "TOLERANCE", 1.0)
    assert not compiled.kernels.round_tested(np.array([0.3]), 2.0**-26, 1.0)  # type: ignore[union-attr]
    doubted = everything()
    assert all(oracle.same_bits(a, b) for a, b in zip(trusted[:4], doubted[:4], strict=True))
    assert traces_equal(trusted[4], doubted[4])
    with pytest.raises(ValueError, match="matmul"):
        head(np.zeros((1, 7)))


def ulps_from_tanh(value: float, x: float) -> float:
    """Distance of ``value`` from tanh x in units of the last place, with 60 digits."""
    with decimal.localcontext(decimal.Context(prec=60)):
        power = (2 * decimal.Decimal(abs(x))).exp()
        exact = (power - 1) / (power + 1)
        return float(abs(decimal.Decimal(abs(value)) - exact)) / math.ulp(float(exact))


def ulps_from_exp(value: float, x: float) -> float:
    """Distance of ``value`` from exp x in units of the last place, with 60 digits."""
    with decimal.localcontext(decimal.Context(prec=60)):
        exact = decimal.Decimal(x).exp()
        return float(abs(decimal.Decimal(value) - exact)) / math.ulp(float(exact))


@settings(max_examples=400)
@given(st.one_of(st.floats(-40.0, 8.0), st.floats(-0.5, 0.5), st.floats(-1e-12, 1e-12), st.sampled_from([-0.3465735, 8.0])))
def test_the_kernels_own_exp_errs_far_less_than_the_rounding_test_allows(x: float) -> None:
    assert compiled.load()
    exp_value, _ = own_exp()
    found = exp_value(x)
    assert ulps_from_exp(found, x) < 8
    # What the bound would catch: single precision.
    assert abs(x) < 1e-6 or ulps_from_exp(float(np.float32(found)) * (1 + 2.0**-40), x) > 8


def test_the_kernels_own_exp_keeps_nan_and_ends_at_zero() -> None:
    assert compiled.load()
    exp_value, exp_tested = own_exp()
    assert math.isnan(exp_value(math.nan))
    assert not exp_tested(np.array([0.5, math.nan]), elementary.TOLERANCE)
    values = np.array([-math.inf, -1e300, -41.0, 0.0])
    assert exp_tested(values, elementary.TOLERANCE)
    assert oracle.same_bits(values, np.array([0.0, 0.0, 0.0, 1.0]))


@functools.cache
def own_exp() -> tuple[Callable[[float], float], Callable[[Array, float], bool]]:
    """The kernels' exp of a number, which has no entry point for Python of its own, and of an array."""
    import numba

    from dadc_net.exact.compiled.exponential import exp_tested, exp_value

    return numba.njit(lambda x: exp_value(x)), exp_tested


@functools.cache
def own_tanh() -> tuple[Callable[[float], float], Callable[[Array, float], bool]]:
    """The kernels' tanh of a number and of an array, which have no entry point for Python of their own."""
    import numba

    from dadc_net.exact.compiled.exponential import tanh_in_place, tanh_value

    return numba.njit(lambda x: tanh_value(x)), numba.njit(lambda x, tolerance: tanh_in_place(x, tolerance))


@settings(max_examples=400)
@given(
    st.one_of(
        st.floats(-25.0, 25.0), st.floats(-0.5, 0.5), st.floats(-1e-12, 1e-12), st.sampled_from([0.3465735, 20.0, 1e300])
    )
)
def test_the_kernels_own_tanh_errs_far_less_than_the_rounding_test_allows(x: float) -> None:
    assert compiled.load()
    tanh_value, _ = own_tanh()
    x = x if abs(x) > 1e-30 else 0.0  # the 60 digits hold no smaller one beside 1
    found = tanh_value(x)
    assert ulps_from_tanh(found, min(max(x, -25.0), 25.0)) < 8
    assert tanh_value(-x) == -found
    assert abs(found) <= 1.0
    # What the bound would catch: a third of the mantissa wrong, as in single precision.
    assert x == 0.0 or abs(x) > 9 or ulps_from_tanh(float(np.float32(found)) * (1 + 2.0**-40), x) > 8


def test_the_kernels_own_tanh_keeps_nan_and_infinities() -> None:
    assert compiled.load()
    tanh_value, tanh_in_place = own_tanh()
    assert math.isnan(tanh_value(math.nan))
    assert (tanh_value(math.inf), tanh_value(-math.inf)) == (1.0, -1.0)
    values = np.array([0.5, math.nan])
    assert not tanh_in_place(values, elementary.TOLERANCE)
    assert tanh_in_place(np.array([0.5, math.inf]), elementary.TOLERANCE)


@pytest.mark.parametrize(
    ("function", "doubtful"), [(elementary.tanh, 3.725290298461916e-08), (elementary.exp, -6.494615323316052)]
)
def test_a_doubtful_value_costs_its_block_alone(
    function: Callable[[Array], Array], doubtful: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two dimensions, in either order of memory, with one doubtful value in the second of three blocks."""
    x = np.full((5, elementary._BLOCK // 2 + 3), 0.3)
    x[2, elementary._BLOCK // 4] = doubtful
    compiled.unload()
    expected = function(x)
    assert compiled.load()
    settled: list[int] = []
    settle = elementary.settle

    def watched(part: Array, *rest: Any) -> Array:
        settled.append(part.size)
        return settle(part, *rest)

    monkeypatch.setattr(elementary, "settle", watched)
    for one in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        settled.clear()
        assert oracle.same_bits(function(one), expected)
        assert settled == [elementary._BLOCK]
    compiled.unload()


OUTPUT = {
    "categorical": 4,
    "categorical_gradient": 7,
    "choose": 6,
    "draw": 3,
    "encode": 6,
    "enter": 13,
    "enter_point": 13,
    "exp_tested": 0,
    "hidden_gradient": 7,
    "hidden_layer": 3,
    "obey_entries": 6,
    "obey_logits": 8,
    "round_dynamic": 3,
    "round_fixed": 3,
    "round_gradient": 5,
    "round_tested": 0,
    "scan_backward": 8,
    "scan_forward": 7,
    "sum_columns": 3,
    "sum_rows": 3,
    "tanh_gradient": 2,
    "tanh_layer": 2,
    "tanh_tested": 0,
}
"""Each kernel and the first of its arguments that it writes to."""


FURTHER: list[tuple[str, int, int | None]] = [
    ("choose", 7, None),
    *((name, output, None) for name in ("enter", "enter_point") for output in (14, 15)),
    *(("round_gradient", output, None) for output in (6, 7)),
    *(("categorical", output, None) for output in (5, 8, 9)),
    *(("hidden_gradient", output, None) for output in (8, 9)),
    *((name, output, part) for name, output in (("obey_entries", 4), ("obey_logits", 6)) for part in range(4)),
    *((name, 1, part) for name in ("enter", "enter_point") for part in range(6)),
]
"""Of those that write to several, the others; of an argument with several parts, each."""


@pytest.mark.parametrize(("name", "output", "part"), [*((*pair, None) for pair in OUTPUT.items()), *FURTHER])
def test_a_kernel_that_errs_by_one_bit_fails_the_selftest(
    name: str, output: int, part: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of each kernel; NumPy's own digests stay right."""
    assert compiled.load()
    kernels = compiled.kernels
    original = getattr(kernels, name)

    def wrong(*arguments: Any) -> Any:
        result = original(*arguments)
        written = (arguments[output] if part is None else arguments[output][part]).reshape(-1)
        one = written[:1] if part is None else written[-1:]  # Of a window it writes to the last row alone.
        if one.size:
            one.view(np.uint8)[0] ^= 1
        return result

    monkeypatch.setattr(kernels, name, wrong)
    failures = selftest.run_selftest().failures
    assert failures
    assert all(failure.endswith("(compiled)") for failure in failures)


def test_every_kernel_has_a_control() -> None:
    assert compiled.load()
    assert compiled.kernels.__all__ == list(OUTPUT)  # type: ignore[union-attr]


PROGRAM = """
import sys
MISSING and sys.modules.__setitem__("numba", None)
from dadc_net.exact import compiled
from dadc_net.runtime.host import checked_selftest
result = checked_selftest()
print(compiled.kernels is not None, result.ok, result.digest.hex(), compiled.description(), sep="|")
"""


def host(missing: bool = False, **environment: str) -> list[str]:
    program = PROGRAM.replace("MISSING", str(missing))
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


def test_hosts_with_and_without_the_kernels_agree() -> None:
    fast, switched_off, absent = host(), host(DADC_FAST="0"), host(missing=True)
    assert [fast[0], switched_off[0], absent[0]] == ["True", "False", "False"]
    assert {fast[1], switched_off[1], absent[1]} == {"True"}
    assert fast[2] == switched_off[2] == absent[2]
    assert fast[3].startswith("numba ")
    assert switched_off[3] == absent[3] == "none"


def test_a_cold_cache_compiles_to_the_same_bits(tmp_path: Path) -> None:
    """As on a host of another kind: nothing kept, and code for any processor of this architecture."""
    cold = host(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert cold[1] == "True"
    assert any(tmp_path.rglob("*.nbi"))


ASSEMBLY = """
import json, numba, numpy as np
from dadc_net.exact import compiled, selftest
selftest.run_selftest()
kernels = [getattr(compiled.kernels, name) for name in compiled.kernels.__all__]
control = numba.njit("f8(f8[:], f8[:], f8)", fastmath={"contract"})(lambda a, b, c: a[0] * b[0] + c)
fused = ("vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls")
count = lambda kernel: [sum(w.startswith(fused) for w in text.split()) for text in kernel.inspect_asm().values()]
print(json.dumps([[count(kernel) for kernel in kernels], count(control)]))
"""


def test_no_operation_is_fused(tmp_path: Path) -> None:
    """A fused a * b + c rounds once instead of twice. The object code holds none; a control kernel that may fuse does."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ASSEMBLY], capture_output=True, text=True, timeout=100, env=variables)
    assert done.returncode == 0, done.stderr
    found, control = json.loads(done.stdout)
    assert len(found) == len(OUTPUT)
    assert all(counts and set(counts) == {0} for counts in found)
    features = host_facts().get("cpu_features", "").split()
    assert bool(control[0]) == ("fma" in features or "asimd" in features)
