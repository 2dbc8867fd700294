"""The recurrent scan against plain Python loops, bit for bit: forward, backward, one step at a time, and repaired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import NumericError
from dadc_net.exact import elementary, grid, known_answers, scan
from dadc_net.exact.array import Array
from tests.exact import oracle

Arguments = tuple[Array, Array, Array, Array, Array]


def arguments(seed: int, steps: int, copies: int, size: int, spread: float = 1.0) -> Arguments:
    """gates, keep, start, weight, bias with dead units, zeros of both signs and fresh starts among them."""
    generator = np.random.Generator(np.random.Philox(seed))
    gates: Array = generator.normal(size=(steps, copies, 3 * size)) * (2.0 * spread)
    gates[generator.random(gates.shape) < 0.1] = -0.0
    weight: Array = generator.normal(size=(size, 3 * size)) * spread
    bias = generator.normal(size=3 * size)
    weight[0], bias[0], bias[-1] = 0.0, -0.0, 0.0
    keep = (generator.random((steps, copies, 1)) > 0.2).astype(np.float64)
    start = grid.round_to_grid(generator.uniform(-1, 1, (copies, size)), scan.STATE_GRID)
    return gates, keep, start, weight, bias


def watch_settled(gates: Array, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lock-steps of ``gates`` that a scan does again because it doubts them, filled as it goes."""
    settled: list[int] = []
    original = scan._tested_step

    def watched(row: Array, *rest: Any) -> tuple[Array, Array, Array, Array]:
        settled.append(next(t for t in range(gates.shape[0]) if np.shares_memory(row, gates[t])))
        return original(row, *rest)

    monkeypatch.setattr(scan, "_tested_step", watched)
    return settled


def traces_equal(a: scan.Trace, b: scan.Trace) -> bool:
    return all(oracle.same_bits(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.sampled_from([0.01, 1.0, 30.0])
)
def test_forward_and_backward(seed: int, steps: int, copies: int, size: int, spread: float) -> None:
    gates, keep, start, weight, bias = arguments(seed, steps, copies, size, spread)
    trace = scan.forward(gates, keep, start, weight, bias)
    keeps = keep[:, :, 0].tolist()
    expected = oracle.scan(gates.tolist(), keeps, start.tolist(), weight.tolist(), bias.tolist())
    assert oracle.same_bits(trace.states, expected.states)
    assert oracle.same_bits(trace.kept, expected.kept)
    assert oracle.same_bits(trace.candidate, expected.candidate)
    gradient = np.random.Generator(np.random.Philox(seed + 1)).normal(size=trace.states.shape) * 2.0 ** (seed % 40 - 20)
    found = scan.backward(trace, keep, weight, gradient)
    for a, b in zip(found, oracle.scan_backward(expected, keeps, weight.tolist(), gradient.tolist()), strict=True):
        # The sign of a zero gradient of a gate is not defined: it ends in the product that takes it.
        assert oracle.same_bits(a + 0.0, np.array(b) + 0.0)


@pytest.mark.parametrize("size", [5, 32, 33, 40])
def test_acting_gives_the_bits_of_the_scan(size: int) -> None:
    """Also beyond 32 units, where the operand has fewer bits than the state; and one copy alone as in the batch."""
    gates, keep, start, weight, bias = arguments(size, 6, 4, size, 0.3)
    trace = scan.forward(gates, keep, start, weight, bias)
    prepared = grid.operand(weight, size)
    previous = start
    for t in range(6):
        kept = previous * keep[t] + 0.0
        previous = scan.step(gates[t], kept, prepared, bias)
        assert oracle.same_bits(previous, trace.states[t])
        for e in range(4):
            assert oracle.same_bits(
                scan.step(gates[t, e : e + 1], kept[e : e + 1], prepared, bias), previous[e : e + 1]
            )
    for e in range(4):
        alone = scan.forward(gates[:, e : e + 1], keep[:, e : e + 1], start[e : e + 1], weight, bias)
        assert oracle.same_bits(alone.states, trace.states[:, e : e + 1])


def test_the_slow_path_forced_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = arguments(3, 5, 2, 3)
    plain = scan.forward(*given_)
    monkeypatch.setattr(elementary, "TOLERANCE", 1.0)
    assert traces_equal(scan.forward(*given_), plain)


def test_a_doubtful_value_that_was_wrong_changes_all_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lock-steps whose candidate lies next to a middle: the first rounding is often wrong, the result never."""
    gates, keep, start, weight, bias = arguments(5, 9, 2, 3)
    weight[:, 6:], bias[6:] = 0.0, 0.0
    gates[2, 1, 6:], gates[6, 0, 6:] = known_answers._MIDDLE["tanh"][:3], known_answers._MIDDLE["tanh"][3:6]
    expected = oracle.scan(gates.tolist(), keep[:, :, 0].tolist(), start.tolist(), weight.tolist(), bias.tolist())
    settled = watch_settled(gates, monkeypatch)
    trace = scan.forward(gates, keep, start, weight, bias)
    assert settled == [2, 6]
    assert oracle.same_bits(trace.states, expected.states)
    assert oracle.same_bits(trace.candidate, expected.candidate)


def test_a_library_that_errs_within_its_tolerance_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = arguments(8, 40, 4, 5)
    plain = scan.forward(*given_)
    library = np.tanh

    def sloppy(x: Array, out: Array | None = None) -> Array:
        exact = library(x)
        wrong: Array = exact + 40.0 * np.spacing(np.abs(exact))
        if out is not None:
            out[...] = wrong
        return wrong if out is None else out

    monkeypatch.setattr(np, "tanh", sloppy)
    monkeypatch.setattr(elementary, "TOLERANCE", 2.0**-32)  # so wide that doubt is common
    settled = watch_settled(given_[0], monkeypatch)
    assert traces_equal(scan.forward(*given_), plain)
    assert settled


def test_a_value_that_is_not_a_number_stops_the_scan() -> None:
    gates, keep, start, weight, bias = arguments(1, 3, 2, 2)
    gates[1, 1, 2] = np.nan
    with pytest.raises(NumericError, match="tanh was asked for an argument of nan"):
        scan.forward(gates, keep, start, weight, bias)


def test_more_than_one_chunk_of_lock_steps() -> None:
    """The weight's gradient sums over T E rows; beyond 2^13 of them in chunks."""
    generator = np.random.Generator(np.random.Philox(4))
    gates, weight, bias = generator.normal(size=(4100, 2, 3)), np.full((1, 3), 0.5), np.zeros(3)
    keep, start = np.ones((4100, 2, 1)), np.zeros((2, 1))
    trace = scan.forward(gates, keep, start, weight, bias)
    d_gates, d_weight, d_bias = scan.backward(trace, keep, weight, np.cos(np.arange(8200.0)).reshape(4100, 2, 1))
    reset = trace.both[:, :, :1]
    flat = np.concatenate((d_gates[:, :, :2], d_gates[:, :, 2:] * reset), axis=2).reshape(8200, 3)
    assert oracle.same_bits(d_weight, oracle.product([trace.kept.reshape(-1).tolist()], flat.tolist(), 0))
    assert oracle.same_bits(d_bias, oracle.column_sums(flat.tolist()))
